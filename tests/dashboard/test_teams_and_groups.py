"""Teams, invitations, and config that apps share."""

import re

from controller.models import App, ConfigGroup, Invitation, Team
from tests.dashboard.test_pages import text_of, words


def test_a_team_is_made_filled_and_ended(admin, sign_in):
    assert "paas teams:create backend" in words(admin.get("/teams/"))
    answer = admin.send("/teams/", "/create/team/", name="backend")
    assert answer.redirect_chain == [("/teams/backend/", 302)] and "you manage it" in words(answer)
    sign_in("carol")
    page = words(admin.send("/teams/backend/", "/teams/backend/add/", username="carol"))
    assert "carol is in of backend" not in page and "carol is in backend." in page
    admin.send("/teams/backend/", "/teams/backend/add/", username="carol", manager="true")
    assert Team.objects.get().members.get(user__username="carol").manager
    nobody = admin.send("/teams/backend/", "/teams/backend/add/", username="dora")
    assert nobody.status_code == 400 and "There is nobody called dora here." in words(nobody)
    assert "carol is no longer in backend." in words(
        admin.send("/teams/backend/", "/teams/backend/remove/", username="carol")
    )
    wrong = admin.send("/teams/backend/", "/teams/backend/destroy/", confirm="backen")
    assert wrong.status_code == 400 and Team.objects.exists()
    admin.send("/teams/backend/", "/teams/backend/destroy/", confirm="backend")
    assert not Team.objects.exists()


def test_a_bad_team_name_is_explained_and_stays_in_the_form(admin):
    answer = admin.send("/teams/", "/create/team/", name="Back End")
    assert answer.status_code == 400 and "lowercase letters" in words(answer) and 'value="Back End"' in text_of(answer)


def test_the_link_of_an_invitation_is_shown_once_and_taken_back(admin):
    assert "paas invitations:create" in words(admin.get("/invitations/"))
    page = text_of(admin.send("/invitations/", "/invitations/create/", days="3"))
    link = re.search(r'data-text="([^"]+/join/\?token=[^"]+)"', page)[1]
    again = text_of(admin.get("/invitations/"))
    assert link not in again and "whoever has the link" in again
    admin.send("/invitations/", "/invitations/take-back/", number=str(Invitation.objects.get().pk))
    assert not Invitation.objects.exists()
    answer = admin.send("/invitations/", "/invitations/create/", days="3", app="nothing", role="viewer")
    assert answer.status_code == 400 and "There is no such app" in words(answer)


def test_a_config_group_shows_no_value_unasked_and_a_secret_never(admin):
    admin.send("/config-groups/", "/create/config-group/", name="shared")
    for key, more in (("REGION", {}), ("TOKEN", {"secret": "true"})):
        fields = {"key": key, "value": f"{key}-psst", **more}
        page = text_of(admin.send("/config-groups/shared/", "/config-groups/shared/set/", **fields))
        assert "psst" not in page
    assert "REGION-psst" in text_of(admin.get("/config-groups/shared/?reveal=REGION"))
    assert "TOKEN-psst" not in text_of(admin.get("/config-groups/shared/?reveal=TOKEN"))
    assert admin.get("/config-groups/shared/values/REGION/").json() == {"value": "REGION-psst"}
    assert admin.get("/config-groups/shared/values/TOKEN/").status_code == 404
    admin.send("/config-groups/shared/", "/config-groups/shared/unset/", key="REGION")
    assert ConfigGroup.objects.get().values == {"TOKEN": "TOKEN-psst"}


def test_an_app_gets_a_groups_variables_and_anothers(admin, deployed):
    admin.send("/config-groups/", "/create/config-group/", name="shared")
    admin.send("/config-groups/shared/", "/config-groups/shared/set/", key="REGION", value="north")
    page = words(admin.send("/apps/shop/config/", "/apps/shop/config/attach/", group="shared"))
    assert "shop gets the variables of shared" in page
    page = words(admin.get("/apps/shop/config/"))
    assert "REGION group shared" in page
    refused = admin.send("/config-groups/shared/", "/config-groups/shared/destroy/")
    assert refused.status_code == 409 and "hared is attached to shop" in words(refused)
    admin.send("/", "/apps/", name="store")
    admin.send("/apps/store/config/", "/apps/store/config/set/", key="URL", value="db://")
    page = words(
        admin.send("/apps/shop/config/", "/apps/shop/config/link/", key="DB", source="store", source_key="URL")
    )
    assert "DB follows URL of store" in page
    missing = admin.send("/apps/shop/config/", "/apps/shop/config/link/", key="DB", source="nothing")
    assert missing.status_code == 400 and "There is no app nothing whose config you may read." in words(missing)
    assert App.objects.get(name="shop").current_release().config.environment()["DB"] == "db://"
    admin.send("/apps/shop/config/", "/apps/shop/config/unlink/", key="DB")
    admin.send("/apps/shop/config/", "/apps/shop/config/detach/", group="shared")
    assert not deployed.config_links.exists() and not deployed.config_groups.exists()
