"""GET and LIST: answered from memory, at one revision."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.selection import Selection, select
from orchestrator.objects.meta import Key
from orchestrator.store.record import Compacted, Record


@dataclass(frozen=True, slots=True)
class ListOptions:
    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    records: Sequence[Record]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


def get(api: Api, call: Call, resource_version: str = "") -> Record:
    """Raises: NotFound."""
    _not_in_the_future(api, resource_version)
    record = api.store.get(call.resource.storage_key, call.key)
    if record is None:
        raise refusals.not_found(call.resource, call.name)
    return record


async def fetch(api: Api, call: Call, resource_version: str = "") -> Record:
    """Like `get`, for computed kinds too. Raises: NotFound."""
    source = api.computed.get(call.resource.storage_key)
    if source is None:
        return get(api, call, resource_version)
    for record in await source.records(call.resource):
        if record.key == call.key:
            return record
    raise refusals.not_found(call.resource, call.name)


async def list_(api: Api, call: Call, options: ListOptions) -> Page:
    """Raises: BadRequest, Expired."""
    selection = select(call.resource, call.namespace, options.label_selector, options.field_selector)
    revision, start_after = _position(api, options)
    storage = call.resource.storage_key
    if (source := api.computed.get(storage)) is not None:
        return _page(_matching(await source.records(call.resource), selection), 0, revision, selection)
    if revision == api.store.revision:
        records: Sequence[Record] = api.store.list(storage, selection.namespace)
    else:
        try:
            records = await api.store.list_at(storage, revision, selection.namespace)
        except Compacted as exc:
            raise _expired(api, options) from exc
    if start_after is not None:
        records = [record for record in records if record.key > start_after]
    if not selection.is_everything:
        records = _matching(records, selection)
    return _page(records, options.limit, revision, selection)


def _matching(records: Sequence[Record], selection: Selection) -> list[Record]:
    matches = selection.matches
    return [record for record in records if matches(record.obj)]


def _page(records: Sequence[Record], limit: int, revision: int, selection: Selection) -> Page:
    if not limit or len(records) <= limit:
        return Page(records, revision)
    left = len(records) - limit
    records = records[:limit]
    token = _encode_token(revision, records[-1].key)
    return Page(records, revision, token, left if selection.is_everything else None)


def _position(api: Api, options: ListOptions) -> tuple[int, Key | None]:
    """The revision to list at, and the key to start after."""
    if options.continue_token:
        if options.resource_version not in ("", "0"):
            raise errors.BadRequest("specifying resource version is not allowed when using continue")
        revision, key = _decode_token(options.continue_token)
        return (api.store.revision if revision < 0 else revision), key
    match, version = options.resource_version_match, options.resource_version
    if match and not version:
        raise errors.BadRequest(
            "resourceVersionMatch is forbidden unless resourceVersion is provided; leave it out or name a version"
        )
    if match not in ("", "Exact", "NotOlderThan"):
        raise errors.BadRequest(f'resourceVersionMatch "{match}" is not one of Exact, NotOlderThan')
    if match == "Exact" and version == "0":
        raise errors.BadRequest('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
    _not_in_the_future(api, version)
    if version not in ("", "0") and (match == "Exact" or (options.limit and not match)):
        return int(version), None
    return api.store.revision, None


def parse_version(text: str) -> int:
    """Raises: BadRequest."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise errors.BadRequest(f'resourceVersion: Invalid value: "{text}": it must be a number this server gave out')
    return int(text)


def _not_in_the_future(api: Api, resource_version: str) -> None:
    version = parse_version(resource_version)
    if version > api.store.revision:
        error = errors.Timeout(
            f"Too large resource version: {version}, current: {api.store.revision}",
            causes=[{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            retry_after=1,
        )
        raise error


def _expired(api: Api, options: ListOptions) -> errors.Expired:
    if not options.continue_token:
        return errors.Expired(
            f"The resourceVersion for the provided list is too old: {options.resource_version}"
            f" (oldest kept: {api.store.compacted})"
        )
    _, key = _decode_token(options.continue_token)
    error = errors.Expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    error.continue_token = _encode_token(-1, key)
    return error


def _encode_token(revision: int, key: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": "1", "rv": revision, "after": list(key)})).decode()


def _decode_token(token: str) -> tuple[int, Key]:
    try:
        content = orjson.loads(base64.urlsafe_b64decode(token))
        namespace, name = content["after"]
        return int(content["rv"]), Key(str(namespace), str(name))
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.BadRequest(f"continue key is not valid: {exc}; list again without it") from exc
