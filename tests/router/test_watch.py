"""The cache against an API server that pages, forgets, breaks off and comes back."""

import http.server
import json
import threading
from urllib.parse import parse_qsl, urlsplit

import pytest

from router import watch
from router.access import Access, BadKubeconfig, load_access
from router.watch import Source, Watch
from tests.router.harness import wait_for


def obj(name, version, **fields):
    return {"metadata": {"namespace": "x", "name": name, "resourceVersion": str(version)}, **fields}


class Server(http.server.ThreadingHTTPServer):
    """Answers each request with the next prepared answer: a list page, an error, or the lines of a watch."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.held, self.followers = [], [], threading.Event(), []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def access(self):
        return Access("127.0.0.1", self.server_address[1], "", None, "secret")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(dict(parse_qsl(urlsplit(self.path).query)) | {"token": self.headers["Authorization"]})
        if not server.answers:
            server.held.wait(60)
            self.close_connection = True
            return
        answer = server.answers.pop(0)
        self.send_response(answer.get("code", 200) if isinstance(answer, dict) else 200)
        self.end_headers()
        lines = answer if isinstance(answer, list) else [answer]
        for line in lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def log_message(self, *_):
        """Quiet: the test's own output matters."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(watch, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(watch, "LAST_DELAY", 0.01)
    made = Server()
    yield made
    for followed in made.followers:
        followed.stop()
    made.held.set()
    made.shutdown()
    made.server_close()


def follow(server, *answers):
    server.answers += answers
    followed = Watch(server.access(), Source("/things", {"labelSelector": "a=b"}, ("data",)), threading.Event())
    server.followers.append(followed)
    threading.Thread(target=followed.run, daemon=True).start()
    return followed


def names(followed):
    return sorted(item["metadata"]["name"] for item in followed.objects())


def page(*items, version, proceed=None):
    return {"metadata": {"resourceVersion": str(version), "continue": proceed}, "items": list(items)}


def event(kind, item):
    return {"type": kind, "object": item}


def test_pages_are_one_list_and_events_follow_it(server):
    followed = follow(
        server,
        page(obj("a", 1), version=5, proceed="more"),
        page(obj("b", 2, data=1, status="unwanted"), version=5),
        [event("ADDED", obj("c", 6)), event("DELETED", obj("a", 7)), event("MODIFIED", obj("b", 8, data=2))],
    )
    wait_for(lambda: names(followed) == ["b", "c"])
    wait_for(lambda: [item for item in followed.objects() if item.get("data") == 2 and "status" not in item])
    assert server.asked[1]["continue"] == "more"
    assert server.asked[2]["resourceVersion"] == "5" and server.asked[2]["labelSelector"] == "a=b"
    assert server.asked[0]["token"] == "Bearer secret"


def test_an_ended_watch_resumes_after_its_last_event_or_bookmark(server):
    follow(server, page(version=5), [event("ADDED", obj("a", 9))], [event("BOOKMARK", obj("", 20))])
    wait_for(lambda: len(server.asked) == 4)
    assert [asked.get("resourceVersion") for asked in server.asked] == [None, "5", "9", "20"]


@pytest.mark.parametrize(
    "expired",
    [{"code": 410, "message": "too old"}, [event("ERROR", {"code": 410, "message": "too old"})]],
    ids=["answer", "event"],
)
def test_a_forgotten_version_is_listed_anew_and_what_is_gone_goes(server, expired):
    followed = follow(server, page(obj("a", 1), version=5), expired, page(obj("b", 8), version=9))
    wait_for(lambda: names(followed) == ["b"])
    wait_for(lambda: len(server.asked) == 4)
    assert server.asked[3]["resourceVersion"] == "9"


def test_a_failing_server_leaves_what_is_known(server):
    broken = {"code": 503, "message": "starting"}
    followed = follow(server, page(obj("a", 1), version=5), broken, broken, [event("ADDED", obj("b", 6))])
    wait_for(lambda: names(followed) == ["a", "b"])
    assert [asked.get("resourceVersion") for asked in server.asked[1:4]] == ["5", "5", "5"]


def test_nothing_counts_as_synced_before_a_whole_list(server):
    followed = follow(server, page(obj("a", 1), version=5, proceed="more"), {"code": 500, "message": "no"})
    wait_for(lambda: len(server.asked) == 3)
    assert not followed.synced and not followed.objects()


CONFIG = """
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "http://127.0.0.1:8001/prefix/"}}]
users: [{name: x, user: USER}]
"""


def test_a_kubeconfig_names_server_and_token(tmp_path):
    path = tmp_path / "config"
    path.write_text(CONFIG.replace("USER", "{token: abc}"))
    access = load_access(str(path))
    assert (access.host, access.port, access.prefix, access.token) == ("127.0.0.1", 8001, "/prefix", "abc")
    path.write_text(CONFIG.replace("USER", "{tokenFile: token}"))
    assert load_access(str(path)).token_file == str(tmp_path / "token")


def test_what_is_wrong_with_a_kubeconfig_is_said(tmp_path):
    path = tmp_path / "config"
    for text, word in [("current-context: y\n", "contexts"), (CONFIG.replace("USER", "{exec: {}}"), "token")]:
        path.write_text(text)
        with pytest.raises(BadKubeconfig, match=word):
            load_access(str(path))
    with pytest.raises(BadKubeconfig, match="No such file"):
        load_access(str(tmp_path / "absent"))
    with pytest.raises(BadKubeconfig, match="KUBECONFIG"):
        load_access("")
