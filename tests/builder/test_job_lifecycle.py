"""Cloud Native Buildpacks in a pod, without a cluster: its containers, and what is read of a builder image."""

import hashlib
import json

import kubernetes_validate
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from builder.cnb import BuilderImage
from builder.egress import parse_networks
from builder.errors import BuildFailed
from builder.jobs import lifecycle, spec
from builder.jobs.builder_image import BuilderImages, place_of
from builder.jobs.lifecycle import CnbTask, steps
from builder.jobs.pod import Phase, observe
from builder.settings import BuildLimits, Registry, Settings

LIMITS = BuildLimits(memory=1 << 30, cpus=1.5, timeout=900, disk_bytes=1 << 30)
BUILDER = BuilderImage("b.test/builder:1", "b.test/run:1", 1000, 1001, "0.13")
GIVEN = {"config": ["COLOUR", "KEY"], "registry": ["config.json"], "host": ["pip.conf", spec.CA_KEY]}


def pod(builder=BUILDER, fresh=False):
    made = steps(builder, "registry.test:5000", "shop", "git-1", fresh)
    task = CnbTask("build-shop-1", builder.name, (), {"PIP": "x"}, "mark", builder=builder, steps=made)
    job = spec.job(task, "paas", "builds", LIMITS, GIVEN, lifecycle.template(task, LIMITS, GIVEN))
    kubernetes_validate.validate(job, "1.32", strict=True)
    return job["spec"]["template"]["spec"]


def containers(made):
    return {one["name"]: one for one in (*made["initContainers"], *made["containers"])}


def mounts(container):
    return {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}


def test_phases_run_in_order_as_the_builder_images_user():
    made = pod()
    assert list(containers(made)) == ["build", "analyze", "detect", "restore", "compile", "export"]
    user = made["securityContext"]
    assert (user["runAsUser"], user["runAsGroup"], user["fsGroup"], user["runAsNonRoot"]) == (1000, 1001, 1001, True)
    assert made["automountServiceAccountToken"] is False
    for container in containers(made).values():
        assert container["image"] == BUILDER.name and container["resources"]["limits"]["memory"] == str(1 << 30)
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not any("hostPath" in volume for volume in made["volumes"])


def test_who_runs_buildpacks_sees_no_token_and_who_has_it_no_config():
    found = containers(pod())
    for name in ("analyze", "restore", "export"):
        there, env = mounts(found[name]), {one["name"] for one in found[name]["env"]}
        assert there[spec.DOCKER_CONFIG] == "registry" and "DOCKER_CONFIG" in env
        assert "config" not in there.values() and spec.HOST_FILES not in there and "PIP" not in env
    for name in ("detect", "compile"):
        there, env = mounts(found[name]), {one["name"] for one in found[name]["env"]}
        assert "registry" not in there.values() and "DOCKER_CONFIG" not in env and "PIP" in env
        assert {path for path, volume in there.items() if volume == "config"} == {
            "/platform/env/COLOUR", "/platform/env/KEY",
        }  # fmt: skip
    assert not {"config", "registry", "host"} & set(mounts(found["build"]).values())


def test_the_image_and_its_cache_go_to_the_apps_own_repository():
    found = containers(pod())
    words = found["export"]["command"]
    assert words[0] == "/cnb/lifecycle/exporter" and words[-1] == "registry.test:5000/shop:git-1"
    assert "-cache-image=registry.test:5000/shop:cnb-cache" in words
    assert "-insecure-registry=registry.test:5000" in words and "-run-image=b.test/run:1" in found["analyze"]["command"]
    older = BuilderImage("b", "r", 1, 1, "0.12")
    assert not any("insecure" in word for one in containers(pod(older)).values() for word in one["command"])
    fresh = containers(pod(fresh=True))
    assert "-skip-layers" in fresh["restore"]["command"] and any("cache" in word for word in fresh["export"]["command"])


def test_a_pod_is_seen_container_by_container():
    ended = {"terminated": {"reason": "Error", "exitCode": 21}}
    status = {
        "initContainerStatuses": [{"name": "build", "state": {"running": {}}}, {"name": "detect", "state": ended}],
        "containerStatuses": [{"name": "export", "state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    sights = [observe({"status": status}, name) for name in ("build", "detect", "export", "none")]
    assert [sight.phase for sight in sights] == [Phase.RUNNING, Phase.ENDED, Phase.WAITING, Phase.WAITING]
    assert sights[1].code == 21


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ("team/builder", ("registry-1.docker.io", "team/builder", "latest")),
        ("docker.io/team/builder:24", ("registry-1.docker.io", "team/builder", "24")),
        ("gcr.io/a/b@sha256:12", ("gcr.io", "a/b", "sha256:12")),
    ],
)
def test_where_an_image_is(image, place):
    found = place_of(image)
    assert (found.host, found.repository, found.reference) == place


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture
async def public():
    """A registry that gives everybody a token; its host:port."""
    config = json.dumps({"config": {"Labels": {"is": "read"}}}).encode()
    manifest = json.dumps({"config": {"digest": digest_of(config)}}).encode()
    listed = [{"digest": "sha256:1", "platform": {"os": "linux", "architecture": "arm64"}},
              {"digest": digest_of(manifest), "platform": {"os": "linux", "architecture": "amd64"}}]  # fmt: skip
    answers = {
        "/v2/team/builder/manifests/1": json.dumps({"manifests": listed}).encode(),
        "/v2/team/builder/manifests/2": json.dumps({"manifests": listed[:1]}).encode(),
        f"/v2/team/builder/manifests/{digest_of(manifest)}": manifest,
        "/elsewhere": config,
    }

    async def answer(request):
        if request.path == "/token":
            assert request.query["scope"] == "repository:team/builder:pull"
            return web.json_response({"token": "everybodys"})
        if request.path.endswith(digest_of(config)):
            raise web.HTTPTemporaryRedirect("/elsewhere")
        if request.path.startswith("/v2/") and request.headers.get("Authorization") != "Bearer everybodys":
            challenge = f'Bearer realm="http://{request.host}/token",service="s"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        content = answers.get(request.path)
        return web.Response(body=content) if content else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield f"{server.host}:{server.port}"


def images(tmp_path, allow):
    settings = Settings(
        tmp_path, "http://127.0.0.1:1", "key", Registry("registry.test:5000"), fetch_allow=parse_networks(allow)
    )
    return BuilderImages(None, settings, scheme="http")


async def test_a_public_builder_image_is_read_where_it_is(public, tmp_path):
    known = images(tmp_path, "127.0.0.0/8")
    assert await known.inspect(f"{public}/team/builder:1") == {"Config": {"Labels": {"is": "read"}}}
    for missing in (f"{public}/team/builder:2", f"{public}/team/none:1"):
        with pytest.raises(BuildFailed, match="has no such image for us"):
            await known.inspect(missing)


async def test_nobody_sends_the_builder_into_private_networks(public, tmp_path):
    known = images(tmp_path, "")
    for image in (f"{public}/team/builder:1", public.replace("127.0.0.1", "localhost") + "/team/builder:1"):
        with pytest.raises(BuildFailed, match="The registry .* is within a private network"):
            await known.inspect(image)


async def test_another_apps_image_is_no_builder(tmp_path):
    with pytest.raises(BuildFailed, match="is an app's image"):
        await images(tmp_path, "").inspect("registry.test:5000/othershop:latest")
