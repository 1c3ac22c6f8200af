"""What a write of the status may change besides the status."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.objects.kinds import DEPLOYMENTS, REPLICASETS, Resource


@pytest.mark.parametrize(("resource", "label"), [(DEPLOYMENTS, "from-the-spec"), (REPLICASETS, "from-the-status")])
async def test_labels_of_a_deployment_are_not_written_with_its_status(
    client: Any, resource: Resource, label: str
) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "r.example/app:1"}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    meta = {"name": "web", "namespace": "default", "labels": {"kept": "from-the-spec"}}
    await client.create(resource, {"metadata": meta, "spec": spec})
    patch = {"metadata": {"labels": {"kept": "from-the-status"}}, "spec": {"replicas": 5}, "status": {"replicas": 3}}
    found = await client.patch(resource, "web", "default", patch=patch, patch_type="merge", subresource="status")
    assert (found["spec"]["replicas"], found["status"]["replicas"]) == (0, 3)
    assert found["metadata"]["labels"]["kept"] == label
