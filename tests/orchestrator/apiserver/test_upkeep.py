"""What the server tidies by itself."""

from __future__ import annotations

from orchestrator.apiserver.upkeep import Upkeep
from orchestrator.objects import kinds
from orchestrator.objects.times import timestamp


def event(name: str, seen: str) -> dict:
    involved = {"kind": "Pod", "namespace": "default", "name": "p"}
    return {
        "metadata": {"name": name, "namespace": "default"}, "involvedObject": involved, "lastTimestamp": seen,
        "firstTimestamp": seen, "reason": "Tested", "message": "m", "type": "Normal",
    }  # fmt: skip


async def test_events_go_an_hour_after_their_last_sign_or_write(api, client, clock):
    await client.create(kinds.EVENTS, event("told-late", timestamp(clock.time - 4000)))
    await client.create(kinds.EVENTS, event("patched", timestamp(clock.time - 4000)))
    clock.time += 3000
    assert await Upkeep(api).expire_events() == 0, "what is written now is news, whenever it happened"
    await client.patch(kinds.EVENTS, "patched", "default", patch={"count": 2})
    await client.create(kinds.EVENTS, event("new", timestamp(clock.time - 10)))
    clock.time += 1000
    assert await Upkeep(api).expire_events() == 1
    assert [e["metadata"]["name"] for e in (await client.list(kinds.EVENTS)).items] == ["new", "patched"]
    clock.time += 3600
    assert await Upkeep(api).expire_events() == 2


async def test_aggregated_roles_follow_the_roles_they_collect(api, client):
    rules = [{"verbs": ["get"], "apiGroups": ["example.test"], "resources": ["widgets"]}]
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await client.create(kinds.CLUSTERROLES, {"metadata": {"name": "widgets", "labels": labels}, "rules": rules})
    await Upkeep(api).aggregate_roles()
    assert rules[0] in (await client.get(kinds.CLUSTERROLES, "view"))["rules"]
    await client.delete(kinds.CLUSTERROLES, "widgets")
    await Upkeep(api).aggregate_roles()
    assert rules[0] not in (await client.get(kinds.CLUSTERROLES, "view"))["rules"]
