"""Stages side by side, what a promotion would change, and the promotion."""

import pytest

from controller.actions.app import create_app
from controller.actions.build import create_build
from controller.actions.perms import give_role
from controller.models import App, Pipeline, User
from tests.dashboard.test_pages import text_of, words


@pytest.fixture
def line(admin, deployed):
    """The pipeline `line`: `shop-staging` with newer code, then `shop`."""
    by = User.objects.get(username="admin")
    staging = create_app(by=by, name="shop-staging")
    create_build(app=staging, by=by, image="shop@sha256:2", sha="bbbbbbbb", procfile={"web": "gunicorn new"})
    admin.send("/pipelines/", "/create/pipeline/", name="line", stages="staging, production")
    for app, stage in (("shop-staging", "staging"), ("shop", "production")):
        admin.send("/pipelines/line/", "/pipelines/line/add/", app=app, stage=stage)
    return Pipeline.objects.get()


def test_a_pipeline_has_the_stages_that_were_typed(admin, line):
    assert line.stages == ["staging", "production"]
    assert "line staging → production; by admin" in words(admin.get("/pipelines/"))
    odd = admin.send("/pipelines/", "/create/pipeline/", name="odd", stages="Staging!")
    assert odd.status_code == 400 and "lowercase letters" in words(odd) and 'value="Staging!"' in text_of(odd)
    missing = admin.send("/pipelines/line/", "/pipelines/line/add/", app="nothing", stage="staging")
    assert missing.status_code == 400 and "There is no app nothing." in words(missing)


def test_a_promotion_is_compared_first_and_releases_the_very_image(admin, line):
    page = words(admin.get("/pipelines/line/"))
    assert "shop-staging v2 bbbbbbbb Compare with shop Promote" in page
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="TOKEN", value="hush")
    diff = words(admin.get("/pipelines/line/diff/?from=shop-staging&to=shop"))
    assert "What promoting v2 changes in shop" in diff and "~ sha 4f2a91c0 → bbbbbbbb" in diff
    assert "TOKEN only in shop" in diff and "hush" not in diff
    answer = admin.send("/pipelines/line/", "/apps/shop-staging/promote/", version="2", to="shop")
    assert "v2 of shop-staging is on its way to shop." in words(answer)
    assert App.objects.get(name="shop").current_release().build.image == "shop@sha256:2"
    assert "Same code as shop" in words(admin.get("/pipelines/line/"))


def test_a_release_that_is_none_is_refused_on_the_same_page(admin, line):
    answer = admin.send("/pipelines/line/", "/apps/shop-staging/promote/", version="9", to="shop")
    assert answer.status_code == 400 and "hop-staging has no release v9." in words(answer)
    assert "Compare with shop" in words(answer)


def test_who_may_not_deploy_the_next_stage_is_offered_no_promotion(admin, line, sign_in):
    helper = sign_in("helper")
    assert helper.get("/pipelines/line/").status_code == 404
    for app in App.objects.all():
        give_role(app=app, username="helper", role="viewer")
    page = text_of(helper.get("/pipelines/line/"))
    assert "shop-staging" in page and "/promote/" not in page and "/pipelines/line/remove/" not in page
    assert helper.get("/pipelines/line/diff/?from=shop-staging&to=shop").status_code == 403
    assert helper.send("/keys/", "/apps/shop-staging/promote/", version="2", to="shop").status_code == 403
    assert App.objects.get(name="shop").releases.count() == 2


def test_an_app_is_taken_out_and_the_pipeline_ended(admin, line):
    admin.send("/pipelines/line/", "/pipelines/line/remove/", app="shop")
    assert "No app: paas pipelines:add line --stage=production" in words(admin.get("/pipelines/line/"))
    admin.send("/pipelines/line/", "/pipelines/line/destroy/")
    assert not Pipeline.objects.exists() and App.objects.count() == 2
