"""Write-only variables, config groups, links between apps."""

import pytest

from controller.actions.config_rerelease import refresh_configs
from controller.actions.config_secrets import MASK
from controller.models import App, ConfigRefresh


@pytest.fixture
def config(live):
    """Changes blue's config and gives the answer."""

    def changed(app="blue", **body):
        return live.post(f"/v2/apps/{app}/config/", body)

    return changed


def environment(app="blue"):
    return App.objects.get(name=app).current_release().config.environment()


def shown(api, app="blue"):
    return api.get(f"/v2/apps/{app}/config/").json()


# Write-only variables


def test_a_write_only_variable_is_shown_to_nobody_and_reaches_the_app(config, live, builder, cluster):
    made = config(values={"TOKEN": "s3cret", "COLOUR": "blue"}, secrets=["TOKEN"])
    assert made.json()["values"] == {"TOKEN": MASK, "COLOUR": "blue"}
    assert shown(live)["secrets"] == ["TOKEN"]
    for path in ("config/", "releases/", "logs", "audit/"):
        assert b"s3cret" not in live.get(f"/v2/apps/blue/{path}").content
    hook = builder.post("/v2/hooks/config/", {"receive_user": "bob", "receive_repo": "blue"}).json()
    assert (hook["values"]["TOKEN"], hook["secrets"]) == ("s3cret", ["TOKEN"])
    secret = cluster.get("Secret", "blue", "blue-v3-env")
    assert secret is not None and environment()["TOKEN"] == "s3cret"


def test_the_mask_sent_back_changes_nothing(config, live):
    config(values={"TOKEN": "s3cret"}, secrets=["TOKEN"])
    config(values={"TOKEN": MASK, "COLOUR": "red"})
    assert environment() == {"TOKEN": "s3cret", "COLOUR": "red"}


def test_once_write_only_it_stays_so_until_it_is_removed(config, live):
    config(values={"TOKEN": "s3cret"}, secrets=["TOKEN"])
    config(values={"TOKEN": "newer"})
    assert shown(live)["values"] == {"TOKEN": MASK}
    config(values={"TOKEN": None})
    config(values={"TOKEN": "open"})
    assert shown(live)["values"] == {"TOKEN": "open"} and "secrets" not in shown(live)


def test_a_variable_can_be_made_write_only_afterwards(config, live):
    config(values={"TOKEN": "s3cret"})
    config(secrets=["TOKEN"])
    assert shown(live)["values"] == {"TOKEN": MASK}
    assert live.get("/v2/apps/blue/releases/").json()["results"][0]["summary"] == "bob made TOKEN write-only"
    assert config(secrets=["NOTHING"]).status_code == 422


# Groups


@pytest.fixture
def shared(live):
    """A group of bob's on blue."""
    assert live.post("/v2/config-groups/", {"name": "shared"}).status_code == 201
    assert live.post("/v2/apps/blue/config-groups/", {"group": "shared"}).status_code == 201
    return live


def test_a_groups_change_releases_each_app_it_is_attached_to(shared, push, live):
    live.post("/v2/apps/", {"id": "green"})
    push(app="green")
    live.post("/v2/apps/green/config-groups/", {"group": "shared"})
    answer = live.post(
        "/v2/config-groups/shared/", {"values": {"REGION": "north", "KEY": "s3cret"}, "secrets": ["KEY"]}
    )
    assert answer.json()["apps"] == ["blue", "green"] and answer.json()["values"]["KEY"] == MASK
    for app in ("blue", "green"):
        assert environment(app) == {"REGION": "north", "KEY": "s3cret"}
        newest = live.get(f"/v2/apps/{app}/releases/").json()["results"][0]
        assert newest["summary"] == "bob changed config group shared" and not newest["failed"]
    assert shown(live)["shared"] == {
        "REGION": {"value": "north", "from": "group shared"},
        "KEY": {"value": MASK, "from": "group shared"},
    }


def test_an_apps_own_variable_has_precedence(shared, config):
    config(values={"REGION": "south"})
    shared.post("/v2/config-groups/shared/", {"values": {"REGION": "north"}})
    assert environment() == {"REGION": "south"}


def test_a_rollback_brings_back_what_the_group_was(shared, live):
    shared.post("/v2/config-groups/shared/", {"values": {"REGION": "north"}})
    version = live.get("/v2/apps/blue/releases/").json()["results"][0]["version"]
    shared.post("/v2/config-groups/shared/", {"values": {"REGION": "south"}})
    live.post("/v2/apps/blue/releases/rollback/", {"version": version})
    assert environment() == {"REGION": "north"}


def test_detaching_takes_the_variables_away(shared, live):
    shared.post("/v2/config-groups/shared/", {"values": {"REGION": "north"}})
    assert live.delete("/v2/config-groups/shared/").status_code == 409
    assert live.delete("/v2/apps/blue/config-groups/shared").status_code == 204
    assert environment() == {}
    assert live.delete("/v2/config-groups/shared/").status_code == 204


def test_a_group_is_its_owners_and_its_teams(shared, sign_in, live):
    carol = sign_in("carol")
    assert carol.get("/v2/config-groups/shared/").status_code == 404
    live.post("/v2/teams/", {"name": "crew"})
    live.post("/v2/teams/crew/members/", {"username": "carol"})
    live.post("/v2/config-groups/", {"name": "crews", "team": "crew"})
    assert carol.post("/v2/config-groups/crews/", {"values": {"A": "1"}}).status_code == 201
    assert [row["name"] for row in carol.get("/v2/config-groups/").json()["results"]] == ["crews"]


def test_a_busy_app_gets_its_release_afterwards(shared, live):
    app = App.objects.get(name="blue")
    release = app.current_release()
    operation = app.operations.create(release=release, kind="deploy", state="running")
    shared.post("/v2/config-groups/shared/", {"values": {"REGION": "north"}})
    assert environment() == {} and ConfigRefresh.objects.count() == 1
    app.operations.filter(pk=operation.pk).update(state="succeeded")
    refresh_configs()
    assert environment() == {"REGION": "north"} and not ConfigRefresh.objects.exists()


# Links


@pytest.fixture
def linked(config, live):
    """blue's DATABASE_URL is store's URL."""
    live.post("/v2/apps/", {"id": "store"})
    config("store", values={"URL": "postgres://1"})
    body = {"key": "DATABASE_URL", "source": "store", "source_key": "URL"}
    assert live.post("/v2/apps/blue/config-links/", body).status_code == 201
    return live


def test_a_link_follows_its_source_by_a_release(linked, config):
    assert environment() == {"DATABASE_URL": "postgres://1"}
    config("store", values={"URL": "postgres://2"})
    assert environment() == {"DATABASE_URL": "postgres://2"}
    newest = linked.get("/v2/apps/blue/releases/").json()["results"][0]
    assert newest["summary"] == "bob changed config of store"


def test_a_change_of_something_else_releases_nothing(linked, config):
    before = linked.get("/v2/apps/blue/releases/").json()["count"]
    config("store", values={"OTHER": "1"})
    assert linked.get("/v2/apps/blue/releases/").json()["count"] == before


def test_a_write_only_source_stays_hidden(linked, config):
    config("store", secrets=["URL"])
    assert shown(linked)["shared"]["DATABASE_URL"]["value"] == MASK
    assert environment()["DATABASE_URL"] == "postgres://1"


def test_the_last_value_stays_when_the_source_goes(linked):
    assert linked.delete("/v2/apps/store/").status_code == 204
    linked.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    assert environment() == {"A": "1", "DATABASE_URL": "postgres://1"}
    assert "gone" in shown(linked)["shared"]["DATABASE_URL"]["from"]


def test_a_circle_is_refused(linked):
    body = {"key": "URL", "source": "blue", "source_key": "DATABASE_URL"}
    answer = linked.post("/v2/apps/store/config-links/", body)
    assert answer.status_code == 409
    assert answer.json()["detail"].endswith("store.URL -> blue.DATABASE_URL -> store.URL")
    own = linked.post("/v2/apps/blue/config-links/", {"key": "A", "source": "blue", "source_key": "A"})
    assert own.status_code == 409


def test_both_configs_must_be_open_to_who_links(linked, sign_in):
    carol = sign_in("carol")
    carol.post("/v2/apps/", {"id": "carols"})
    body = {"key": "STOLEN", "source": "store", "source_key": "URL"}
    assert carol.post("/v2/apps/carols/config-links/", body).status_code == 403
    linked.post("/v2/apps/store/access/", {"username": "carol", "role": "viewer"})
    assert carol.post("/v2/apps/carols/config-links/", body).status_code == 403
    linked.post("/v2/apps/store/access/", {"username": "carol", "role": "developer"})
    assert carol.post("/v2/apps/carols/config-links/", body).status_code == 201


def test_unlinking_takes_the_variable_away(linked):
    assert linked.delete("/v2/apps/blue/config-links/DATABASE_URL").status_code == 204
    assert environment() == {}


def test_a_chain_of_links_is_followed(linked, config):
    linked.post("/v2/apps/", {"id": "third"})
    linked.post("/v2/apps/third/config-links/", {"key": "DB", "source": "blue", "source_key": "DATABASE_URL"})
    config("store", values={"URL": "postgres://3"})
    refresh_configs()
    assert environment("third") == {"DB": "postgres://3"}


def test_a_write_only_variable_becomes_no_build_argument(config, builder):
    config(values={"TOKEN": "s3cret", "COLOUR": "blue", "DEIS_DOCKER_BUILD_ARGS_ENABLED": "1"}, secrets=["TOKEN"])
    hook = builder.post("/v2/hooks/config/", {"receive_user": "bob", "receive_repo": "blue"}).json()
    assert "TOKEN" not in hook["values"] and hook["values"]["COLOUR"] == "blue"
