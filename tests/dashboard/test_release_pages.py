"""The page of one release, the choice of what a rollback takes back, cancelling, and the page that explains."""

from controller.models import Operation, OutputLine, Release
from tests.dashboard.test_pages import text_of, words


def test_a_release_tells_who_what_and_what_was_said(admin, deployed):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="TOKEN", value="hush-hush")
    OutputLine.objects.create(release=Release.objects.get(version=3), source="release", text="migrated <b>3</b> tables")
    page = admin.get("/apps/shop/releases/v3/")
    assert page.status_code == 200
    assert "What it changed since v2" in words(page) and "+ TOKEN value hidden" in words(page)
    assert "migrated &lt;b&gt;3&lt;/b&gt; tables" in text_of(page)
    assert "hush-hush" not in text_of(page)
    assert "by admin" in words(page)
    assert 'href="/apps/shop/releases/v3/"' in text_of(admin.get("/apps/shop/releases/"))


def test_an_unknown_release_is_not_found(admin, deployed):
    assert admin.get("/apps/shop/releases/v99/").status_code == 404


def test_a_rollback_may_take_back_one_half(admin, deployed):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="A", value="1")
    answer = admin.send("/apps/shop/releases/", "/apps/shop/releases/rollback/", version="2", only="code")
    assert "v4, with code of v2, is on its way." in words(answer)
    assert Release.objects.get(version=4).config.values == {"A": "1"}


def test_a_release_that_could_run_again_is_rolled_back_to_from_its_page(admin, deployed):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="A", value="1")
    assert "Roll back to v2" in text_of(admin.get("/apps/shop/releases/v2/"))
    for version in (1, 3):  # the empty start, and what runs
        assert "Roll back to" not in text_of(admin.get(f"/apps/shop/releases/v{version}/"))


def test_a_release_names_what_a_build_has_and_not_what_it_lacks(admin, deployed):
    page = words(admin.get("/apps/shop/releases/v2/"))
    assert "+ sha 4f2a91c0" in page and "False" not in page and "[]" not in page


def test_a_deploy_under_way_can_be_cancelled(admin, deployed):
    release = deployed.current_release()
    new = Release.objects.create(
        app=deployed, owner=release.owner, version=3, config=release.config, build=release.build, summary="next"
    )
    Operation.objects.create(app=deployed, release=new, by=release.owner, kind="deploy", state="queued")
    assert "Cancel this deploy" in text_of(admin.get("/apps/shop/releases/v3/"))
    answer = admin.send("/apps/shop/releases/", "/apps/shop/releases/cancel/")
    assert "v3 is cancelled; what ran before goes on." in words(answer)
    assert "cancelled by admin" in words(admin.get("/apps/shop/releases/v3/"))


def test_what_is_wrong_is_explained_with_what_helps(admin, deployed):
    admin.send("/apps/shop/settings/", "/apps/shop/settings/maintenance/", on="true")
    page = words(admin.get("/apps/shop/explain/"))
    assert "maintenance is on: visitors get the 503 page" in page
    assert "What helps: `paas maintenance:off -a shop`" in page
