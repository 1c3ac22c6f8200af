"""The JSONPath of printer columns and scale paths: `.spec.x`, `.items[0]`, `[*]`, `[?(@.type=="Ready")]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"()*\\]+(?:\\.[^.\[\]'"()*\\]*)*)
      | \[(?P<index>-?\d+)\]
      | \[['"](?P<quoted>[^'"]+)['"]\]
      | (?P<all>\[\*\]|\.\*)
      | \[\?\(\s*@(?P<left>[^=!<>\s]*)\s*(?P<operator>==|!=)\s*(?P<right>"[^"]*"|'[^']*'|[^\s)]+)\s*\)\]""",
    re.VERBOSE,
)
_Step = Callable[[Any], Iterator[Any]]


class JsonPath:
    """A parsed path."""

    __slots__ = ("steps", "text")

    def __init__(self, text: str, steps: tuple[_Step, ...]) -> None:
        self.text, self.steps = text, steps

    def find(self, value: Any) -> list[Any]:
        """Everything the path leads to; empty when it leads nowhere."""
        found = [value]
        for step in self.steps:
            found = [item for each in found for item in step(each)]
        return found


@lru_cache(maxsize=1024)
def parse(text: str) -> JsonPath:
    """Raises: ValueError when `text` is no such path."""
    rest = text.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    steps: list[_Step] = []
    while rest:
        found = _STEP.match(rest)
        if found is None:
            raise ValueError(f"{text!r} is not a JSON path: stuck at {rest!r}")
        steps.append(_step(found))
        rest = rest[found.end() :]
    return JsonPath(text, tuple(steps))


def _step(found: re.Match[str]) -> _Step:
    name = found["name"] or found["quoted"]
    if name is not None:
        return _field(re.sub(r"\\(.)", r"\1", name))
    if found["index"] is not None:
        return _item(int(found["index"]))
    if found["all"]:
        return _everything
    inner = parse(found["left"])
    right = found["right"]
    wanted = right[1:-1] if right[0] in "\"'" else orjson.loads(right)
    return _filter(inner, wanted, found["operator"] == "==")


def _field(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _item(index: int) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _everything(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _filter(inner: JsonPath, wanted: Any, equal: bool) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            for item in value:
                found = inner.find(item)
                if found and (found[0] == wanted) == equal:
                    yield item

    return step


def text_of(value: Any) -> str:
    """A value as kubectl prints it."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
