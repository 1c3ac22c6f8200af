"""The log as the store has it: asked for with filters, told of apps, drains and events."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

from controller import log_store
from controller.actions import log_drains
from controller.models import App, Event

LINE = "2026-01-02T03:04:05+00:00 blue[web.v2.abc]: hello\n"


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def store(tmp_path, settings):
    """A store that answers LINE; what it was asked is kept."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = b'{"drains": []}' if self.path == "/status" else LINE.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Nothing on stderr."""

        def address_string(self):
            return "unix"

    path = str(tmp_path / "logger.sock")
    with _Server(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        settings.LOGGER_SOCKET = path
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def test_the_log_is_the_stores(live, store):
    answer = live.get("/v2/apps/blue/logs?log_lines=5&ps=web&source=app&grep=a%20b&since=2026-01-02T03:04:05Z")
    assert (answer.status_code, answer.content.decode()) == (200, LINE)
    assert "lines=5" in store[-1] and "ps=web" in store[-1] and "grep=a+b" in store[-1]
    assert "since=2026-01-02T03%3A04%3A05.000000Z" in store[-1]


def test_following_goes_on_over_the_store(live, store):
    answer = live.get("/v2/apps/blue/logs?follow=true")
    assert b"".join(answer.streaming_content).decode() == LINE
    assert "follow=1" in store[-1] and "lines=100" in store[-1]


def test_lines_come_whole_however_the_store_sends_them(settings, monkeypatch):
    class Response:
        pieces = [b"one\ntw", b"o \xc3", b"\xa9\nthree\n", b""]

        def read1(self, size):
            return self.pieces.pop(0)

    class Connection:
        def close(self):
            """Nothing is open."""

    monkeypatch.setattr(log_store, "_open", lambda target, timeout: (Connection(), Response()))
    assert list(log_store.follow("blue", {})) == ["one\n", "two \u00e9\nthree\n"]


def test_a_store_that_is_away_leaves_what_containers_hold(live, cluster, settings, tmp_path):
    settings.LOGGER_SOCKET = str(tmp_path / "nobody.sock")
    cluster.outputs["web"] = "2026-01-02T03:04:05.000000001Z still here\n"
    answer = live.get("/v2/apps/blue/logs?log_lines=100")
    assert answer.status_code == 200 and b"still here" in answer.content
    assert b"deis[controller]: INFO bob deployed" in answer.content
    assert live.get("/v2/apps/blue/logs?grep=x").status_code == 500, "it can't be searched"


@pytest.mark.parametrize(
    ("query", "field"), [("since=nope", "since"), ("until=2026-13-01", "until"), ("source=nowhere", "source")]
)
def test_a_bad_filter_is_named(live, store, query, field):
    answer = live.get(f"/v2/apps/blue/logs?{query}")
    assert answer.status_code == 400 and field in answer.json()


@pytest.mark.parametrize("since", ["90s", "15m", "2h", "3d", "1w", "2026-01-02", "2026-01-02T03:04:05%2B02:00"])
def test_times_as_people_write_them(live, store, since):
    assert live.get(f"/v2/apps/blue/logs?since={since}").status_code == 200


def news(builder, after=0, digest=""):
    answer = builder.get(f"/v2/hooks/logs/?after={after}&digest={digest}")
    assert answer.status_code == 200
    return answer.json()


def test_the_store_hears_of_events_once_and_in_order(live, builder):
    first = news(builder)
    messages = [event["message"] for event in first["events"]]
    assert messages[0] == "bob created initial release" and "bob deployed a1b2c3d" in messages
    assert news(builder, first["last"])["events"] == []
    live.post("/v2/apps/blue/scale/", {"web": 2})
    later = news(builder, first["last"], first["digest"])
    assert [event["message"] for event in later["events"]] == ["bob scaled pods web=2"]
    assert later["apps"] is None, "nothing of the apps changed"


def test_an_event_that_may_still_commit_is_waited_for(live, builder):
    last = news(builder)["last"]
    app = App.objects.get(name="blue")
    Event.objects.create(id=last + 2, app=app, message="second")
    assert news(builder, last)["events"] == []
    Event.objects.create(id=last + 1, app=app, message="first")
    assert [event["message"] for event in news(builder, last)["events"]] == ["first", "second"]


def test_only_the_store_may_ask(live, admin, anonymous):
    assert anonymous.get("/v2/hooks/logs/").status_code == 401
    assert admin.get("/v2/hooks/logs/").status_code == 403


def test_drains(live, admin, builder, monkeypatch):
    monkeypatch.setattr(log_drains, "leads_home", lambda host: host == "localhost")
    url = "https://bob:secret@logs.example.test/in?key=secret"
    row = live.post("/v2/apps/blue/logs/drains/", {"url": url})
    assert row.status_code == 201 and row.json()["url"] == "https://bob:…@logs.example.test/in?…"
    assert live.post("/v2/apps/blue/logs/drains/", {"url": url}).status_code == 409
    listed = live.get("/v2/apps/blue/logs/drains/").json()["results"]
    assert [one["uuid"] for one in listed] == [row.json()["uuid"]] and "secret" not in json.dumps(listed)
    assert b"secret" not in live.get("/v2/apps/blue/logs").content
    drains = news(builder)["apps"]["blue"]["drains"]
    assert drains == [{"id": row.json()["uuid"], "url": url, "local": False}]
    assert live.post("/v2/apps/blue/logs/drains/", {"url": "syslog://localhost:514"}).status_code == 400
    assert admin.post("/v2/apps/blue/logs/drains/", {"url": "syslog://localhost:514"}).status_code == 201
    assert news(builder)["apps"]["blue"]["drains"][1]["local"] is True
    assert live.delete(f"/v2/apps/blue/logs/drains/{row.json()['uuid']}").status_code == 204
    assert live.delete("/v2/apps/blue/logs/drains/nothing").status_code == 404


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x.example.test", "syslog://x.example.test", "http://", "http://a b/", "http://x:99999/", "no address",
     "http://exa\tmple.test/", "http://bücher.example.test/"],
)  # fmt: skip
def test_an_address_that_cannot_be_is_refused(live, url):
    answer = live.post("/v2/apps/blue/logs/drains/", {"url": url})
    assert answer.status_code == 400 and "url" in answer.json()


def test_retention(live, builder):
    assert live.get("/v2/apps/blue/logs/retention/").json() == {"days": None, "megabytes": None}
    assert live.post("/v2/apps/blue/logs/retention/", {"days": 3}).json() == {"days": 3, "megabytes": None}
    assert live.post("/v2/apps/blue/logs/retention/", {"megabytes": 20}).json() == {"days": 3, "megabytes": 20}
    told = news(builder)["apps"]["blue"]
    assert (told["days"], told["megabytes"]) == (3, 20)
    assert live.post("/v2/apps/blue/logs/retention/", {"days": 0}).status_code == 400


def test_who_may(live, sign_in):
    eve = sign_in("eve")
    for path in ("logs", "logs/drains/", "logs/retention/"):
        assert eve.get(f"/v2/apps/blue/{path}").status_code == 403
    assert eve.post("/v2/apps/blue/logs/drains/", {"url": "https://x.example.test"}).status_code == 403
    assert eve.delete("/v2/apps/blue/logs/drains/x").status_code == 403
