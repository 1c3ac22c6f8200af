"""What the cluster adds to new objects and refuses of them."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.objects import kinds
from orchestrator.objects.meta import clone


async def test_a_pod_gets_an_account_its_token_a_priority_and_patience(client, pod):
    made = await client.create(kinds.PODS, pod("p"))
    spec = made["spec"]
    volume = spec["volumes"][0]
    assert spec["serviceAccountName"] == "default" and spec["priority"] == 0
    assert volume["name"].startswith("kube-api-access-")
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    ]
    assert [t["tolerationSeconds"] for t in spec["tolerations"]] == [300, 300]


async def test_a_pod_that_wants_no_token_gets_none(client, pod):
    made = await client.create(kinds.PODS, pod("p", automountServiceAccountToken=False))
    assert "volumes" not in made["spec"]


async def test_an_unknown_account_or_priority_is_refused(client, pod):
    with pytest.raises(errors.Forbidden, match='serviceaccount "ghost" not found'):
        await client.create(kinds.PODS, pod("p", serviceAccountName="ghost"))
    with pytest.raises(errors.Forbidden, match="no PriorityClass with name ghost was found"):
        await client.create(kinds.PODS, pod("p", priorityClassName="ghost"))


async def test_nothing_is_made_in_a_namespace_that_does_not_exist(client):
    with pytest.raises(errors.NotFound, match='namespaces "ghost" not found'):
        await client.create(kinds.CONFIGMAPS, {"metadata": {"name": "c", "namespace": "ghost"}})


async def test_services_get_an_address_of_their_own_and_keep_it(client):
    ports = [{"port": 80}]
    made = [
        await client.create(kinds.SERVICES, {"metadata": {"name": f"s{n}", "namespace": "default"},
                                             "spec": {"type": "NodePort", "ports": clone(ports)}})
        for n in range(20)
    ]  # fmt: skip
    assert len({s["spec"]["clusterIP"] for s in made} - {"10.96.0.1"}) == 20
    assert len({s["spec"]["ports"][0]["nodePort"] for s in made}) == 20
    changed = await client.patch(kinds.SERVICES, "s0", "default", patch={"spec": {"selector": {"a": "b"}}})
    assert changed["spec"]["clusterIP"] == made[0]["spec"]["clusterIP"]


async def test_an_address_is_given_once(client):
    service = {
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"clusterIP": "10.96.9.9", "ports": [{"port": 1}]},
    }
    await client.create(kinds.SERVICES, service)
    service["metadata"]["name"] = "b"
    with pytest.raises(errors.Invalid, match="already allocated"):
        await client.create(kinds.SERVICES, service)


async def test_the_place_after_the_last_of_a_quota_is_refused(client, pod):
    quota = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"pods": "2", "configmaps": "9"}}}
    await client.create(kinds.RESOURCEQUOTAS, quota)
    for name in ("a", "b"):
        await client.create(kinds.PODS, pod(name))
    with pytest.raises(errors.Forbidden, match="exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"):
        await client.create(kinds.PODS, pod("c"))
    await client.delete(kinds.PODS, "a", "default")
    await client.create(kinds.PODS, pod("c"))


async def test_a_quota_of_cpu_wants_every_container_to_say_what_it_needs(client, pod):
    quota = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"limits.cpu": "1"}}}
    await client.create(kinds.RESOURCEQUOTAS, quota)
    with pytest.raises(errors.Forbidden, match="failed quota: q: must specify limits.cpu for: c"):
        await client.create(kinds.PODS, pod("p"))


async def test_limit_ranges_fill_in_and_refuse(client, pod):
    limits = [{"type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]
    await client.create(
        kinds.LIMITRANGES, {"metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": limits}}
    )
    made = await client.create(kinds.PODS, pod("p"))
    assert made["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}}
    assert made["status"]["qosClass"] == "Burstable", "by what it got"
    greedy = pod("g")
    greedy["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}}
    with pytest.raises(errors.Forbidden, match="maximum cpu usage per Container is 1, but limit is 2"):
        await client.create(kinds.PODS, greedy)


async def test_a_node_may_not_label_itself_into_other_peoples_work(client, as_user):
    node = as_user("system:node:node-a", "system:nodes")
    await node.create(kinds.NODES, {"metadata": {"name": "node-a", "labels": {"kubernetes.io/hostname": "node-a"}}})
    with pytest.raises(errors.Forbidden, match="not allowed to modify labels"):
        await node.patch(
            kinds.NODES, "node-a", patch={"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}
        )
    with pytest.raises(errors.Forbidden, match="not allowed to modify node"):
        await node.create(kinds.NODES, {"metadata": {"name": "node-b"}})


async def test_nobody_grants_what_they_do_not_hold(client, as_user):
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}]
    role = {"metadata": {"name": "r", "namespace": "default"}, "rules": rules}
    with pytest.raises(errors.Forbidden, match="not currently held"):
        await as_user("mallory").create(kinds.ROLES, role)
    await client.create(kinds.ROLES, role)
    binding = {
        "metadata": {"name": "b", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}],
    }
    with pytest.raises(errors.Forbidden, match="not currently held"):
        await as_user("mallory").create(kinds.ROLEBINDINGS, binding)
    await client.create(kinds.ROLEBINDINGS, binding)
    await as_user("alice").create(kinds.ROLES, {**role, "metadata": {"name": "r2", "namespace": "default"}})
