"""Pipelines: who may do what with them, and images promoted as they are."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from controller import registry_api
from controller.models import Build, Release

IMAGE = "registry.example.test/shop:1"


@pytest.fixture
def shop(blue):
    """bob's pipeline of blue (staging) and green (production); blue runs an image from elsewhere."""
    blue.post("/v2/apps/", {"id": "green"})
    blue.post("/v2/pipelines/", {"name": "shop"})
    blue.post("/v2/pipelines/shop/apps/", {"app": "blue", "stage": "staging"})
    blue.post("/v2/pipelines/shop/apps/", {"app": "green", "stage": "production"})
    body = {"image": IMAGE, "procfile": {"web": "serve"}, "ports": [80]}
    assert blue.post("/v2/apps/blue/builds/", body).status_code == 201
    return blue


def test_a_pipeline_has_ordered_stages(bob):
    made = bob.post("/v2/pipelines/", {"name": "shop"})
    assert (made.status_code, made.json()["stages"]) == (201, ["development", "staging", "production"])
    own = bob.post("/v2/pipelines/", {"name": "other", "stages": ["qa", "live"]})
    assert own.json()["stages"] == ["qa", "live"]
    assert [row["name"] for row in bob.get("/v2/pipelines/").json()["results"]] == ["other", "shop"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "Shop"}, "name"),
        ({"name": "shop", "stages": []}, "stages"),
        ({"name": "shop", "stages": ["a", "a"]}, "stages"),
        ({"name": "shop", "stages": ["a b"]}, "stages"),
        ({"name": "taken"}, "name"),
        ({"name": "shop", "color": "red"}, "color"),
    ],
)
def test_bad_pipelines_are_refused_by_field(bob, body, field):
    bob.post("/v2/pipelines/", {"name": "taken"})
    refused = bob.post("/v2/pipelines/", body)
    assert (refused.status_code, list(refused.json())) == (400, [field])


def test_it_shows_what_runs_in_each_stage(shop):
    stages = shop.get("/v2/pipelines/shop/").json()["stages"]
    assert [stage["name"] for stage in stages] == ["development", "staging", "production"]
    assert stages[1]["apps"] == [{"app": "blue", "version": 2, "sha": "", "image": IMAGE}]
    assert stages[2]["apps"] == [{"app": "green", "version": None, "sha": "", "image": ""}]


def test_promoting_releases_the_same_image_in_the_next_stage_with_its_own_config(shop, cluster):
    shop.post("/v2/apps/green/config/", {"values": {"MODE": "production"}})
    answer = shop.post("/v2/apps/blue/promote/")
    assert (answer.status_code, answer.json()) == (
        201,
        {"app": "blue", "version": 2, "results": [{"app": "green", "version": 3, "state": "live", "reason": ""}]},
    )
    build = Build.objects.get(app__name="green")
    assert (build.image, build.procfile, build.ports) == (IMAGE, {"web": "serve"}, [80])
    release = Release.objects.get(app__name="green", version=3)
    assert (release.cause, release.summary) == ("promotion", f"bob promoted blue v2 ({IMAGE})")
    assert release.config.values == {"MODE": "production"}
    assert cluster.get("Deployment", "green", "green-web") is not None


def test_promoting_to_named_apps_needs_no_pipeline(shop):
    shop.post("/v2/apps/", {"id": "red"})
    results = shop.post("/v2/apps/blue/promote/", {"to": ["red", "green"]}).json()["results"]
    assert [(result["app"], result["state"]) for result in results] == [("red", "live"), ("green", "live")]


def test_one_target_that_fails_keeps_no_other_back(shop, cluster):
    shop.post("/v2/apps/", {"id": "red"})
    shop.post("/v2/apps/blue/builds/", {"image": "r.test/new:1", "procfile": {"web": "new", "release": "migrate"}})
    cluster.commands["release"] = 1
    results = shop.post("/v2/apps/blue/promote/", {"to": ["green", "red"]}).json()["results"]
    assert {result["app"]: result["state"] for result in results} == {"green": "failed", "red": "failed"}
    assert all("the release command failed" in result["reason"] for result in results)


@pytest.mark.parametrize(
    ("app", "body", "detail"),
    [
        ("green", {}, "v1 of green has no image to promote"),
        ("blue", {"to": ["blue"]}, "blue can't be promoted to itself"),
        ("blue", {"version": 9}, "blue has no release v9"),
    ],
)
def test_what_cannot_be_promoted_says_why(shop, app, body, detail):
    refused = shop.post(f"/v2/apps/{app}/promote/", body)
    assert (refused.status_code, refused.json()) == (400, {"detail": detail})


def test_the_last_stage_has_no_next_one(shop):
    shop.post("/v2/apps/blue/promote/")
    refused = shop.post("/v2/apps/green/promote/")
    assert "no stage after production" in refused.json()["detail"]


def test_every_target_has_its_own_door(shop, sign_in):
    carol = sign_in("carol")
    carol.post("/v2/apps/", {"id": "hers"})
    assert shop.post("/v2/apps/blue/promote/", {"to": ["hers"]}).status_code == 403
    assert carol.post("/v2/apps/blue/promote/", {"to": ["hers"]}).status_code == 403
    shop.post("/v2/apps/blue/access/", {"username": "carol", "role": "viewer"})
    assert carol.post("/v2/apps/blue/promote/", {"to": ["hers"]}).status_code == 201
    assert carol.post("/v2/apps/blue/promote/", {"to": ["green"]}).status_code == 403


def test_a_stranger_sees_no_pipeline_and_a_viewer_only_the_apps_he_may(shop, sign_in):
    carol = sign_in("carol")
    assert carol.get("/v2/pipelines/").json()["count"] == 0
    assert carol.get("/v2/pipelines/shop/").status_code == 404
    shop.post("/v2/apps/blue/access/", {"username": "carol", "role": "viewer"})
    apps = [app["app"] for stage in carol.get("/v2/pipelines/shop/").json()["stages"] for app in stage["apps"]]
    assert apps == ["blue"]
    assert carol.post("/v2/pipelines/shop/apps/", {"app": "blue", "stage": "staging"}).status_code == 403
    assert carol.delete("/v2/pipelines/shop/").status_code == 403
    assert carol.delete("/v2/pipelines/shop/apps/blue/").status_code == 403


def test_an_app_moves_within_its_pipeline_and_is_in_one_alone(shop):
    assert shop.post("/v2/pipelines/shop/apps/", {"app": "blue", "stage": "development"}).status_code == 201
    shop.post("/v2/pipelines/", {"name": "other"})
    refused = shop.post("/v2/pipelines/other/apps/", {"app": "blue", "stage": "staging"})
    assert (refused.status_code, refused.json()["detail"]) == (
        409, "blue is in the pipeline shop already; remove it there first",
    )  # fmt: skip
    unknown = shop.post("/v2/pipelines/shop/apps/", {"app": "blue", "stage": "qa"})
    assert (unknown.status_code, list(unknown.json())) == (400, ["stage"])


def test_removing_leaves_the_app_and_destroying_the_apps(shop):
    assert shop.delete("/v2/pipelines/shop/apps/blue/").status_code == 204
    assert shop.delete("/v2/pipelines/shop/apps/blue/").status_code == 404
    assert shop.delete("/v2/pipelines/shop/").status_code == 204
    assert shop.get("/v2/apps/blue/").status_code == shop.get("/v2/apps/green/").status_code == 200


def test_stages_are_compared_by_what_runs_in_them(shop):
    shop.post("/v2/apps/blue/promote/")
    shop.post("/v2/apps/blue/builds/", {"image": "r.test/shop:2", "procfile": {"web": "serve --fast"}, "ports": [80]})
    diff = shop.get("/v2/pipelines/shop/diff/?from=production&to=staging").json()
    assert (diff["from"], diff["to"]) == ({"app": "green", "version": 2}, {"app": "blue", "version": 3})
    assert diff["procfile"] == [{"name": "web", "change": "changed", "before": "serve", "after": "serve --fast"}]
    assert shop.get("/v2/pipelines/shop/diff/?from=development&to=staging").status_code == 400
    assert shop.get("/v2/pipelines/shop/diff/?to=staging").status_code == 400


class Registry:
    """A registry's double: what it holds, and what was asked of it."""

    def __init__(self):
        self.manifests = {}
        self.blobs = {("blue", "sha256:c"), ("blue", "sha256:l")}
        self.asked = []


@pytest.fixture
def registry(settings):
    held = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            kind, raw = held.manifests.get(self.path, (None, b""))
            self.reply(200 if kind else 404, raw, {"Content-Type": kind or "", "Docker-Content-Digest": "sha256:m"})

        def do_POST(self):
            path, _, query = self.path.partition("?")
            asked = dict(pair.split("=") for pair in query.split("&"))
            digest = asked["mount"].replace("%3A", ":")
            held.asked.append(("mount", digest, asked["from"], path))
            self.reply(201 if (asked["from"], digest) in held.blobs else 202)

        def do_PUT(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            held.manifests[self.path] = (self.headers["Content-Type"], raw)
            self.reply(201)

        def reply(self, status, body=b"", headers=None):
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    settings.REGISTRY_HOST = f"127.0.0.1:{server.server_address[1]}"
    settings.REGISTRY_URL = f"http://{settings.REGISTRY_HOST}"
    yield held
    server.shutdown()
    server.server_close()


KIND = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = {"config": {"digest": "sha256:c"}, "layers": [{"digest": "sha256:l"}]}


def test_an_image_of_the_platforms_registry_is_copied_by_its_digest(live, push, registry, settings):
    digest = "sha256:" + "d" * 64
    push(sha="a1b2c3d4", image=f"{settings.REGISTRY_HOST}/blue@{digest}")
    registry.manifests[f"/v2/blue/manifests/{digest}"] = (KIND, json.dumps(MANIFEST).encode())
    live.post("/v2/apps/", {"id": "green"})
    (result,) = live.post("/v2/apps/blue/promote/", {"to": ["green"]}).json()["results"]
    assert (result["state"], result["reason"]) == ("live", "")
    assert Build.objects.get(app__name="green").image == f"{settings.REGISTRY_HOST}/green@sha256:m"
    assert [asked[1:3] for asked in registry.asked] == [("sha256:c", "blue"), ("sha256:l", "blue")]
    assert registry.manifests["/v2/green/manifests/git-a1b2c3d4"] == (KIND, json.dumps(MANIFEST).encode())


def test_an_image_that_is_gone_fails_the_promotion_in_words(live, push, registry, settings):
    push(sha="a1b2c3d4", image=f"{settings.REGISTRY_HOST}/blue@sha256:" + "d" * 64)
    live.post("/v2/apps/", {"id": "green"})
    (result,) = live.post("/v2/apps/blue/promote/", {"to": ["green"]}).json()["results"]
    assert (result["state"], result["version"]) == ("failed", None)
    assert "the registry refused to copy blue@sha256:ddd" in result["reason"]


def test_a_layer_that_cannot_be_mounted_is_no_success(registry):
    registry.manifests["/v2/blue/manifests/x"] = (
        KIND,
        json.dumps(MANIFEST | {"layers": [{"digest": "sha256:z"}]}).encode(),
    )
    with pytest.raises(registry_api.RegistryTrouble, match="blob sha256:z can't be mounted from blue"):
        registry_api.copy_image("x", "blue", "green")
