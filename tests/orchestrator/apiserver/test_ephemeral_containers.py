"""Containers added to a pod for debugging: through their own subresource, added and never changed."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import Forbidden, Invalid
from orchestrator.objects.kinds import PODS


def debugger(name: str = "debug", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "r.example/tools:1", **fields}


async def patched(client: Any, *added: dict[str, Any]) -> Any:
    patch = {"metadata": {"labels": {"x": "y"}}, "spec": {"ephemeralContainers": list(added)}}
    return await client.patch(
        PODS, "web", "default", patch=patch, patch_type="strategic", subresource="ephemeralcontainers"
    )


@pytest.fixture
async def pod(client: Any) -> Any:
    spec = {"containers": [{"name": "main", "image": "r.example/app:1"}]}
    return await client.create(PODS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})


async def test_they_are_added_through_their_subresource_alone(client: Any, pod: Any) -> None:
    found = await patched(client, debugger(targetContainerName="main"))
    assert [each["name"] for each in found["spec"]["ephemeralContainers"]] == ["debug"]
    assert found["metadata"]["generation"] == 2 and "x" not in found["metadata"].get("labels", {})
    found = await patched(client, debugger("second"))
    assert {each["name"] for each in found["spec"]["ephemeralContainers"]} == {"debug", "second"}
    with pytest.raises(Invalid):
        spec = {**pod["spec"], "ephemeralContainers": [debugger()]}
        await client.create(PODS, {"metadata": {"name": "other", "namespace": "default"}, "spec": spec})


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (debugger("main"), "Duplicate value"),
        (debugger(targetContainerName="ghost"), "targetContainerName: Not found"),
        (debugger(ports=[{"containerPort": 80}]), "cannot be set for an Ephemeral Container"),
        (debugger(livenessProbe={"tcpSocket": {"port": 1}}), "cannot be set for an Ephemeral Container"),
        (debugger(image=""), "Required value"),
    ],
)
async def test_what_they_may_not_have_is_named(client: Any, pod: Any, added: dict[str, Any], said: str) -> None:
    with pytest.raises((Invalid, Forbidden), match=said):
        await patched(client, added)


async def test_those_that_are_there_stay_as_they_are(client: Any, pod: Any) -> None:
    found = await patched(client, debugger())
    with pytest.raises(Invalid, match="may not be changed"):
        await patched(client, debugger(image="r.example/other:1"))
    without = {**found, "spec": {key: value for key, value in found["spec"].items() if key != "ephemeralContainers"}}
    with pytest.raises(Invalid, match="may not be removed"):
        await client.update(PODS, without, subresource="ephemeralcontainers")
