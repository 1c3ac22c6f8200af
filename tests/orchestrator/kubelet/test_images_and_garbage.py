"""Image references, pull credentials, and what may be removed when the disk fills."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from kubelet_pods import attempt

from orchestrator.kubelet.garbage import YOUNGEST, plan_containers, plan_images
from orchestrator.kubelet.images import credentials_for, is_reference, must_pull, names_registry, split_reference
from orchestrator.kubelet.runtime import Image

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("reference", "name", "version", "registry"),
    [
        ("app", "app", "latest", False),
        ("team/app:1", "team/app", "1", False),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app", "latest", True),
        ("127.0.0.1:5000/app:v2", "127.0.0.1:5000/app", "v2", True),
        (f"registry.example/a/b@{DIGEST}", "registry.example/a/b", DIGEST, True),
        ("localhost/app", "localhost/app", "latest", True),
    ],
)
def test_references(reference: str, name: str, version: str, registry: bool) -> None:
    assert split_reference(reference) == (name, version)
    assert names_registry(reference) is registry


@pytest.mark.parametrize(
    ("policy", "reference", "present", "pulls"),
    [
        ("Always", "r.example/a", True, True), ("Always", "a", True, False), ("Always", "a", False, True),
        ("IfNotPresent", "r.example/a", True, False), ("IfNotPresent", "r.example/a", False, True),
        ("Never", "r.example/a", False, False),
    ],
)  # fmt: skip
def test_pull_policies(policy: str, reference: str, present: bool, pulls: bool) -> None:
    assert must_pull(policy, reference, present=present) is pulls


def pull_secret(**auths: Any) -> dict[str, Any]:
    config = orjson.dumps({"auths": {name.replace("_", "."): entry for name, entry in auths.items()}})
    return {"data": {".dockerconfigjson": base64.b64encode(config).decode()}}


def test_the_credentials_of_the_images_registry_are_used() -> None:
    secret = pull_secret(
        other_example={"username": "x", "password": "y"},
        r_example={"auth": base64.b64encode(b"me:pass:word").decode()},
    )
    found = credentials_for("r.example/app:1", [{"data": {}}, secret])
    assert found == {"username": "me", "password": "pass:word", "serveraddress": "r.example"}
    assert credentials_for("elsewhere.example/app", [secret]) is None
    assert credentials_for("r.example/app", [{"data": {".dockerconfigjson": "not base64 json"}}]) is None


def test_only_our_unused_images_go_and_the_longest_unused_first() -> None:
    ours = [Image(id=name, names=(f"reg:5000/{name}:1",)) for name in ("used", "old", "new")]
    foreign = Image(id="foreign", names=("debian:13",))
    shared = Image(id="shared", names=("reg:5000/shared:1", "kept:1"))
    containers = [attempt(image_id="used")]
    since: dict[str, float] = {"old": 10.0, "new": 20.0, "used": 1.0}
    plan = plan_images([*ours, foreign, shared], containers, since, now=20.0 + YOUNGEST, registry="reg:5000")
    assert [image.id for image in plan] == ["old", "new"]
    assert "used" not in since
    assert plan_images(ours, containers, {}, now=500.0, registry="reg:5000") == []


def test_dead_containers_of_living_pods_stay() -> None:
    dead = attempt(state="exited")
    assert plan_containers([dead, attempt(number=1)], []) == [dead]
    assert plan_containers([dead], [dead.pod.uid]) == []


@pytest.mark.parametrize(
    ("reference", "valid"),
    [
        ("app", True), ("127.0.0.1:5000/team/app:v1.2_x", True), (f"r.example/a@{DIGEST}", True), (DIGEST, True),
        ("[::1]:5000/app:1", True),
        ("Registry.Example/app", True), ("a__b/c-d", True), ("App", False), ("r.example/App", False), ("a:", False),
        ("a b", False), ("", False), ("/a", False), ("a//b", False), ("a@sha256:1", False), ("r:x/app", False),
    ],
)  # fmt: skip
def test_what_reads_as_an_image(reference: str, valid: bool) -> None:
    assert is_reference(reference) is valid
