"""Custom resources between their versions, by the webhook their definition names.

Where no webhook is named nothing here is waited for, and `objects/conversions.py` does all.
Source: apiextensions-apiserver pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.naming import new_uid
from orchestrator.apiserver.watch import Event
from orchestrator.apiserver.webhooks.client import CallFailed
from orchestrator.objects import conversions
from orchestrator.objects.custom import prune
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.store.record import Record

_TIMEOUT = 30.0  # seconds
_REVIEW_VERSIONS = ("v1", "v1beta1")


class ConversionFailed(errors.ApiError):
    """The webhook did not convert what it was asked to."""

    code, reason = 500, ""


def is_asked(target: Resource) -> bool:
    """Whether objects come into this version by a webhook."""
    return target.custom is not None and target.custom.webhook is not None


async def convert(api: Api, objs: Sequence[Obj], target: Resource, *, complete: bool = True) -> list[Obj]:
    """`objs` in `target`'s version, in their order; `complete` as in `conversions.convert`.

    Raises: ConversionFailed.
    """
    if is_asked(target):
        foreign = [obj for obj in objs if obj.get("apiVersion") != target.api_version]
        if foreign:
            converted = iter(await _ask(api, foreign, target))
            objs = [obj if obj.get("apiVersion") == target.api_version else next(converted) for obj in objs]
    return [conversions.convert(obj, target, complete=complete) for obj in objs]


async def convert_one(api: Api, obj: Obj, target: Resource, *, complete: bool = True) -> Obj:
    if not is_asked(target):
        return conversions.convert(obj, target, complete=complete)
    return (await convert(api, [obj], target, complete=complete))[0]


async def current(api: Api, call: Call, record: Record) -> Record:
    """The record in the version that objects are stored in now: older ones were perhaps stored in another."""
    custom = call.resource.custom
    if custom is None or not custom.several or record.obj.get("apiVersion") == call.resource.api_version:
        return record
    obj = await convert_one(api, record.obj, call.resource, complete=False)
    return Record(record.resource, record.key, record.revision, obj)


async def shown(api: Api, records: Sequence[Record], target: Resource) -> Sequence[Record]:
    """The records as a client of `target`'s version sees them, as far as a webhook has to be asked."""
    if not is_asked(target) or all(record.obj.get("apiVersion") == target.api_version for record in records):
        return records
    objs = await convert(api, [record.obj for record in records], target, complete=False)
    return [Record(r.resource, r.key, r.revision, obj) for r, obj in zip(records, objs, strict=True)]


async def shown_events(
    api: Api, events: AsyncIterator[list[Event]], target: Resource
) -> AsyncIterator[list[Event]]:  # fmt: skip
    """A watch's events, each batch converted at once."""
    try:
        async for batch in events:
            records = iter(await shown(api, [event.record for event in batch if event.record is not None], target))
            yield [event if event.record is None else Event(event.type, next(records)) for event in batch]
    finally:
        await events.aclose()  # type: ignore[attr-defined]


async def _ask(api: Api, objs: Sequence[Obj], target: Resource) -> list[Obj]:
    assert target.custom is not None and target.custom.webhook is not None
    webhook = target.custom.webhook
    source = f"{objs[0].get('apiVersion')}, Kind={objs[0].get('kind')}"
    version = next((v for v in webhook.get("conversionReviewVersions") or () if v in _REVIEW_VERSIONS), "v1")
    uid = new_uid()
    review = {
        "kind": "ConversionReview",
        "apiVersion": f"apiextensions.k8s.io/{version}",
        "request": {"uid": uid, "desiredAPIVersion": target.api_version, "objects": list(objs)},
    }
    try:
        answer = await api.webhooks.post(webhook.get("clientConfig") or {}, review, _TIMEOUT)
        converted = _converted(answer, uid, version)
    except CallFailed as failure:
        raise ConversionFailed(f"conversion webhook for {source} failed: {failure}") from failure
    if len(converted) != len(objs):
        raise ConversionFailed(
            f"conversion webhook for {source} returned {len(converted)} objects, expected {len(objs)}"
        )
    results = []
    for at, (before, after) in enumerate(zip(objs, converted, strict=True)):
        if problem := _problem(before, after, target):
            raise ConversionFailed(
                f"conversion webhook for {source} returned invalid converted object at index {at}: {problem}"
            )
        results.append(_restored(before, after, target))
    return results


def _converted(answer: Any, uid: str, version: str) -> list[Any]:
    """Raises: CallFailed, when the review is not answered, or with a refusal."""
    if not isinstance(answer, dict):
        raise CallFailed("no response provided")
    if version == "v1":
        got = (answer.get("apiVersion"), answer.get("kind"))
        if got != ("apiextensions.k8s.io/v1", "ConversionReview"):
            raise CallFailed(
                "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, "
                f"got {got[0] or ''}, Kind={got[1] or ''}"
            )
    response = answer.get("response")
    if not isinstance(response, dict):
        raise CallFailed("no response provided")
    if version == "v1" and response.get("uid") != uid:
        raise CallFailed(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        why = f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        raise CallFailed(result.get("message") or why)
    return response.get("convertedObjects") or []


def _problem(before: Obj, after: Any, target: Resource) -> str:
    """What a converted object may not change; empty when all is well."""
    if not isinstance(after, dict) or not isinstance(after.get("metadata"), dict):
        return "it is not an object with metadata"
    if after.get("apiVersion") != target.api_version:
        return f"invalid groupVersion (expected {target.api_version}, received {after.get('apiVersion') or ''})"
    if after.get("kind") != before.get("kind"):
        return f"invalid kind (expected {before.get('kind')}, received {after.get('kind') or ''})"
    meta, was = after["metadata"], before["metadata"]
    for field, word in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        if (meta.get(field) or "") != (was.get(field) or ""):
            return f"must have the same {word}: {was.get(field) or ''} != {meta.get(field) or ''}"
    for field in ("labels", "annotations"):
        values = meta.get(field)
        if values is not None and not (
            isinstance(values, Mapping) and all(isinstance(v, str) for v in values.values())
        ):
            return f"metadata.{field} must map names to texts"
    return ""


def _restored(before: Obj, after: Obj, target: Resource) -> Obj:
    """Of metadata a webhook may change labels and annotations alone; what the schema doesn't know is dropped."""
    meta = {key: value for key, value in before["metadata"].items() if key not in ("labels", "annotations")}
    meta |= {key: after["metadata"][key] for key in ("labels", "annotations") if after["metadata"].get(key)}
    rest = {key: value for key, value in after.items() if key not in ("apiVersion", "kind", "metadata")}
    rest, _ = prune(target.custom, rest)
    return {"apiVersion": target.api_version, "kind": after["kind"], "metadata": meta, **rest}
