"""An app's settings: each form does what the API does, says what is wrong beside the field, and shows no secret."""

import html
import re

import pytest

from controller.errors import Invalid
from controller.models import App, BuildRun, GitSource, User
from tests.dashboard.conftest import text_of

PROBE = {
    "type": "web/cmd",
    "probe": "readinessProbe",
    "action": "httpGet",
    "path": "/healthz",
    "port": "5000",
    "headers": "X-Probe: yes\r\nHost: shop.test",
    "initialDelaySeconds": "0",
    "timeoutSeconds": "5",
    "periodSeconds": "10",
    "successThreshold": "1",
    "failureThreshold": "3",
}


@pytest.fixture
def send(admin, deployed):
    """Posts a form of shop's settings from its page, and gives the page that follows."""

    def sent(page, target, /, **fields):
        return admin.send(f"/apps/shop/settings/{page}", f"/apps/shop/settings/{target}", **fields)

    return sent


def config():
    return App.objects.get(name="shop").current_release().config


def complaint(page, name):
    """What the page says beside the field `name`; empty when it says nothing."""
    found = re.search(rf'class="wrong" id="[^"]*-{name}-wrong">([^<]*)', text_of(page))
    return html.unescape(found[1]) if found else ""


@pytest.mark.parametrize(
    ("switch", "read"),
    [
        ("maintenance", lambda app: app.settings.maintenance),
        ("routing", lambda app: app.settings.routable),
        ("https", lambda app: bool(app.tls.https_enforced)),
    ],
)
def test_a_switch_turns_and_turns_back(send, deployed, switch, read):
    before = read(App.objects.get(name="shop"))
    for wished in (not before, before):
        page = send("", f"{switch}/", on="true" if wished else "false")
        assert page.redirect_chain == [("/apps/shop/settings/", 302)]
        assert read(App.objects.get(name="shop")) is wished


def test_addresses_are_listed_however_they_are_parted_and_taken_off(send, deployed):
    send("", "addresses/add/", addresses="192.0.2.7, 198.51.100.0/24\n2001:db8::/32")
    deployed.settings.refresh_from_db()
    assert deployed.settings.whitelist == ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]
    page = send("", "addresses/remove/", addresses="198.51.100.0/24")
    assert "198.51.100.0/24 is off the list." in text_of(page)
    refused = send("", "addresses/add/", addresses="192.0.2.300")
    assert refused.status_code == 400
    assert complaint(refused, "addresses") == "192.0.2.300 is not an IP address or CIDR"
    assert 'value="192.0.2.300"' in text_of(refused)


def test_paths_lead_to_another_type_until_they_are_taken_back(send, deployed):
    send("", "paths/add/", type="worker", patterns="/api/.*")
    assert deployed.services.get().path_pattern == "/api/.*"
    assert complaint(send("", "paths/add/", type="worker", patterns="("), "patterns").startswith("( is not a regular")
    assert "Process types can only" in complaint(send("", "paths/add/", type="Wrong!", patterns="/x"), "type")
    send("", "paths/remove/", type="worker")
    assert not deployed.services.exists()


def test_a_complaint_stays_with_its_own_form(send):
    """Both the labels' and another form of the page have a field of that kind; only the one that was sent complains."""
    page = send("", "paths/add/", type="Wrong!", patterns="/x")
    assert text_of(page).count('class="wrong"') == 1
    assert text_of(page).count('aria-invalid="true"') == 1


def test_labels_come_and_go(send, deployed):
    send("", "labels/set/", key="team", value="frontend")
    deployed.settings.refresh_from_db()
    assert deployed.settings.label == {"team": "frontend"}
    send("", "labels/remove/", key="team")
    deployed.settings.refresh_from_db()
    assert deployed.settings.label == {}


def test_an_app_is_handed_over_to_somebody_there_is(send, sign_in):
    assert complaint(send("", "transfer/", owner="nobody"), "owner") == "There is nobody called nobody."
    sign_in("alice")
    send("", "transfer/", owner="alice")
    assert App.objects.get(name="shop").owner.username == "alice"


def test_limits_of_a_type_are_set_together_and_an_empty_field_takes_one_back(send):
    page = send("limits/", "limits/of/web/", memory="512M", cpu="500m", termination_grace_period="60")
    assert "The limits of web are set" in text_of(page)
    assert (config().memory, config().cpu) == ({"web": "512M"}, {"web": "500m"})
    assert config().termination_grace_period == {"web": "60"}
    version = App.objects.get(name="shop").current_release().version
    assert "It already is so." in text_of(
        send("limits/", "limits/of/web/", memory="512M", cpu="500m", termination_grace_period="60")
    )
    assert App.objects.get(name="shop").current_release().version == version
    send("limits/", "limits/of/web/", memory="512M", cpu="", termination_grace_period="60")
    assert config().cpu == {}


def test_a_limit_that_is_none_is_told_beside_its_field_and_its_type_alone(send):
    page = send("limits/", "limits/of/web/", memory="much", cpu="500m")
    assert page.status_code == 400
    assert complaint(page, "memory").startswith("Memory limit format")
    assert text_of(page).count('class="wrong"') == 1  # worker has the same fields


def test_tags_need_a_node_that_has_them(send):
    send("limits/", "limits/tags/set/", key="disk", value="ssd")
    assert config().tags == {"disk": "ssd"}
    assert "No nodes matched" in text_of(send("limits/", "limits/tags/set/", key="disk", value="tape"))
    assert "Tag values" in complaint(send("limits/", "limits/tags/set/", key="disk", value="a b"), "value")
    send("limits/", "limits/tags/remove/", key="disk")
    assert config().tags == {}


def test_a_check_is_set_shown_changed_and_removed(send, admin):
    send("health/", "health/set/", **PROBE)
    probe = config().healthcheck["web/cmd"]["readinessProbe"]
    headers = [{"name": "X-Probe", "value": "yes"}, {"name": "Host", "value": "shop.test"}]
    assert probe["httpGet"] == {"path": "/healthz", "port": 5000, "httpHeaders": headers}
    page = text_of(admin.get("/apps/shop/settings/health/?type=web/cmd&probe=readinessProbe"))
    assert "GET /healthz on port 5000" in page
    assert "X-Probe: yes\nHost: shop.test" in page  # the form has what is set
    send("health/", "health/set/", **{**PROBE, "action": "exec", "command": "bin/alive 'twice over'"})
    assert config().healthcheck["web/cmd"]["readinessProbe"]["exec"] == {"command": ["bin/alive", "twice over"]}
    send("health/", "health/remove/", type="web/cmd", probe="readinessProbe")
    assert config().healthcheck == {"web/cmd": {}}


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"port": ""}, "port", "Which port?"),
        ({"port": "70000"}, "port", "less than or equal to 65535"),
        ({"periodSeconds": "0"}, "periodSeconds", "greater than or equal to 1"),
        ({"headers": "no colon"}, "headers", "One header a line"),
        ({"action": "exec", "command": "'"}, "command", "quotes"),
        ({"action": "exec"}, "command", "Which command?"),
        ({"probe": "livenessProbe", "successThreshold": "2"}, "successThreshold", "one success is always enough"),
        ({"type": "No Type"}, "type", "Process types can only"),
    ],
)
def test_what_is_wrong_with_a_check_is_told_beside_its_field(send, wrong, field, said):
    page = send("health/", "health/set/", **{**PROBE, **wrong})
    assert page.status_code == 400
    assert said in complaint(page, field)
    assert config().healthcheck == {}


def test_rules_of_deploys_hold_until_their_field_is_emptied(send, deployed):
    send("deploys/", "deploys/set/", surge="25%", watch="300", rollback="false")
    deployed.settings.refresh_from_db()
    assert deployed.settings.deploy == {"surge": "25%", "watch": 300, "rollback": False}
    send("deploys/", "deploys/set/", surge="2", watch="", rollback="")
    deployed.settings.refresh_from_db()
    assert deployed.settings.deploy == {"surge": 2}
    assert "such as 25%" in complaint(send("deploys/", "deploys/set/", surge="some"), "surge")
    assert "unavailable must be at least 1" in complaint(send("deploys/", "deploys/set/", surge="0"), "surge")
    deployed.settings.refresh_from_db()
    assert deployed.settings.deploy == {"surge": 2}


def test_a_git_host_is_connected_with_its_secret_shown_once(send, admin, deployed):
    page = send("source/", "source/connect/", url="git@git.example.test:team/shop.git", branch="")
    source = GitSource.objects.get(app=deployed)
    assert (source.url, source.branch) == ("ssh://git@git.example.test/team/shop.git", "main")
    assert source.secret in text_of(page)
    later = text_of(admin.get("/apps/shop/settings/source/"))
    assert source.secret not in later
    assert source.public_key in later and "/builder/hooks/shop" in later
    assert "PRIVATE KEY" not in later
    assert complaint(send("source/", "source/connect/", url="ftp://x/y"), "url").startswith("Give an https://")
    send("source/", "source/disconnect/")
    assert not GitSource.objects.exists()


def test_a_branch_of_the_connected_host_is_queued(send, admin, deployed):
    send("source/", "source/connect/", url="https://git.example.test/shop.git")
    admin.send("/apps/shop/builds/", "/apps/shop/deploy/ref/", ref="feature/x")
    run = BuildRun.objects.get(source="git-host")
    assert (run.state, run.ref, run.by.username) == (BuildRun.QUEUED, "feature/x", "admin")
    refused = admin.send("/apps/shop/builds/", "/apps/shop/deploy/ref/", ref="../x")
    assert "is no branch, tag or commit" in complaint(refused, "ref")


def test_an_image_is_deployed_and_recorded_as_a_build(send, admin, deployed):
    page = admin.send("/apps/shop/builds/", "/apps/shop/deploy/image/", image=" registry.example.test/shop:2 ")
    assert page.redirect_chain == [("/apps/shop/", 302)]
    assert deployed.current_release().build.image == "registry.example.test/shop:2"
    assert deployed.build_runs.get().release == 3
    refused = admin.send("/apps/shop/builds/", "/apps/shop/deploy/image/", image="two words")
    assert "no blanks" in complaint(refused, "image")


def test_what_of_the_source_is_built_is_set_and_taken_back(send, deployed):
    send("source/", "source/set/", root="/services/api/", paths="services/api\nlib", submodules="on")
    deployed.settings.refresh_from_db()
    assert deployed.settings.build == {"root": "services/api", "paths": ["services/api", "lib"], "submodules": True}
    assert "is no path" in complaint(send("source/", "source/set/", root="../x", paths=""), "root")
    send("source/", "source/set/", root="", paths="")
    deployed.settings.refresh_from_db()
    assert deployed.settings.build == {}


def test_the_password_of_a_registry_never_comes_back(send, admin):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="PORT", value="5000")
    send("source/", "source/registry/set/", username="bob", password="hunter2 is mine")
    assert config().registry == {"username": "bob", "password": "hunter2 is mine"}
    page = text_of(admin.get("/apps/shop/settings/source/"))
    assert 'value="bob"' in page and "hunter2" not in page
    send("source/", "source/registry/set/", username="alice", password="")
    assert config().registry == {"username": "alice", "password": "hunter2 is mine"}
    send("source/", "source/registry/remove/")
    assert config().registry == {}
    refused = send("source/", "source/registry/set/", username="carol", password="")
    assert complaint(refused, "password").startswith("Which password?")


def test_a_refused_password_is_not_typed_back(send):
    """Without a PORT credentials are refused; what was typed comes back but for the password."""
    page = send("source/", "source/registry/set/", username="bob", password="hunter2")
    assert page.status_code == 400
    assert 'value="bob"' in text_of(page) and "hunter2" not in text_of(page)


def test_a_viewer_reads_settings_and_is_offered_no_form(sign_in, deployed):
    from controller.actions.perms import give_role

    viewer = sign_in("viewer")
    give_role(app=deployed, username="viewer", role="viewer")
    for section in ("", "deploys/", "source/"):
        page = text_of(viewer.get(f"/apps/shop/settings/{section}"))
        assert page.count("<form") == 1, section  # to sign out
        assert "Limits</a>" not in page
    assert viewer.get("/apps/shop/settings/limits/").status_code == 403


def test_an_operator_is_offered_what_an_operator_may(sign_in, deployed):
    from controller.actions.domains import add_domain
    from controller.actions.perms import give_role

    add_domain(app=deployed, text="www.example.test", by=User.objects.get(username="admin"))
    operator = sign_in("operator")
    give_role(app=deployed, username="operator", role="operator")
    assert "Remove www.example.test" in text_of(operator.get("/apps/shop/domains/"))
    assert "Destroy shop" not in text_of(operator.get("/apps/shop/settings/"))


def test_the_same_check_refuses_a_variable_in_form_and_api(admin, deployed):
    page = admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="BIG", value="x" * (128 * 1024))
    assert page.status_code == 400
    assert "BIG may have at most" in text_of(page)
    with pytest.raises(Invalid):
        from controller.config_fields import checked

        checked("values", {"BIG": "x" * (128 * 1024)})


@pytest.mark.parametrize(
    ("page", "target", "field", "entered"),
    [
        ("/apps/shop/config/", "/apps/shop/config/set/", "key", {"key": "9bad", "value": "x"}),
        (
            "/apps/shop/schedule/", "/apps/shop/schedule/add/", "schedule",
            {"command": "ls", "schedule": "daily", "policy": "forbid"},
        ),
        ("/keys/", "/keys/add/", "public", {"name": "laptop", "public": "no key"}),
    ],
)  # fmt: skip
def test_a_complaint_stands_beside_its_field(admin, deployed, page, target, field, entered):
    answer = admin.send(page, target, **entered).content.decode()
    name = f"{target.strip('/').replace('/', '-')}-{field}"
    assert f'aria-describedby="{name}-wrong"' in answer and f'id="{name}-wrong"' in answer
    assert f'value="{entered[field]}"' in answer or f">{entered[field]}</textarea>" in answer


def test_a_hook_is_set_shown_and_removed(send, admin):
    form = {"type": "web", "hook": "lifecycle_pre_stop", "command": "bin/finish --within=20"}
    assert "bin/finish --within=20" in text_of(send("hooks/", "hooks/set/", **form))
    assert config().lifecycle_pre_stop == {"web": "bin/finish --within=20"}
    wrong = send("hooks/", "hooks/set/", **{**form, "type": "W!"})
    assert "Process types can only contain" in complaint(wrong, "command")
    send("hooks/", "hooks/remove/", type="web", hook="lifecycle_pre_stop")
    assert config().lifecycle_pre_stop == {}
