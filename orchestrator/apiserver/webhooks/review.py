"""AdmissionReview: what a webhook is sent, and what its answer means.

Source: apiserver pkg/admission/plugin/webhook/request, .../errors/statuserror.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.naming import new_uid
from orchestrator.apiserver.webhooks import conversion
from orchestrator.apiserver.webhooks.client import CallFailed
from orchestrator.apiserver.webhooks.registry import Hook, Invocation
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects.meta import Obj

_GROUP = "admission.k8s.io"


class Objects(NamedTuple):
    """What shall be and what is, in the version a webhook wants to see."""

    obj: Obj | None
    old: Obj | None


async def objects_for(api: Api, request: Request, invocation: Invocation) -> Objects:
    """Raises: ConversionFailed."""
    if not request.has_own_kind:
        return Objects(request.obj, request.old)
    target = invocation.resource
    obj = None if request.obj is None else await conversion.convert_one(api, request.obj, target, complete=False)
    old = None if request.old is None else await conversion.convert_one(api, request.old, target, complete=False)
    return Objects(obj, old)


async def ask(api: Api, request: Request, invocation: Invocation, sent: Objects, *, mutating: bool) -> list[Any]:
    """The patch operations of a webhook that allows the write.

    Raises: CallFailed, when it gave no usable answer; ApiError, when it denies the write or may not be asked.
    """
    hook = invocation.hook
    if request.call.dry_run and hook.side_effects:
        raise errors.BadRequest(f'admission webhook "{hook.name}" does not support dry run')
    uid = new_uid()
    review = {
        "kind": "AdmissionReview",
        "apiVersion": f"{_GROUP}/{hook.version}",
        "request": {"uid": uid} | request.describe(invocation.resource) | {"object": sent.obj, "oldObject": sent.old},
    }
    try:
        answer = await api.webhooks.post(hook.client, review, hook.timeout)
    except CallFailed as failure:
        raise CallFailed(f"failed to call webhook: {failure}") from failure
    try:
        response = _response(answer, uid, hook, mutating=mutating)
        operations = _operations(response)
    except CallFailed as failure:
        raise CallFailed(f"received invalid webhook response: {failure}") from failure
    request.call.warnings += [text for text in response.get("warnings") or () if isinstance(text, str)]
    if response.get("allowed") is not True:
        raise denial(hook.name, response.get("status") or response.get("result") or {})
    if operations and sent.obj is None:
        raise internal(
            f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this operation'
        )
    return operations


def _response(answer: Any, uid: str, hook: Hook, *, mutating: bool) -> Mapping[str, Any]:
    """Raises: CallFailed."""
    if not isinstance(answer, dict):
        raise CallFailed("webhook response was absent")
    response = answer.get("response")
    if hook.version == "v1":
        version, kind = answer.get("apiVersion") or "", answer.get("kind") or ""
        if (version, kind) != (f"{_GROUP}/v1", "AdmissionReview"):
            raise CallFailed(
                f"expected webhook response of {_GROUP}/v1, Kind=AdmissionReview, got {version}, Kind={kind}"
            )
    if not isinstance(response, dict):
        raise CallFailed("webhook response was absent")
    if hook.version != "v1":
        return response
    if response.get("uid") != uid:
        raise CallFailed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    patch, form = response.get("patch"), response.get("patchType")
    if not mutating:
        if patch:
            raise CallFailed("validating webhook may not return response.patch")
        if form:
            raise CallFailed("validating webhook may not return response.patchType")
    elif patch and not form:
        raise CallFailed("webhook returned response.patch but not response.patchType")
    elif form and not patch:
        raise CallFailed("webhook returned response.patchType but not response.patch")
    elif form not in (None, "JSONPatch"):
        raise CallFailed(f'invalid response.patchType of "{form}"')
    return response


def _operations(response: Mapping[str, Any]) -> list[Any]:
    if not response.get("patch"):
        return []
    try:
        operations = orjson.loads(base64.b64decode(response["patch"]))
    except (TypeError, ValueError, binascii.Error) as broken:
        raise CallFailed(f"received undecodable patch in webhook response: {broken}") from broken
    if operations is None:
        return []
    if not isinstance(operations, list):
        raise CallFailed("received undecodable patch in webhook response: it is not a list of operations")
    return operations


def denial(name: str, result: Mapping[str, Any]) -> errors.ApiError:
    """The webhook's refusal as the client gets it."""
    told = result.get("message") or result.get("reason")
    denied = f'admission webhook "{name}" denied the request'
    details = result.get("details") or {}
    error = errors.ApiError(
        f"{denied}: {told}" if told else f"{denied} without explanation",
        kind=str(details.get("kind") or ""),
        group=str(details.get("group") or ""),
        name=str(details.get("name") or ""),
        uid=str(details.get("uid") or ""),
        causes=[cause for cause in details.get("causes") or () if isinstance(cause, dict)],
        retry_after=details.get("retryAfterSeconds"),
    )
    code = result.get("code")
    error.code = code if isinstance(code, int) and 400 <= code < 600 else 400
    error.reason = str(result.get("reason") or "")
    return error


def internal(why: str) -> errors.ApiError:
    return errors.ApiError(f"Internal error occurred: {why}", causes=[{"message": why}])
