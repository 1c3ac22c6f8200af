"""A user with a role in one namespace, over HTTPS: all of it there, nothing of the rest."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.objects.kinds import NAMESPACES, ROLEBINDINGS, SECRETS
from tests.orchestrator.apiserver.caller import Caller, serving

TEAM, OTHER = "/api/v1/namespaces/team", "/api/v1/namespaces/other"
APPS, RBAC = "/apis/apps/v1", "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
async def server(tmp_path, pki):
    async with serving(tmp_path, pki) as server:
        for name in ("team", "other"):
            await server.client.create(NAMESPACES, {"metadata": {"name": name}})
            await server.client.create(SECRETS, {"metadata": {"name": "s", "namespace": name}})
        await asyncio.sleep(0)  # the aggregated roles are filled in
        yield server


@pytest.fixture
async def ask(server, tmp_path):
    """Ask as somebody; the status of the answer, and the answer."""
    caller = Caller(server, tmp_path)

    async def as_user(user, method, path, **options):
        return await caller(method, path, headers={"Impersonate-User": user}, **options)

    yield as_user
    await caller.session.close()


async def bind(server, role: str, user: str) -> None:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
    meta = {"name": f"{role}-{user}", "namespace": "team"}
    await server.client.create(ROLEBINDINGS, {"metadata": meta, "roleRef": reference, "subjects": [subject]})


ELSEWHERE = [
    ("GET", f"{OTHER}/pods"), ("GET", f"{OTHER}/secrets"), ("GET", f"{OTHER}/secrets/s"), ("GET", OTHER),
    ("GET", f"{OTHER}/events"), ("GET", f"{OTHER}/pods?watch=1"), ("GET", f"{OTHER}/pods/p/log"),
    ("POST", f"{OTHER}/pods/p/exec"), ("DELETE", f"{OTHER}/secrets/s"), ("DELETE", OTHER),
    ("GET", "/api/v1/pods"), ("GET", "/api/v1/secrets"),
    ("GET", "/api/v1/secrets?fieldSelector=metadata.namespace=team"),
    ("GET", "/api/v1/pods?watch=1"), ("GET", "/api/v1/namespaces"), ("GET", "/api/v1/nodes"),
    ("GET", "/api/v1/persistentvolumes"), ("GET", f"{APPS}/deployments"), ("GET", f"{RBAC}/clusterroles"),
    ("GET", f"{RBAC}/clusterrolebindings"), ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    ("GET", "/metrics"), ("GET", "/apis/metrics.k8s.io/v1beta1/nodes"),
]  # fmt: skip


@pytest.mark.parametrize("role", ["admin", "edit", "view"])
async def test_nothing_outside_of_the_namespace_is_seen_or_touched(server, ask, role):
    await bind(server, role, "ann")
    assert (await ask("ann", "GET", f"{TEAM}/pods"))[0] == 200
    assert (await ask("ann", "GET", TEAM))[0] == 200
    for method, path in ELSEWHERE:
        status, _ = await ask("ann", method, path)
        assert status == 403, f"{method} {path}: {status}"
    assert (await ask("bob", "GET", f"{TEAM}/pods"))[0] == 403


RIGHTS = [
    # what, admin, edit, view
    (("GET", f"{TEAM}/secrets/s", None), 200, 200, 403),
    (("POST", f"{TEAM}/configmaps", {"metadata": {"name": "c"}}), 201, 201, 403),
    (("DELETE", f"{TEAM}/secrets/s", None), 200, 200, 403),
    (("GET", f"{RBAC}/namespaces/team/rolebindings", None), 200, 403, 403),
    (("GET", f"{APPS}/namespaces/team/deployments", None), 200, 200, 200),
    (("PUT", f"{TEAM}/status", {"metadata": {"name": "team"}}), 403, 403, 403),
    (("POST", f"{TEAM}/resourcequotas", {"metadata": {"name": "q"}}), 403, 403, 403),
    (("GET", f"{TEAM}/resourcequotas", None), 200, 200, 200),
]


@pytest.mark.parametrize(("number", "role"), [(1, "admin"), (2, "edit"), (3, "view")])
async def test_the_usual_roles_reach_as_far_as_in_kubernetes(server, ask, number, role):
    await bind(server, role, "ann")
    for (method, path, body), *expected in RIGHTS:
        status, answer = await ask("ann", method, path, **({"json": body} if body else {}))
        assert status == expected[number - 1], f"{role}: {method} {path}: {status} {answer}"


async def test_nobody_gives_away_more_than_they_have(server, ask):
    await bind(server, "admin", "ann")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"}
    body = {"metadata": {"name": "more"}, "roleRef": reference, "subjects": [subject]}
    status, _ = await ask("ann", "POST", f"{RBAC}/namespaces/team/rolebindings", json=body)
    assert status == 403
    rules = [{"verbs": ["*"], "apiGroups": [""], "resources": ["nodes"]}]
    status, _ = await ask(
        "ann", "POST", f"{RBAC}/namespaces/team/roles", json={"metadata": {"name": "r"}, "rules": rules}
    )
    assert status == 403


async def test_users_can_ask_what_they_may_do(server, ask):
    await bind(server, "view", "ann")
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for namespace, allowed in (("team", True), ("other", False)):
        attributes = {"verb": "list", "resource": "pods", "namespace": namespace}
        status, answer = await ask("ann", "POST", path, json={"spec": {"resourceAttributes": attributes}})
        assert (status, answer["status"]["allowed"]) == (201, allowed)
