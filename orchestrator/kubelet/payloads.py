"""The files of configMap, secret, downwardAPI and projected volumes. Pure.

Source: kubernetes pkg/volume/{configmap,secret,downwardapi,projected}.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from orchestrator.kubelet.atomic_files import Entry
from orchestrator.kubelet.environment import ConfigError, NodeView, Sources, field_value
from orchestrator.kubelet.resources import resource_value
from orchestrator.objects.meta import Obj

DEFAULT_MODE = 0o644
LIVE = ("configMap", "secret", "downwardAPI", "projected")  # kinds of volumes this module fills


def is_live(volume: Mapping[str, Any]) -> bool:
    """Whether its content comes from the API, and follows it."""
    return any(kind in volume for kind in LIVE)


def token_key(projection: Mapping[str, Any]) -> tuple[str, int]:
    """What tells two tokens of one service account apart: audience and lifetime."""
    return projection.get("audience") or "", int(projection.get("expirationSeconds") or 3600)


def parts_of(volume: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The volume as the list of its projections, in the names of `projected`."""
    if "projected" in volume:
        return list(volume["projected"].get("sources") or ())
    if "secret" in volume:
        return [{"secret": {**volume["secret"], "name": volume["secret"].get("secretName")}}]
    return [{kind: volume[kind]} for kind in LIVE if kind in volume]


def volume_sources(volume: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The ConfigMaps and Secrets a volume shows."""
    kinds = {"configMap": "ConfigMap", "secret": "Secret"}
    return {(kinds[kind], part[kind]["name"]) for part in parts_of(volume) for kind in kinds if kind in part}


def volume_tokens(volume: Mapping[str, Any]) -> set[tuple[str, int]]:
    return {token_key(part["serviceAccountToken"]) for part in parts_of(volume) if "serviceAccountToken" in part}


def render_payload(
    pod: Obj, volume: Mapping[str, Any], sources: Sources, tokens: Mapping[tuple[str, int], str], node: NodeView,
    address: str,
) -> dict[str, Entry]:  # fmt: skip
    """Raises: ConfigError, when something that isn't optional is missing."""
    outer: Mapping[str, Any] = next((volume[kind] for kind in LIVE if kind in volume), {})
    mode = outer.get("defaultMode")
    default = DEFAULT_MODE if mode is None else int(mode)
    payload: dict[str, Entry] = {}
    for part in parts_of(volume):
        for kind, source in part.items():
            if kind in ("configMap", "secret"):
                payload |= keyed_files("ConfigMap" if kind == "configMap" else "Secret", source, sources, default)
            elif kind == "downwardAPI":
                payload |= downward_files(pod, source, default, node, address)
            elif kind == "serviceAccountToken":
                payload[safe_path(source["path"])] = Entry(tokens[token_key(source)].encode(), default)
            else:
                raise ConfigError(f"volume {volume['name']} projects {kind}, which is not known here")
    return payload


def keyed_files(kind: str, source: Mapping[str, Any], sources: Sources, default: int) -> dict[str, Entry]:
    found = sources.get((kind, source["name"]))
    if found is None:
        if source.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{source["name"]}" not found')
    content = decoded_data(kind, found)
    if not source.get("items"):
        return {name: Entry(data, default) for name, data in content.items()}
    chosen = {}
    for item in source["items"]:
        if item["key"] not in content:
            if source.get("optional"):
                continue
            raise ConfigError(f"{kind.lower()} {source['name']} has no key {item['key']}")
        mode = item.get("mode")
        chosen[safe_path(item["path"])] = Entry(content[item["key"]], default if mode is None else int(mode))
    return chosen


def decoded_data(kind: str, obj: Obj) -> dict[str, bytes]:
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}
    texts = {key: str(value).encode() for key, value in (obj.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}


def downward_files(pod: Obj, source: Mapping[str, Any], default: int, node: NodeView, address: str) -> dict[str, Entry]:
    files = {}
    for item in source.get("items") or ():
        if "fieldRef" in item:
            text = field_value(pod, item["fieldRef"]["fieldPath"], node=node, address=address)
        else:
            text = resource_value(pod, item["resourceFieldRef"], {}, cpus=node.cpus, memory=node.memory)
        mode = item.get("mode")
        files[safe_path(item["path"])] = Entry(text.encode(), default if mode is None else int(mode))
    return files


def safe_path(path: str) -> str:
    """Raises: ConfigError, for a path that leaves its volume."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or path.startswith(".."):
        raise ConfigError(f"{path!r} is not a path inside a volume")
    return str(pure)
