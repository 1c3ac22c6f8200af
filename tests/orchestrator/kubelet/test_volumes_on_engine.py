"""What containers on a real engine see of their volumes."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from engine_worlds import busybox, engine_world, said_by, until_gone
from kubelet_pods import make_pod
from worlds import World, waiting_reason

from orchestrator.objects.kinds import CONFIGMAPS, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, SECRETS
from orchestrator.objects.meta import uid_of

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with engine_world(tmp_path_factory.mktemp("world")) as made:
        meta = {"name": "c", "namespace": "default"}
        await made.api.create(CONFIGMAPS, {"metadata": meta, "data": {"a": "1", "b": "2"}})
        await made.api.create(SECRETS, {"metadata": {**meta, "name": "s"}, "stringData": {"p": "w"}})
        yield made


def mounting(name: str, script: str, volumes: dict[str, Any], *mounts: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod whose container has each volume at /NAME, and what `mounts` says besides."""
    places = [{"name": volume, "mountPath": f"/{volume}"} for volume in volumes]
    sources = [{"name": volume, **source} for volume, source in volumes.items()]
    container = busybox(script, volumeMounts=[*places, *mounts], env=spec.pop("env", []))
    return make_pod(container, name=name, uid="", volumes=sources, **spec)


async def test_files_have_the_owners_modes_and_paths_that_the_pod_asks_for(world: World) -> None:
    items = [{"key": "a", "path": "a"}, {"key": "b", "path": "deep/b", "mode": 0o600}]
    configured = {"v": {"configMap": {"name": "c", "items": items, "defaultMode": 0o400}}}
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    cpu = {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}}
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    sources = [{"secret": {"name": "s"}}, {"downwardAPI": {"items": [labels, cpu]}}, token]
    who = {"runAsUser": 1000, "fsGroup": 1001}
    look = "busybox stat -L -c '%n %a %g' /v/a /v/deep/b; busybox touch /v/new 2>&1 || true"
    said = await said_by(
        world,
        mounting("modes", look, configured, securityContext=who),
        mounting("projected", "ls /v; cat /v/labels /v/p", {"v": {"projected": {"sources": sources}}}),
        mounting("absent", "ls /v", {"v": {"configMap": {"name": "none", "optional": True}}}),
    )
    assert said["modes"].startswith("/v/a 440 1001\n/v/deep/b 640 1001\n") and "Read-only" in said["modes"]
    assert said["projected"].startswith('cpu\nlabels\np\ntoken\napp="projected"') and said["projected"].endswith("w")
    assert said["absent"] == ""


async def test_sub_paths_show_a_part_and_are_made_where_they_are_missing(world: World) -> None:
    volumes = {"c": {"configMap": {"name": "c"}}, "e": {"emptyDir": {}}}
    mounts = (
        {"name": "c", "mountPath": "/etc/passwd", "subPath": "a"},
        {"name": "e", "mountPath": "/mine", "subPathExpr": "logs/$(POD)"},
    )
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    script = "cat /etc/passwd; echo in > /mine/f; cat /e/logs/sub/f"
    assert (await said_by(world, mounting("sub", script, volumes, *mounts, env=env)))["sub"] == "1in\n"
    out = {"name": "e", "mountPath": "/out", "subPathExpr": "$(NONE)"}
    await world.create(mounting("bad", "true", volumes, out))
    await world.until("bad", lambda pod: waiting_reason(pod) == "CreateContainerConfigError")


async def test_scratch_space_in_memory_is_as_large_as_asked_for(world: World) -> None:
    script = "busybox df -k /m | busybox tail -n 1; busybox stat -c '%a %g' /m /d; mount | busybox grep ' /m '"
    volumes = {"m": {"emptyDir": {"medium": "Memory", "sizeLimit": "2Mi"}}, "d": {"emptyDir": {}}}
    said = await said_by(world, mounting("scratch", script, volumes, securityContext={"fsGroup": 55}))
    pod = await world.api.get(PODS, "scratch", "default")
    assert " 2048 " in said["scratch"] and "2777 55\n2777 55\n" in said["scratch"] and "tmpfs" in said["scratch"]
    await until_gone(world.agent.services.volumes.folder(uid_of(pod)) / "volumes")


async def test_a_claims_content_outlives_pods_and_is_shared_by_two(world: World, tmp_path: Path) -> None:
    place = tmp_path / "kept"
    claim = {"name": "data", "namespace": "default"}
    wish = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "storageClassName": ""}
    await world.api.create(PERSISTENTVOLUMECLAIMS, {"metadata": claim, "spec": {**wish, "volumeName": "pv"}})
    node = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}]}
    only_here = {"required": {"nodeSelectorTerms": [node]}}
    volume = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "local": {"path": str(place)},
        "nodeAffinity": only_here,
    }
    await world.api.create(PERSISTENTVOLUMES, {"metadata": {"name": "pv"}, "spec": volume})
    writes = {"d": {"persistentVolumeClaim": {"claimName": "data"}}}
    reads = {"d": {"persistentVolumeClaim": {"claimName": "data", "readOnly": True}}}
    group = {"fsGroup": 77, "runAsUser": 500}
    await said_by(world, mounting("first", "echo kept > /d/f", writes, securityContext=group))
    await world.delete("first")
    await world.until_gone("first")
    inside = {"name": "d", "mountPath": "/sub", "subPath": "below"}
    said = await said_by(
        world,
        mounting("second", "cat /d/f; echo x > /sub/g; busybox stat -c %g /d/f", writes, inside, securityContext=group),
        mounting("third", "cat /d/f; touch /d/f 2>&1 || true", reads),
    )
    assert said["second"] == "kept\n77\n" and said["third"].startswith("kept\n") and "Read-only" in said["third"]
    assert (place / "below" / "g").read_text() == "x\n"


async def test_a_host_path_must_be_what_its_type_says(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("there")
    made = {"h": {"hostPath": {"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"}}}
    file = {"h": {"hostPath": {"path": str(tmp_path / "file"), "type": "File"}}}
    listening = {"h": {"hostPath": {"path": str(tmp_path / "socket"), "type": "Socket"}}}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        said = await said_by(
            world,
            mounting("made", "echo x > /h/f", made),
            mounting("file", "cat /h", file),
            mounting("socket", "test -S /h && echo yes", listening),
        )
    assert (tmp_path / "new" / "f").read_text() == "x\n" and said["file"] == "there" and said["socket"] == "yes\n"
    wrong = {"h": {"hostPath": {"path": str(tmp_path / "file"), "type": "Directory"}}}
    await world.create(mounting("wrong", "true", wrong))
    assert "is not a directory" in await world.until_event("wrong", "FailedMount")
    await world.until("wrong", lambda pod: waiting_reason(pod) == "ContainerCreating")
