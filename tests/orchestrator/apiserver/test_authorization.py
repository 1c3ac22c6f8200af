"""Who may do what: RBAC, nodes, tokens."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.apiserver.authorization import Attributes, Authorizer
from orchestrator.apiserver.call import User
from orchestrator.apiserver.tokens import authenticate_token
from orchestrator.objects import kinds

NODE = User("system:node:node-a", ("system:nodes", "system:authenticated"))


@pytest.fixture
def may(api):
    authorizer = Authorizer(api)

    def ask(user, verb, resource, namespace="", name="", group="", subresource=""):
        return authorizer.allows(Attributes(user, verb, group, resource, subresource, namespace, name))[0]

    return ask


async def bind(client, namespace, role, user):
    await client.create(
        kinds.ROLEBINDINGS,
        {
            "metadata": {"name": f"{role}-{user}", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
        },
    )


async def test_rights_in_one_namespace_end_at_its_border(api, client, may):
    from orchestrator.apiserver.upkeep import Upkeep

    await Upkeep(api).aggregate_roles()
    await client.create(kinds.NAMESPACES, {"metadata": {"name": "team"}})
    await bind(client, "team", "edit", "ann")
    ann = User("ann", ("system:authenticated",))
    assert may(ann, "create", "deployments", "team", group="apps")
    assert may(ann, "create", "pods", "team", subresource="exec")
    assert not may(ann, "create", "deployments", "default", group="apps")
    assert not may(ann, "list", "deployments", group="apps")
    assert not may(ann, "create", "rolebindings", "team", group="rbac.authorization.k8s.io")
    assert not may(ann, "get", "nodes", name="node-a")


async def test_a_right_is_gone_with_its_binding(client, may):
    ann = User("ann")
    await bind(client, "default", "cluster-admin", "ann")
    assert may(ann, "delete", "pods", "default")
    await client.delete(kinds.ROLEBINDINGS, "cluster-admin-ann", "default")
    assert not may(ann, "delete", "pods", "default")


async def test_named_resources_are_the_only_ones(client, may):
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["mine"]}]
    await client.create(kinds.CLUSTERROLES, {"metadata": {"name": "one"}, "rules": rules})
    await bind(client, "default", "one", "ann")
    assert may(User("ann"), "get", "secrets", "default", "mine")
    assert not may(User("ann"), "get", "secrets", "default", "yours")
    assert not may(User("ann"), "list", "secrets", "default")


async def test_the_router_reads_routes_and_writes_nothing(may):
    router = User("paas:router", ("paas:platform", "system:authenticated"))
    assert may(router, "watch", "services") and may(router, "get", "secrets", "app", "cert")
    assert not may(router, "list", "pods") and not may(router, "update", "services", "app", "web")


async def test_the_platform_runs_apps_and_leaves_the_cluster_alone(may):
    controller = User("paas:controller", ("paas:platform", "system:authenticated"))
    assert may(controller, "create", "namespaces") and may(controller, "create", "pods", "app", subresource="exec")
    assert may(controller, "patch", "deployments", "app", "web", group="apps")
    assert not may(controller, "update", "nodes", name="node-a")
    assert not may(controller, "create", "clusterrolebindings", group="rbac.authorization.k8s.io")


async def test_a_node_reads_secrets_only_while_its_pods_use_them(client, may, pod):
    await client.create(kinds.SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
    await client.create(
        kinds.PODS, pod("p", volumes=[{"name": "v", "secret": {"secretName": "s"}}], terminationGracePeriodSeconds=1)
    )
    assert not may(NODE, "get", "secrets", "default", "s")
    await client.create_subresource(kinds.PODS, "p", "default", "binding", {"target": {"name": "node-a"}})
    assert may(NODE, "get", "secrets", "default", "s")
    assert not may(NODE, "list", "secrets", "default")
    assert not may(User("system:node:node-b", ("system:nodes",)), "get", "secrets", "default", "s")
    await client.delete(kinds.PODS, "p", "default", grace_period=0)
    assert not may(NODE, "get", "secrets", "default", "s")


async def test_a_node_writes_only_its_own_pods_and_node(client, may, pod):
    for name, node in (("mine", "node-a"), ("theirs", "node-b")):
        await client.create(kinds.PODS, pod(name))
        await client.create_subresource(kinds.PODS, name, "default", "binding", {"target": {"name": node}})
    assert may(NODE, "patch", "pods", "default", "mine", subresource="status")
    assert not may(NODE, "patch", "pods", "default", "theirs", subresource="status")
    assert may(NODE, "delete", "pods", "default", "mine") and not may(NODE, "delete", "pods", "default", "theirs")
    assert may(NODE, "patch", "nodes", name="node-a", subresource="status")
    assert not may(NODE, "patch", "nodes", name="node-b", subresource="status")


async def token_for(client, **spec):
    answer = await client.create_subresource(
        kinds.SERVICEACCOUNTS, "default", "default", "token", {"spec": {"expirationSeconds": 600, **spec}}
    )
    return answer["status"]["token"]


async def test_a_token_speaks_for_its_account_until_it_expires(api, client, clock):
    token = await token_for(client)
    user, _ = authenticate_token(api, token)
    assert user.name == "system:serviceaccount:default:default"
    assert "system:serviceaccounts:default" in user.groups
    clock.time += 601
    assert authenticate_token(api, token) is None


async def test_a_token_ends_with_the_pod_it_is_bound_to(api, client, pod):
    made = await client.create(kinds.PODS, pod("p"))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    token = await token_for(client, boundObjectRef=bound)
    assert authenticate_token(api, token)[0].extra["authentication.kubernetes.io/pod-name"] == ["p"]
    await client.delete(kinds.PODS, "p", "default")
    assert authenticate_token(api, token) is None


async def test_a_changed_or_foreign_token_is_nobodys(api, client):
    token = await token_for(client)
    head, body, signature = token.split(".")
    assert authenticate_token(api, f"{head}.{body[:-4]}AAAA.{signature}") is None
    assert authenticate_token(api, f"{head}.{body}.{signature[:-6]}AAAAAA") is None
    assert authenticate_token(api, "a.b.c") is None


async def test_a_token_for_another_audience_is_not_taken_here(api, client):
    token = await token_for(client, audiences=["vault"])
    assert authenticate_token(api, token) is None
    assert authenticate_token(api, token, ["vault"])[1] == ["vault"]


async def test_a_token_for_less_than_ten_minutes_is_refused(client):
    with pytest.raises(errors.Invalid, match="less than 10 minutes"):
        await client.create_subresource(
            kinds.SERVICEACCOUNTS, "default", "default", "token", {"spec": {"expirationSeconds": 60}}
        )
