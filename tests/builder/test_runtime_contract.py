"""What a push expects of whatever builds it, held against both: containers of an engine, Jobs of a cluster."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import jwt
import pytest

from builder.detect import Way
from builder.egress import parse_networks
from builder.engine import Engine
from builder.errors import BuildFailed, RegistryError
from builder.registry_api import RegistryClient
from builder.settings import BuildLimits, Cluster, Registry, Settings
from builder.stack_image import send
from orchestrator.kubelet.cleanup import cleanup
from tests.builder.conftest import STACK
from tests.builder.runtimes import DOCKER, folder_of, layers_of, opened
from tests.conformance.live import Cluster as RunningCluster
from tests.registry.harness import BUILDER_KEY, RunningRegistry

pytestmark = pytest.mark.engine
NUMBER = os.getpid() % 60
INSTANCE = f"jobs-{NUMBER}"
MIB = 1 << 20
PAGE = {"index.html": "hello\n"}
# The tree has two names, and one mount with the cache, so that buildpacks rename and link between them.
MADE = ("echo built >/workspace/app/made && ln made other; ln /workspace/app/made $2/made && printf 'no end of line'",)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Our own orchestrator over this machine's engine."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl isn't installed")
    folder = tmp_path_factory.mktemp("jobs-cluster")
    running = RunningCluster(
        folder, AGENT_RUNTIME="docker", AGENT_INSTANCE=INSTANCE, AGENT_SANDBOX_POOL="2",
        DOCKER_HOST=DOCKER, ORCHESTRATOR_POD_CIDR=f"10.223.{NUMBER * 4}.0/22",
        ORCHESTRATOR_SERVICE_CIDR=f"10.224.{NUMBER * 4}.0/22",
    )  # fmt: skip
    running.start()
    yield running
    running.stop()
    cleanup(INSTANCE, DOCKER, data=folder / "agent")


@pytest.fixture(scope="session")
def login(registry, stack):
    """The registry, which holds the stack image."""
    host, credentials = registry
    login = Registry(host, *json.loads(credentials.read_text()).values())

    async def fill():
        async with Engine(DOCKER) as engine:
            await send(engine, login, STACK)

    asyncio.run(fill())
    return login


@pytest.fixture(params=["engine", "kubernetes"])
def settings(request, tmp_path, login):
    made = Settings(
        data=folder_of(tmp_path),
        controller_url="http://127.0.0.1:1",
        builder_key=BUILDER_KEY,
        registry=login,
        instance=f"test-runtime-{os.getpid()}-{request.param}",
        stack_image=STACK,
        docker_host=DOCKER,
        limits=BuildLimits(memory=256 * MIB, timeout=60),
        pool=0,
        host=dict(os.environ),
    )
    if request.param == "engine":
        return made
    running = request.getfixturevalue("cluster")
    return replace(made, cluster=Cluster(str(running.kubeconfig), "builds", image=made.build_image))


def script(*lines: str) -> dict[str, str]:
    """An app of one page whose build runs `lines` first."""
    return {**PAGE, "bin/pre_compile": "\n".join(["#!/bin/bash", *lines, ""])}


def play(settings, scene):
    async def run():
        async with opened(settings) as stage:
            return await scene(stage)

    return asyncio.run(run())


def test_a_build_becomes_an_image_and_its_output_comes_in_order(settings):
    async def scene(stage):
        result = await stage.build("order", script("seq 1 500", *MADE))
        base = await stage.registry.manifest(*STACK.split(":"))
        async with asyncio.timeout(60):
            while await asyncio.to_thread(stage.left):
                pass
        return stage, result, await layers_of(stage.registry, "order", result, len(base.content["layers"]))

    stage, result, (_, layers) = play(settings, scene)
    assert [line.strip() for line in stage.lines if line.strip().isdigit()] == [str(n) for n in range(1, 501)]
    assert "no end of line" in stage.text and "Static" in stage.text
    assert list(result.processes) == ["web"] and result.stack == STACK
    assert b"built\n" in b"".join(gzip.decompress(layer) for layer in layers)


def test_a_failing_build_says_why(settings):
    async def scene(stage):
        with pytest.raises(BuildFailed, match="bin/pre_compile failed with exit code 3."):
            await stage.build("broken", script("echo before", "exit 3"))
        assert "before\n" in stage.text

    play(settings, scene)


def test_a_build_without_memory_left_says_so(settings):
    async def scene(stage):
        with pytest.raises(BuildFailed, match="out of memory at 256 MiB"):
            await stage.build("hungry", script("python3 -c 'x = bytearray(10**9)'"))

    play(settings, scene)


def test_a_build_that_takes_too_long_is_stopped(settings):
    async def scene(stage):
        with pytest.raises(BuildFailed, match="not done after 2 s"):
            await stage.build("slow", script("sleep 60"))

    play(replace(settings, limits=replace(settings.limits, timeout=2)), scene)


def test_a_build_that_fills_the_disk_is_stopped(settings):
    async def scene(stage):
        with pytest.raises(BuildFailed, match="more than 32 MiB of disk"):
            await stage.build("fat", script("head -c 100M /dev/zero >big", "sleep 50"))

    play(replace(settings, limits=replace(settings.limits, disk_bytes=32 * MIB)), scene)


def test_a_cancelled_build_leaves_nothing_within_two_seconds(settings):
    async def taken(stage):
        building = asyncio.create_task(
            stage.build("left", script("echo begun", "sleep 60"), TOKEN="long-enough-secret")
        )
        begun = stage.text.count("begun\n")
        while stage.text.count("begun\n") == begun:
            assert not building.done(), building.result()
            await asyncio.sleep(0.05)
        assert stage.left()
        began = looked = time.monotonic()
        building.cancel()
        while await asyncio.to_thread(stage.left):
            looked = time.monotonic()  # looking takes its time, too
            assert looked - began < 30
        assert building.done()
        return looked - began

    async def scene(stage):
        tries = [await taken(stage)]
        while min(tries) > 2 and len(tries) < 3:  # a machine may have been busy once
            tries.append(await taken(stage))
        assert min(tries) < 2, tries

    play(settings, scene)


def test_secrets_are_neither_in_the_output_nor_in_the_image(settings):
    secret = "a-secret-nobody-else-reads"

    async def scene(stage):
        files = script('echo "it is $API_TOKEN, $(cat "$3/API_TOKEN")"', 'cat "$3/API_TOKEN" | wc -c >length')
        result = await stage.build("discreet", files, API_TOKEN=secret)
        base = await stage.registry.manifest(*STACK.split(":"))
        return stage.text, await layers_of(stage.registry, "discreet", result, len(base.content["layers"]))

    text, (config, layers) = play(settings, scene)
    content = b"".join(gzip.decompress(layer) for layer in layers)
    assert "it is [API_TOKEN], [API_TOKEN]" in text and secret not in text
    assert str(len(secret)).encode() in content
    assert secret.encode() not in config + content


def test_the_second_build_finds_the_cache_and_packs_its_layers_once(settings):
    files = script(
        'D=$2/layers/dep-1; [ -d "$D" ] && echo found || { mkdir -p "$D/in"; echo x >"$D/in/a"; ln "$D/in/a" "$D/b"; }',
        'ln -s /workspace/cache/layers/dep-1 dep; echo "$RANDOM" >"$2/other"',
    )

    async def scene(stage):
        first = await stage.build("cached", files)
        assert "found\n" not in stage.text and "dependencies new" in stage.text
        second = await stage.build("cached", files)
        assert "found\n" in stage.text and "dependencies unchanged" in stage.text
        return first, second

    first, second = play(settings, scene)
    assert first.digest == second.digest


def test_a_change_of_code_alone_takes_no_container(settings):
    app = {"package.json": '{"name": "n", "version": "1.0.0"}', "index.js": "1"}

    async def scene(stage):
        base = await stage.registry.manifest(*STACK.split(":"))

        async def pushed(files, **config):
            """What of the image is the app's, and whether it took a container."""
            result = await stage.build("quick", {**app, **files}, **config)
            assert list(result.processes) == ["web"] and "Node.js app" in stage.text
            _, layers = await layers_of(stage.registry, "quick", result, len(base.content["layers"]))
            return b"".join(map(gzip.decompress, layers)), "container" in stage.phases

        assert (await pushed({"words.dat": "one"}))[1], "the first"
        assert (await pushed({"words.dat": "two"}))[1], "it installs nothing, and says so"
        stage.lines.clear()
        content, took = await pushed({"words.dat": "three", "added.dat": "four"})
        assert not took and b"three" in content and b"four" in content and b"two" not in content
        assert (await pushed({"words.dat": "three"}, GREETING="hi"))[1], "config may decide"
        assert (await pushed({"bin/pre_compile": "#!/bin/sh\necho hooked"}, GREETING="hi"))[1]
        assert "hooked\n" in stage.text

    play(settings, scene)


@pytest.fixture(scope="session")
def reachable(registry, login, tmp_path_factory):
    """The registry's images at an address that pods can reach."""
    folder = tmp_path_factory.mktemp("reachable")
    (folder / "images").symlink_to(registry[1].parent / "images")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address = probe.getsockname()[0]
    running = RunningRegistry(folder, address)
    yield replace(login, host=running.host)
    running.stop()


@pytest.fixture
def with_dockerfiles(settings, request):
    """Settings under which Dockerfiles are built; on Kubernetes with the BuildKit that `TEST_BUILDKIT_IMAGE` names."""
    if settings.cluster is None:
        return settings
    image = os.environ.get("TEST_BUILDKIT_IMAGE")
    if not image:
        pytest.skip("TEST_BUILDKIT_IMAGE names no rootless BuildKit on this machine's engine")
    cluster = replace(settings.cluster, buildkit_image=image)
    return replace(settings, cluster=cluster, registry=request.getfixturevalue("reachable"))


def dockerfile(*lines):
    """An app that no engine has built before."""
    return {"Dockerfile": "\n".join([f"FROM {STACK}", *lines, ""]), "page": f"hello {token_hex(4)}\n"}


def test_a_dockerfile_becomes_an_image_without_its_secrets(with_dockerfiles):
    secret = "a-secret-nobody-else-reads"
    files = dockerfile(
        "COPY page /page",
        "RUN --mount=type=secret,id=API_TOKEN,mode=0444 wc -c </run/secrets/API_TOKEN | tee /tmp/length",
        "EXPOSE 5000/tcp", 'CMD ["serve"]',
    )  # fmt: skip

    async def scene(stage):
        result = await stage.build("docked", files, Way.DOCKERFILE, API_TOKEN=secret)
        base = await stage.registry.manifest(*STACK.split(":"))
        return stage.text, result, await layers_of(stage.registry, "docked", result, len(base.content["layers"]))

    text, result, (config, layers) = play(with_dockerfiles, scene)
    content = b"".join(gzip.decompress(layer) for layer in layers)
    assert result.ports == (5000,) and result.processes == {} and result.stack == "container"
    assert f"{len(secret)}\n" in text and f"{len(secret)}\n".encode() in content and b"hello" in content
    assert secret.encode() not in config + content and secret not in text


def test_a_dockerfiles_second_build_finds_the_first_ones_steps(with_dockerfiles):
    files = dockerfile("COPY page /page", "RUN echo once $RANDOM >/tmp/made", 'CMD ["serve"]')

    async def scene(stage):
        return [await stage.build("again", files, Way.DOCKERFILE) for _ in range(2)], stage.text

    (first, second), text = play(with_dockerfiles, scene)
    assert first.digest == second.digest and "cache" in text  # (cached), Using cache


def test_a_failing_dockerfile_says_which_step(with_dockerfiles):
    async def scene(stage):
        with pytest.raises(BuildFailed, match="The build step failed with exit code 3: .*exit 3"):
            await stage.build("undocked", dockerfile("RUN echo before; exit 3"), Way.DOCKERFILE)
        assert "before\n" in stage.text
        with pytest.raises(BuildFailed, match="can't be read|dockerfile parse error|unknown instruction"):
            await stage.build("undocked", dockerfile("RUNN echo"), Way.DOCKERFILE)

    play(with_dockerfiles, scene)


@pytest.fixture
def with_builder_image(settings, request, login, tmp_path):
    """Settings under which a builder image of our own making is named, and its name."""
    registry = login if settings.cluster is None else request.getfixturevalue("reachable")
    where = f"{registry.host}/" if settings.cluster else ""  # an engine has them without a registry
    run, builder = (f"{where}paas-test-cnb/{name}:{NUMBER}" for name in ("run", "builder"))
    folder = tmp_path / "image"
    folder.mkdir()
    for name in ("cnb_creator.py", "cnb_phases.py"):
        (folder / name).write_text((Path(__file__).parent / name).read_text())
    labels = {"stack": {"runImage": {"image": run}}}, {"platform": {"supported": ["0.11", "0.12", "0.13", "0.14"]}}
    phases = " ".join(f"/cnb/lifecycle/{name}" for name in ("analyzer", "detector", "restorer", "builder", "exporter"))
    (folder / "Dockerfile").write_text(
        f"FROM {STACK}\nUSER root\nCOPY --chown=0:0 cnb_creator.py /cnb/lifecycle/creator\n"
        "COPY --chown=0:0 cnb_phases.py /cnb/lifecycle/phases\n"
        f"RUN chmod 755 /cnb/lifecycle/*; for one in {phases}; do ln -s phases $one; done\n"
        "RUN /usr/sbin/useradd -u 1234 cnb\n"
        f"LABEL io.buildpacks.builder.metadata='{json.dumps(labels[0])}'\n"
        f"LABEL io.buildpacks.lifecycle.apis='{json.dumps(labels[1])}'\n"
        'ENV CNB_USER_ID=1234 CNB_GROUP_ID=1234\nUSER cnb\nENTRYPOINT ["/bin/false"]\n'
    )
    words = ["docker", "build", "-q", "-t", builder, str(folder)]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    names = [builder, run]
    subprocess.run(["docker", "tag", STACK, run], check=True)
    if settings.cluster is not None:  # nodes find them; the lifecycle and the builder look into the registry
        for name in (builder, run):
            short = name.removeprefix(f"{registry.host}/")
            subprocess.run(["docker", "tag", name, short], check=True)
            names.append(short)
            asyncio.run(sent(login, short))
    yield replace(settings, registry=registry), builder
    subprocess.run(["docker", "rmi", "-f", *names], capture_output=True)


async def sent(login, image):
    async with Engine(DOCKER) as engine:
        await send(engine, login, image)


def test_a_builder_images_lifecycle_makes_the_image(with_builder_image):
    settings, image = with_builder_image
    secret = "a-secret-nobody-else-reads"
    config = {"API_TOKEN": secret, "COLOUR": "blue"}

    async def scene(stage):
        first = await stage.build("native", {"app.txt": "hello"}, Way.CNB, image, **config)
        assert "cached 0" in stage.text
        second = await stage.build("native", {"app.txt": "again"}, Way.CNB, image, **config)
        assert "cached 1" in stage.text and "colour blue" in stage.text
        with pytest.raises(BuildFailed, match="No buildpack of the builder image knows this app"):
            await stage.build("native", {"app.txt": "x"}, Way.CNB, image, **config, REFUSE="21")
        with pytest.raises(BuildFailed, match="A buildpack failed"):
            await stage.build("native", {"app.txt": "x"}, Way.CNB, image, **config, REFUSE="51")
        base = await stage.registry.manifest(*STACK.split(":"))
        assert first.digest != second.digest and (await stage.registry.manifest("native", first.digest)) is not None
        return stage.text, second, await layers_of(stage.registry, "native", second, len(base.content["layers"]))

    text, result, (content, layers) = play(settings, scene)
    assert result.processes == {"web": "/cnb/process/web", "worker": "/cnb/process/worker"} and result.way is Way.CNB
    content += b"".join(gzip.decompress(layer) for layer in layers)
    assert b"again" in content and secret.encode() not in content and secret not in text


def test_an_image_that_is_no_builder_says_so(with_builder_image):
    settings, image = with_builder_image

    async def scene(stage):
        with pytest.raises(BuildFailed, match="is not a builder image"):
            await stage.build("native", PAGE, Way.CNB, image.replace("/builder:", "/run:"))

    play(settings, scene)


def test_buildkits_token_opens_the_apps_own_repository_alone(login):
    async def ask():
        async with RegistryClient(login) as client:
            return await client.push_token("shop", "paas/stack", 7200)

    claims = jwt.decode(asyncio.run(ask()), options={"verify_signature": False})
    assert [(one["name"], one["actions"]) for one in claims["access"]] == [
        ("shop", ["pull", "push"]), ("paas/stack", ["pull"]),
    ]  # fmt: skip
    assert claims["exp"] - claims["iat"] == 7200, "as long as the build may take"


def test_what_the_builds_namespace_holds_pulls_the_platforms_images_alone(login):
    async def ask():
        async with RegistryClient(login) as client:
            given = await client.node_login(login, "paas/stack", BUILDER_KEY, 60)
            foreign = await client.node_login(login, "paas/stack", "another platform's key", 60)
        async with RegistryClient(given) as node:
            with pytest.raises(RegistryError):
                await node.upload("shop", "sha256:" + "0" * 64, b"", 0, is_new=True)
            with pytest.raises(RegistryError):
                await node.manifest("shop", "latest")
            return given, foreign, await node.manifest(*STACK.split(":"))

    given, foreign, manifest = asyncio.run(ask())
    assert given.username.startswith("builds/") and given.password != login.password and manifest
    assert foreign == login, "a registry of somebody else's knows no such login"


@pytest.fixture
def neighbour(cluster):
    """The address of a pod of somebody else's, in which something listens on port 8000."""

    def kubectl(*words):
        command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    image = STACK.replace(":", "-build:")
    listen = ["--command", "--", "python3", "-m", "http.server", "8000", "--directory", "/srv"]
    kubectl("run", "neighbour", f"--image={image}", "--image-pull-policy=IfNotPresent", *listen)
    kubectl("wait", "--for=condition=Ready", "pod/neighbour", "--timeout=50s")
    yield kubectl("get", "pod", "neighbour", "-o", "jsonpath={.status.podIP}")
    kubectl("delete", "pod", "neighbour", "--grace-period=0", "--force")


def test_a_pod_has_no_identity_and_reaches_no_other_pod(cluster, neighbour, login, tmp_path):
    settings = Settings(
        data=folder_of(tmp_path), controller_url="http://127.0.0.1:1", builder_key=BUILDER_KEY, registry=login,
        instance=f"test-runtime-{os.getpid()}-closed", stack_image=STACK, host=dict(os.environ),
        limits=BuildLimits(memory=256 * MIB, timeout=60),
    )  # fmt: skip
    settings = replace(settings, cluster=Cluster(str(cluster.kubeconfig), "builds", image=settings.build_image))
    lines = [
        "getent hosts kubernetes.default.svc.cluster.local >/dev/null && echo 'names are found'",
        f'timeout 1 bash -c "</dev/tcp/{neighbour}/8000" 2>/dev/null && echo reached || echo shut',
        'echo "user $(id -u), $(ls -d /var/run/secrets/kubernetes.io 2>&1)"',
    ]

    async def scene(stage):
        await stage.build("closed", script(*lines))
        return stage.text

    assert "reached" in play(settings, scene)
    pods = f"10.223.{NUMBER * 4}.0/22"
    text = play(replace(settings, denied=parse_networks(pods)), scene)
    assert "shut" in text and "reached" not in text and "names are found" in text
    assert "user 10001" in text and "No such file" in text


def test_a_push_becomes_a_release_without_an_engine_in_reach(cluster, login, start_builder, controller, tmp_path):
    running = start_builder(
        "jobs", BUILDER_RUNTIME="kubernetes", BUILDER_KUBECONFIG=str(cluster.kubeconfig), BUILDER_NAMESPACE="builds",
        BUILDER_JOB_IMAGE=STACK.replace(":", "-build:"), DOCKER_HOST="unix:///nowhere/docker.sock",
        BUILD_MEMORY=str(256 * MIB),
    )  # fmt: skip
    client = running.client(tmp_path / "client", apps=("pages",))
    output = client.push(client.repository("pages", PAGE))
    assert "Static site app detected" in output and "deployed to" in output
    assert controller.builds[-1]["image"].startswith(f"{login.host}/pages@sha256:")
    (client.folder / "pages" / "Dockerfile").write_text("FROM scratch\n")
    client.commit(client.folder / "pages")
    refused = client.push(client.folder / "pages", check=False)
    assert "This platform builds no Dockerfiles: its operator names no BUILDER_BUILDKIT_IMAGE." in refused
