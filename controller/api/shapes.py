"""What views say of their answers and bodies, for the API's description (`openapi.py` writes it out).

A shape is a serializer; a Python type (`str | None`, `list[str]`, a dataclass); `{"name": shape}`, an object with
these fields; `[shape]`, a list; `Page(shape)`; `Also(shape, field=shape)`, more fields; `Text()`,
no JSON; `Forms(json=shape, yaml=shape)`, the same in several media types.

`gives` of a view maps a method to a shape (status 200), a status without a body, `(status, shape)`, or a mapping of
statuses to shapes. `takes` maps a method to the shape of its body, `asks` to its query parameters and what they mean.
"""

from dataclasses import dataclass
from typing import Any

Shape = Any


@dataclass(frozen=True)
class Page:
    """One page of a list, as Deis has them: `count`, `next`, `previous`, `results`."""

    of: Shape


class Also:
    """What `shape` has, and more fields."""

    def __init__(self, shape: Shape, **more: Shape) -> None:
        self.shape, self.more = shape, more


@dataclass(frozen=True)
class Text:
    media_type: str = "text/plain"


class Forms:
    """The same in several media types."""

    def __init__(self, **by_type: Shape) -> None:
        self.by_type = {f"application/{name}": shape for name, shape in by_type.items()}


def counted(shape: Shape) -> Shape:
    """A list that comes whole."""
    return {"results": [shape], "count": int}


def by_status(given: Shape | int | tuple[int, Shape] | dict[int, Shape]) -> dict[int, Shape | None]:
    """What `gives` has for a method, as status → shape; None is no body."""
    if isinstance(given, int):
        return {given: None}
    if isinstance(given, tuple):
        return {given[0]: given[1]}
    if isinstance(given, dict) and given and all(isinstance(status, int) for status in given):
        return given
    return {200: given}
