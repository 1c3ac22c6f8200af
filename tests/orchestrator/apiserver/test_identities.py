"""Who a request is taken for: impersonation in all its parts, and tokens that live as long as their Secret."""

from __future__ import annotations

import base64

import pytest

from tests.orchestrator.apiserver.caller import calling

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
SECRETS = "/api/v1/namespaces/default/secrets"


@pytest.fixture
async def call(tmp_path, pki):
    async with calling(tmp_path, pki) as caller:
        yield caller


async def whoami(call, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer = await call("POST", WHOAMI, json={}, headers=named)
    return answer["status"]["userInfo"] if status == 201 else answer


async def test_an_impersonated_user_has_the_groups_uid_and_extras_that_were_asked_for(call):
    found = await whoami(
        call, Impersonate_User="jane", Impersonate_Group="dev", Impersonate_Uid="7",
        **{"Impersonate-Extra-Acme%2fScopes": "view"},
    )  # fmt: skip
    assert found == {
        "username": "jane", "groups": ["dev", "system:authenticated"], "uid": "7", "extra": {"acme/scopes": ["view"]},
    }  # fmt: skip
    robot = await whoami(call, Impersonate_User="system:serviceaccount:default:robot")
    assert "system:serviceaccounts:default" in robot["groups"]


@pytest.mark.parametrize("header", ["Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-Scopes"])
async def test_parts_of_an_identity_without_a_user_are_refused(call, header):
    answer = await whoami(call, **{header: "dev"})
    assert answer["code"] == 500 and "without impersonating a user" in answer["message"]


async def test_every_part_of_an_identity_needs_its_own_right(call):
    rules = [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    await call("POST", f"{rbac}/clusterroles", json={"metadata": {"name": "act"}, "rules": rules})
    robot = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    await call("POST", f"{rbac}/clusterrolebindings", json={
        "metadata": {"name": "act"}, "subjects": [robot],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "act"},
    })  # fmt: skip
    _, answer = await call("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", json={})
    bearer = {"Authorization": f"Bearer {answer['status']['token']}"}

    async def acting(**more):
        return await call("POST", WHOAMI, json={}, headers={**bearer, "Impersonate-User": "jane", **more},
                          tls=call.anonymous)  # fmt: skip

    assert (await acting())[0] == 201
    status, answer = await acting(**{"Impersonate-Group": "system:masters"})
    assert status == 403 and 'cannot impersonate resource "groups"' in answer["message"]
    status, answer = await acting(**{"Impersonate-Extra-Scopes": "all"})
    assert status == 403 and 'cannot impersonate resource "userextras/scopes"' in answer["message"]


async def test_a_secret_for_an_accounts_token_is_filled_and_its_token_dies_with_it(call):
    annotations = {"kubernetes.io/service-account.name": "default"}
    body = {"metadata": {"name": "t", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    status, made = await call("POST", SECRETS, json=body)
    assert status == 201 and set(made["data"]) == {"token", "ca.crt", "namespace"}
    token = base64.b64decode(made["data"]["token"]).decode()
    headers = {"Authorization": f"Bearer {token}"}
    _, answer = await call("POST", WHOAMI, json={}, headers=headers, tls=call.anonymous)
    assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
    await call("DELETE", f"{SECRETS}/t")
    assert (await call("POST", WHOAMI, json={}, headers=headers, tls=call.anonymous))[0] == 401
    body["metadata"] = {"name": "t", "annotations": {"kubernetes.io/service-account.name": "ghost"}}
    status, answer = await call("POST", SECRETS, json=body)
    assert status == 403 and 'names no service account of the namespace: "ghost"' in answer["message"]


async def test_the_keys_of_tokens_are_where_pods_can_reach_them(call):
    _, document = await call("GET", "/.well-known/openid-configuration")
    assert document["jwks_uri"] == f"{document['issuer']}/openid/v1/jwks"
    _, keys = await call("GET", "/openid/v1/jwks")
    assert keys["keys"][0]["alg"] == "RS256"


async def test_a_local_review_asks_of_its_own_namespace(call):
    path = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    attributes = {"verb": "get", "resource": "pods", "namespace": "other"}
    status, answer = await call("POST", path, json={"spec": {"user": "jane", "resourceAttributes": attributes}})
    assert status == 400 and "must match the namespace: default" in answer["message"]
