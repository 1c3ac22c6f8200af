"""Request bodies as Go's parsers read them: YAML without dates or bombs, and keys that an object sets twice.

JSON is parsed by others; it passes a check here that costs a few microseconds, and is read again, slowly, only when it
looks wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import yaml

_LIMIT = 100
_MAX_YAML_NODES = 1_000_000
_MAX_YAML_DEPTH = 100


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written: every key, twice where it stood twice."""


def json_duplicates(raw: bytes, parsed: Any) -> list[str]:
    """Sentences such as `duplicate field "spec.replicas"`; `parsed` is what `raw` was parsed to.

    Raises: ValueError when the document is nested deeper than could be written back.
    """
    try:
        if _keys(raw) == _keys(orjson.dumps(parsed)):
            return []
        written = json.loads(raw, object_pairs_hook=_Pairs)
    except (orjson.JSONEncodeError, RecursionError) as problem:
        raise ValueError("the document is nested too deeply") from problem
    return [f'duplicate field "{path}"' for path in dict.fromkeys(_doubled(written, ""))][:_LIMIT]


def _keys(text: bytes) -> int:
    """How many keys a document seems to have: quotes followed by a colon, without those inside strings."""
    return text.count(b'":') - text.count(b'\\":')


def _doubled(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, item in value:
            below = f"{path}.{key}" if path else key
            if key in seen:
                yield below
            seen.add(key)
            yield from _doubled(item, below)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _doubled(item, f"{path}[{at}]")


class BadYaml(ValueError):
    """A body that is no YAML document this server reads."""


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]
    """Like the safe loader, but what looks like a date stays text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def load_yaml(raw: bytes) -> tuple[Any, list[str]]:
    """The document, and sentences such as `line 11: key "foo" already set in map`. Raises: BadYaml."""
    loader = _Loader(raw)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        if _expanded_size(node, {}, 0) > _MAX_YAML_NODES:
            raise BadYaml(f"the document has more than {_MAX_YAML_NODES} values once its aliases are followed")
        return loader.construct_document(node), _yaml_duplicates(node)
    except (yaml.YAMLError, RecursionError) as problem:
        raise BadYaml(str(problem)) from problem
    finally:
        loader.dispose()


def _expanded_size(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """How many values the document holds when every alias is written out."""
    if depth > _MAX_YAML_DEPTH:
        raise BadYaml(f"the document is nested deeper than {_MAX_YAML_DEPTH} levels")
    if id(node) not in sizes:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        sizes[id(node)] = 1 + sum(_expanded_size(child, sizes, depth + 1) for child in children)
    return sizes[id(node)]


def _yaml_duplicates(root: yaml.Node) -> list[str]:
    found: list[tuple[int, str]] = []
    pending, visited = [root], set()
    while pending:
        node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                if name in seen:
                    found.append((key.start_mark.line + 1, name))
                seen.add(name)
                pending.append(value)
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)
    return [f'line {line}: key "{name}" already set in map' for line, name in sorted(found)[:_LIMIT]]
