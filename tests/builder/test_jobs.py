"""Builds as Jobs, without a cluster: the objects that are made, what a pod's status means, what comes back of it."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json
import os
import tarfile

import kubernetes_validate
import pytest

from builder.dockerfile import Plan
from builder.errors import BuildFailed
from builder.jobs import dockerfile, spec
from builder.jobs import pod as jobs_pod
from builder.jobs.api import KubeApi
from builder.jobs.handover import Arrival, pack
from builder.jobs.pod import Phase, Pod, explain, observe, split
from builder.jobs.pods import config_files, name_of
from builder.jobs.spec import Task
from builder.progress import Progress
from builder.registry_auth import RegistryAuth
from builder.settings import BuildLimits, Registry, SettingsError, load

LIMITS = BuildLimits(memory=1 << 30, cpus=1.5, timeout=900, disk_bytes=1 << 30)
REGISTRY = Registry("registry.test:5000", "builder", "its-password")


def valid(obj):
    kubernetes_validate.validate(obj, "1.32", strict=True)
    return obj


def job(rootless=False, **secrets):
    task = Task("build-shop-1", "image:1", ["run"], {"A": "b"}, "mark", rootless)
    return valid(spec.job(task, "paas", "builds", LIMITS, secrets or {"config": ["KEY"], "host": ["pip.conf"]}))


def test_a_buildpacks_pod_may_nothing_but_build():
    made = job()
    assert made["spec"]["activeDeadlineSeconds"] == 900 + spec.STARTING and made["spec"]["backoffLimit"] == 0
    assert made["spec"]["ttlSecondsAfterFinished"] == spec.TTL and made["spec"]["suspend"] is True
    pod = made["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False and pod["terminationGracePeriodSeconds"] == 1
    assert pod["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "privileged": False, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container["resources"]["limits"] == {
        "memory": str(1 << 30), "cpu": "1500m", "ephemeral-storage": str(1 << 30),
    }  # fmt: skip
    scratch = [volume for volume in pod["volumes"] if "emptyDir" in volume]
    assert scratch and all(volume["emptyDir"] == {"sizeLimit": str(1 << 30)} for volume in scratch)
    assert not any("hostPath" in volume for volume in pod["volumes"])


def test_the_tree_lies_beside_the_cache_on_one_volume():
    """Buildpacks rename what they install from one to the other."""
    mounts = job()["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    where = {mount["mountPath"]: (mount["name"], mount.get("subPath", "")) for mount in mounts}
    assert where["/workspace"] == ("workspace", "") and where["/app"] == ("workspace", "app")


def test_a_hosts_authorities_take_the_place_of_the_images():
    mounts = job(host=[spec.CA_KEY])["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "host", "mountPath": "/etc/ssl/certs/ca-certificates.crt", "subPath": spec.CA_KEY,
            "readOnly": True} in mounts  # fmt: skip


def test_a_builds_secrets_go_with_its_job():
    owner = {"metadata": {"name": "build-shop-1", "uid": "u-1"}}
    made = valid(spec.secret("build-shop-1", "config", "builds", "paas", {"KEY": b"value"}, owner))
    (reference,) = made["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["uid"]) == ("Job", "u-1") and made["data"] == {"KEY": "dmFsdWU="}
    valid(spec.pull_secret("builds", "paas", REGISTRY))


def test_builds_reach_name_servers_the_world_and_what_is_named_but_not_what_is_denied():
    denied = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    index = (ipaddress.ip_address("10.1.2.3"), 443)
    policy = valid(spec.network_policy("builds", "paas", denied, [index]))["spec"]
    assert policy["ingress"] == [] and policy["policyTypes"] == ["Ingress", "Egress"]
    names, world, hole = policy["egress"]
    assert {each["port"] for each in names["ports"]} == {53} and "to" not in names
    assert [each["ipBlock"] for each in world["to"]] == [
        {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}, {"cidr": "::/0", "except": ["fd00::/8"]},
    ]  # fmt: skip
    assert hole["to"] == [{"ipBlock": {"cidr": "10.1.2.3/32"}}] and {each["port"] for each in hole["ports"]} == {443}


def test_names_fit_whatever_the_apps_is():
    name = name_of("a" * 29 + "-" + "b" * 30)
    assert name.startswith("build-" + "a" * 29 + "-") and len(name) + len("-xxxxx") <= 63 and "--" not in name


def test_config_that_a_secret_cannot_hold():
    assert config_files({"KEY": "v", "a/b": "w", "..": "x"}) == {"KEY": b"v"}
    with pytest.raises(BuildFailed, match="1 MiB"):
        config_files({"KEY": "x" * (2 << 20)})


def test_where_builds_run_is_a_setting(tmp_path):
    env = {"BUILDER_DATA": str(tmp_path)}
    assert load(env).cluster is None
    cluster = load(
        {**env, "BUILDER_RUNTIME": "kubernetes", "BUILDER_KUBECONFIG": "/k", "BUILDER_NAMESPACE": "n"}
    ).cluster
    assert cluster and (cluster.kubeconfig, cluster.namespace, cluster.buildkit_image) == ("/k", "n", "")
    with pytest.raises(SettingsError, match="BUILDER_RUNTIME='swarm'"):
        load({**env, "BUILDER_RUNTIME": "swarm"})


# What a pod's status means


@pytest.mark.parametrize(
    "user, said",
    [({"token": "abc"}, {"Authorization": "Bearer abc"}), ({}, {})],
)
def test_a_service_accounts_token_is_shown_at_every_call(tmp_path, user, said):
    path = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://api.test:6443"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    document = {"clusters": [cluster], "users": [{"name": "u", "user": user}], "contexts": [context]}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **document}))
    assert KubeApi(str(path))._headers() == said


def pod(state=None, **status):
    containers = {"containerStatuses": [{"state": state}]} if state else {}
    return {"status": {**containers, **status}}


@pytest.mark.parametrize(
    ("seen", "phase", "words"),
    [
        (pod(), Phase.WAITING, ""),
        (pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]), Phase.WAITING, ""),
        (pod({"waiting": {"reason": "ContainerCreating"}}), Phase.WAITING, ""),
        (pod({"waiting": {"reason": "ErrImagePull"}}), Phase.WAITING, ""),
        (pod({"waiting": {"reason": "ImagePullBackOff"}}), Phase.WAITING, ""),
        (pod({"waiting": {"reason": "InvalidImageName", "message": "no such image"}}), Phase.ENDED,
         "can't start a build (InvalidImageName): no such image"),
        (pod({"running": {}}), Phase.RUNNING, ""),
        (pod({"terminated": {"reason": "OOMKilled", "exitCode": 137}}), Phase.ENDED, "out of memory at 1 GiB"),
        (pod({"terminated": {"reason": "Error", "exitCode": 143}}), Phase.ENDED, "The build was lost"),
        (pod(reason="Evicted", message='Usage of EmptyDir volume "app" exceeds the limit "1Gi". '), Phase.ENDED,
         "more than 1 GiB of disk"),
        (pod(reason="Evicted", message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "),
         Phase.ENDED, "more than 1 GiB of disk"),
        (pod(reason="Evicted", message="The node was low on resource: memory."), Phase.ENDED,
         "its pod ended (Evicted). The node was low on resource: memory. Push again."),
        (pod(reason="DeadlineExceeded"), Phase.ENDED, "BUILD_TIMEOUT"),
    ],
)  # fmt: skip
def test_a_pods_status_is_told_as_a_builds_end(seen, phase, words):
    sight = observe(seen)
    assert sight.phase is phase
    if words:
        assert words in str(explain(sight, LIMITS))


UNSIGNED = {"waiting": {"reason": "ImagePullBackOff", "message": "authentication required"}}


async def see(followed, state):
    """Have the cluster tell of the pod in `state`."""
    await followed._take({"type": "MODIFIED", "object": {"metadata": {"name": "p"}, **pod(state)}})


async def test_a_pull_that_fails_at_first_is_waited_for(monkeypatch):
    monkeypatch.setattr(jobs_pod, "LOOK", 0.01)
    followed = Pod(None, "builds", "")
    waiting = asyncio.create_task(followed.started(5, LIMITS, Progress(print)))
    for state in (UNSIGNED, UNSIGNED, {"running": {}}):
        await see(followed, state)
        await asyncio.sleep(0.05)
    await waiting


async def test_a_pull_that_goes_on_failing_is_told_in_the_nodes_words(monkeypatch):
    monkeypatch.setattr(jobs_pod, "LOOK", 0.01)
    monkeypatch.setattr(jobs_pod, "PULL_PATIENCE", 0.05)
    followed = Pod(None, "builds", "")
    await see(followed, UNSIGNED)
    with pytest.raises(BuildFailed, match=r"can't start a build \(ImagePullBackOff\): authentication required"):
        await followed.started(5, LIMITS, Progress(print))


def test_log_lines_have_their_time_and_later_pieces_of_a_long_one_none():
    assert split(b"2026-01-01T00:00:00.1Z a b", False) == ("2026-01-01T00:00:00.1Z", b"a b")
    assert split(b"a b", True) == ("", b"a b")


# What comes back


def archive(listing: bytes, *members: tuple[str, bytes, dict]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content, more in (("listing", listing, {}), *members):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(content), 0o644, 1000
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return stream


@pytest.fixture
def folders(tmp_path):
    app, cache = tmp_path / "app", tmp_path / "cache"
    (app / "old").mkdir(parents=True)
    (app / "old" / "gone").write_text("x")
    (app / "kept").write_text("kept")
    (app / "turned").write_text("a file")
    cache.mkdir()
    return {"app": app, "workspace/cache": cache}


FOLDER, LINK, HARD = {"type": tarfile.DIRTYPE, "mode": 0o755}, {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}
OLD = b"fapp/kept\0"


def test_only_what_changed_is_written_and_what_is_gone_goes(folders):
    app, cache = folders["app"], folders["workspace/cache"]
    before = (app / "kept").stat()
    listing = OLD + b"dapp/turned\0fapp/turned/a\0lapp/link\0fworkspace/cache/one\0fworkspace/cache/two\0"
    stream = archive(
        listing, ("app/turned", b"", FOLDER), ("app/turned/a", b"new", {"mode": 0o755}),
        ("app/link", b"", {**LINK, "linkname": "/etc/passwd"}), ("workspace/cache/one", b"1", {}),
        ("workspace/cache/two", b"", {**HARD, "linkname": "workspace/cache/one"}),
    )  # fmt: skip
    Arrival(folders, 1 << 20).unpack(stream)
    assert (app / "kept").stat() == before and not (app / "old").exists()
    made = (app / "turned" / "a").stat()
    assert (app / "turned" / "a").read_text() == "new" and (made.st_mode & 0o777, made.st_mtime) == (0o755, 1000)
    assert os.readlink(app / "link") == "/etc/passwd" and (cache / "two").read_text() == "1"


@pytest.mark.parametrize(
    "members",
    [
        [("app/../../x", b"", {})],
        [("/etc/x", b"", {})],
        [("elsewhere", b"", {})],
        [("app/none/x", b"", {})],
        [("app/link", b"", {**LINK, "linkname": "OUTSIDE"}), ("app/link/x", b"", {})],
        [("app/copy", b"", {**HARD, "linkname": "app/../../outside/secret"})],
        [
            ("app/link", b"", {**LINK, "linkname": "OUTSIDE"}),
            ("app/copy", b"", {**HARD, "linkname": "app/link/secret"}),
        ],
    ],
)
def test_an_archive_leads_nowhere_else(folders, tmp_path, members):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("s")
    for _, _, more in (members := [(name, data, dict(more)) for name, data, more in members]):
        more.update({key: str(outside) for key, value in more.items() if value == "OUTSIDE"})
    with pytest.raises((ValueError, OSError)):
        Arrival(folders, 1 << 20).unpack(archive(OLD + b"lapp/link\0", *members))
    assert [path.name for path in outside.iterdir()] == ["secret"] and not (folders["app"] / "copy").exists()


def test_a_folder_that_turns_into_a_link_changes_nothing_behind_it(folders, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    entries = [("app/x", b"", {**FOLDER, "mode": 0o777}), ("app/x", b"", {**LINK, "linkname": str(outside)})]
    Arrival(folders, 1 << 20).unpack(archive(OLD, *entries))
    assert outside.stat().st_mode & 0o777 == 0o700


def test_devices_and_files_that_claim_what_they_lack_are_left_out(folders):
    Arrival(folders, 1 << 20).unpack(archive(OLD, ("app/null", b"", {"type": tarfile.CHRTYPE})))
    assert not (folders["app"] / "null").exists()
    with pytest.raises(BuildFailed, match="BUILD_DISK"):
        Arrival(folders, 10).unpack(archive(OLD, ("app/big", b"x" * 11, {})))
    for broken in (io.BytesIO(b""), archive(OLD, ("app/a", b"1", {})).getvalue()[:600]):
        with pytest.raises((ValueError, tarfile.TarError)):
            Arrival(folders, 10).unpack(io.BytesIO(broken) if isinstance(broken, bytes) else broken)


def test_what_goes_in_is_a_tar_of_everything(folders):
    (folders["app"] / "link").symlink_to("kept")
    target = io.BytesIO()
    assert pack(folders, {"workspace/build.sh": b"exec x\n"}, target) == len(target.getvalue())
    target.seek(0)
    with tarfile.open(fileobj=target) as tar:
        assert sorted(tar.getnames()) == [
            "app/kept",
            "app/link",
            "app/old",
            "app/old/gone",
            "app/turned",
            "workspace/build.sh",
        ]
        assert tar.extractfile("workspace/build.sh").read() == b"exec x\n"


# Dockerfiles, by BuildKit


def test_buildkits_pod_is_rootless_and_has_a_token_of_the_registry():
    made = job(rootless=True, config=["KEY"], host=["pip.conf"], registry=["config.json"])
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == 1000 and pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["privileged"] is False
    assert {"name": "registry", "mountPath": "/run/paas-registry", "readOnly": True} in container["volumeMounts"]
    assert spec.token_config(REGISTRY, "t") == b'{"auths": {"registry.test:5000": {"registrytoken": "t"}}}'
    assert spec.token_config(REGISTRY, "") == b'{"auths": {}}'


def test_a_registry_that_knows_only_passwords_is_seen():
    auth = RegistryAuth("builder", "its-password")
    assert not auth.takes_passwords
    auth.learn({"WWW-Authenticate": 'Basic realm="registry"'}, "shop", "")
    assert auth.takes_passwords


def test_buildctl_is_told_everything_and_no_secret():
    plan = Plan(None, "FROM paas/stack:trixie\nFROM debian:13\n", "run", {"A": "1"}, {})
    words = dockerfile.command(
        "r.test:5000", "shop", "git-1", plan, plan.args, {"KEY": "/workspace/env/KEY"}, "paas/stack"
    )
    assert words == [
        "buildctl-daemonless.sh", "build", "--progress=plain", "--frontend=dockerfile.v0",
        "--local=context=/workspace/context", "--local=dockerfile=/workspace/dockerfile",
        "--opt=target=run", "--opt=build-arg:A=1",
        "--opt=context:paas/stack:trixie=docker-image://r.test:5000/paas/stack:trixie",
        "--secret=id=KEY,src=/workspace/env/KEY",
        "--output=type=image,name=r.test:5000/shop:git-1,push=true", "--metadata-file=/workspace/result.json",
        "--import-cache=type=registry,ref=r.test:5000/shop:build-cache",
        "--export-cache=type=registry,ref=r.test:5000/shop:build-cache,mode=max,image-manifest=true,ignore-error=true",
    ]  # fmt: skip


# As moby/buildkit's util/progress/progressui/printer.go writes it.
PLAIN = b"""\
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 71B done
#1 DONE 0.0s

#5 [build 2/3] COPY . .
#5 CACHED

#6 [build 3/3] RUN make
#6 0.081 cc -o a a.c
#6 0.120 no such file
#6 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2
------
 > [build 3/3] RUN make:
------
error: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2
"""


def test_buildctls_output_reads_like_other_builds():
    lines = []
    told = dockerfile.Told(Progress(lambda data: lines.append(data.decode().rstrip())))
    for line in PLAIN.splitlines():
        told.line(line + b"\n")
    assert [line.removeprefix("       ") for line in lines] == [
        "COPY . .", "  (cached)", "RUN make", "  cc -o a a.c", "  no such file",
    ]  # fmt: skip
    assert dockerfile.explain(told.error, told.last_step, 1) == "The build step failed with exit code 2: RUN make"


def test_the_digest_is_buildctls_or_none():
    digest = "sha256:" + "a" * 64
    assert dockerfile.digest_in(b'{"containerimage.digest": "%s"}' % digest.encode()) == digest
    for broken in (b"", b"[]", b"{}", b'{"containerimage.digest": "../x"}'):
        with pytest.raises(BuildFailed, match="told no digest"):
            dockerfile.digest_in(broken)
