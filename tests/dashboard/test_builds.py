"""An app's builds: their place in the line, why they failed, what they said, stopping one; over a builder's double."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from controller.actions import build_runs
from controller.actions.app import create_app
from controller.models import BuildRun, User
from tests.dashboard.test_pages import text_of, words


@pytest.fixture
def builder(settings):
    """A builder that keeps what it is asked, and answers with `said` and `status`."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            where = urlsplit(self.path)
            double.asked.append((self.command, where.path, parse_qs(where.query), dict(self.headers)))
            self.send_response(double.status)
            body = double.said.encode()
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Left-Out", str(double.left_out))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    double = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    double.asked, double.said, double.status, double.left_out = [], "", 200, 0
    threading.Thread(target=double.serve_forever, daemon=True).start()
    settings.BUILDER_URL = f"http://127.0.0.1:{double.server_port}"
    yield double
    double.shutdown()
    double.server_close()


def begin(app, **more):
    fields = {"app": app, "by": User.objects.get(username="admin"), "source": "git-ssh", "ref": "master"}
    return build_runs.begin(**{**fields, **more})


def queue(app):
    return begin(app, source="webhook", state="queued", wish={"ref": "main"})


def test_a_push_that_waits_for_its_turn_at_the_builder_says_so(admin, deployed, builder):
    begin(deployed)
    begin(deployed, source="git-http")
    builder.said = '{"2": 1, "9": 3}'
    page = words(admin.get("/apps/shop/builds/"))
    assert "#2 Waiting 1 build before it git push over HTTP" in page and "#1 Building git push by" in page
    assert [path for _, path, *_ in builder.asked] == ["/runs/shop/line"]
    for said, status in (("[]", 200), ("gone", 404), ('{"2": "x"}', 200)):
        builder.said, builder.status = said, status
        assert "#2 Building" in words(admin.get("/apps/shop/builds/"))


def test_without_builds_the_page_says_how_to_begin_one(admin, deployed):
    page = words(admin.get("/apps/shop/builds/"))
    assert "No build yet" in page and "git push deis HEAD:master" in page


def test_builds_are_listed_with_cause_and_place_in_the_line(admin, deployed):
    build_runs.finish(begin(deployed, sha="4f2a91c0aa"), "failed", cause="no lock file\nat all", hint="npm install")
    begin(deployed)
    queue(create_app(by=User.objects.get(), name="other"))
    queue(deployed)
    page = words(admin.get("/apps/shop/builds/"))
    assert "#3 Waiting 1 build before it push to the connected repository by admin" in page
    assert "#2 Building git push by admin" in page and "Stop" in page
    assert "#1 Failed no lock file git push by admin" in page and "4f2a91c0" in page and "at all" not in page


def test_what_a_build_says_is_shown_without_colours_and_as_text(admin, deployed, builder):
    build_runs.finish(begin(deployed), "failed", cause="no lock file", hint="npm install")
    builder.said = "-----> \x1b[1mNode\x1b[0m <b>app</b>\n10%\r100%\n !     no lock file\n"
    answer = admin.get("/apps/shop/builds/1/")
    assert "Next: npm install" in words(answer)
    assert '<span class="step">-----&gt; Node &lt;b&gt;app&lt;/b&gt;' in text_of(answer)
    assert "<span>100%" in text_of(answer) and '<span class="error"> !     no lock file' in text_of(answer)
    ((method, path, query, headers),) = builder.asked
    assert (method, path, query["app_uuid"]) == ("GET", "/runs/shop/1/output", [str(deployed.pk)])
    assert int(query["tail"][0]) > 1000 and headers["X-Deis-Builder-Auth"] == "builder-key-for-tests"
    whole = admin.get("/apps/shop/builds/1/output/")
    assert whole["Content-Type"].startswith("text/plain") and text_of(whole).startswith("-----> Node <b>app</b>\n")
    builder.status = 404
    assert "Nothing is kept of what it said." in words(admin.get("/apps/shop/builds/1/"))
    assert admin.get("/apps/shop/builds/1/output/").status_code == 404


def test_a_builder_that_is_away_leaves_the_record(admin, deployed, settings):
    build_runs.finish(begin(deployed), "failed", cause="no lock file")
    settings.BUILDER_URL = "http://127.0.0.1:1"
    page = words(admin.get("/apps/shop/builds/1/"))
    assert "no lock file" in page and "The output can't be read: the builder doesn't answer" in page


def test_a_build_under_way_is_followed_and_one_that_is_over_is_not(admin, deployed, builder):
    run = begin(deployed)
    page = text_of(admin.get("/apps/shop/builds/1/"))
    version = re.search(r'data-live="/apps/shop/live/builds/1/" data-version="(\w+)"', page)
    builder.said = "-----> more\n"
    assert "more" in text_of(admin.get("/apps/shop/live/builds/1/", headers={"X-Seen": version[1]}))
    build_runs.finish(run, "succeeded")
    assert 'data-live="/apps/shop/live/builds' not in text_of(admin.get("/apps/shop/builds/1/"))


def test_a_build_that_waits_is_called_off_and_one_under_way_is_the_builders_to_stop(admin, deployed, builder):
    queue(deployed)
    answer = admin.send("/apps/shop/builds/", "/apps/shop/builds/1/cancel/")
    assert "Build 1 is cancelled." in words(answer)
    assert BuildRun.objects.get(number=1).state == "cancelled"
    builder.asked.clear()
    begin(deployed)
    admin.send("/apps/shop/builds/", "/apps/shop/builds/2/cancel/")
    assert ("POST", "/runs/shop/2/cancel", ["admin"]) in [(m, path, q.get("by")) for m, path, q, _ in builder.asked]
    builder.status, builder.said = 409, "Build 2 is done and being brought live; to stop that: paas deploys:cancel\n"
    answer = admin.send("/apps/shop/builds/", "/apps/shop/builds/2/cancel/")
    assert answer.status_code == 409 and "being brought live" in words(answer)
    over = admin.send("/apps/shop/builds/", "/apps/shop/builds/1/cancel/")
    assert over.status_code == 409 and "Build 1 is over: it cancelled." in words(over)


def test_numbers_nobody_has_are_absent(admin, deployed):
    assert [admin.get(f"/apps/shop/builds/{number}/").status_code for number in (7, 10**25)] == [404, 404]
    assert json.dumps(words(admin.get("/apps/shop/builds/?page=9"))).startswith('"')
