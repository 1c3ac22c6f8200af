"""The functions and methods that expressions may call. Each gets its target first and refuses what it can't take."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from orchestrator.objects.quantity import Quantity, is_quantity, parse_quantity

MAX_TEXT = 1_000_000


class CelError(Exception):
    """An expression that went wrong while it ran."""


class Optional:
    """A value that may be absent."""

    __slots__ = ("present", "value")

    def __init__(self, present: bool, value: Any = None) -> None:
        self.present, self.value = present, value


def overload(name: str) -> CelError:
    return CelError(f"no such overload: {name}")


def type_name(value: Any) -> str:
    if value is None:
        return "null_type"
    if isinstance(value, bool):
        return "bool"
    names: dict[type, str] = {
        int: "int", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
        timedelta: "google.protobuf.Duration", datetime: "google.protobuf.Timestamp", Quantity: "kubernetes.Quantity",
    }  # fmt: skip
    return names.get(type(value), "optional_type")


@lru_cache(maxsize=512)
def pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text.replace(r"\z", r"\Z"))
    except re.error as problem:
        raise CelError(f"invalid regular expression {text!r}: {problem}") from problem


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise overload("size")


def _to_int(value: Any) -> int:
    try:
        if isinstance(value, datetime):
            return int(value.timestamp())
        if isinstance(value, str) and not re.fullmatch(r"-?\d+", value):
            raise ValueError
        return int(value)
    except (TypeError, ValueError, OverflowError) as problem:
        raise CelError(f"type conversion error from {type_name(value)} to 'int'") from problem


def _to_double(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as problem:
        raise CelError(f"type conversion error from {type_name(value)} to 'double'") from problem


def _to_string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, int | float | str | Quantity):
        return str(value)
    raise CelError(f"type conversion error from {type_name(value)} to 'string'")


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "TRUE", "t", "1"):
        return True
    if value in ("false", "False", "FALSE", "f", "0"):
        return False
    raise CelError(f"type conversion error from {type_name(value)} to 'bool'")


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    sign, bare = (-1, value[1:]) if isinstance(value, str) and value.startswith("-") else (1, value)
    if not isinstance(bare, str) or not _DURATION.match(bare) or _DURATION.sub("", bare):
        raise CelError(f"{value!r} is not a duration such as 1h30m")
    return sign * timedelta(seconds=sum(float(n) * _UNITS[unit] for n, unit in _DURATION.findall(bare)))


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value, UTC)
        return datetime.fromisoformat(value)
    except (TypeError, ValueError, OverflowError) as problem:
        raise CelError(f"{value!r} is not a timestamp") from problem


def _quantity(value: Any) -> Quantity:
    try:
        return value if isinstance(value, Quantity) else parse_quantity(value)
    except (TypeError, ValueError) as problem:
        raise CelError(str(problem)) from problem


def _parses(parse: Callable[[Any], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            parse(value)
        except (ValueError, TypeError, CelError):
            return False
        return True

    return check


def _url(value: Any) -> Any:
    if not isinstance(value, str):
        raise overload("url")
    parts = urlsplit(value)
    if not (parts.scheme and (parts.netloc or parts.path)) and not value.startswith("/"):
        raise CelError(f"URL parse error during conversion from string: {value!r}")
    return parts


def _strict_ip(value: Any) -> Any:
    if not isinstance(value, str):
        raise overload("ip")
    try:
        return ipaddress.ip_address(value)
    except ValueError as problem:
        raise CelError(f"IP Address {value!r} parse error") from problem


def _network(value: Any) -> Any:
    if not isinstance(value, str) or "/" not in value:
        raise CelError(f"network address parse error: {value!r}")
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError as problem:
        raise CelError(f"network address parse error: {value!r}") from problem


GLOBALS: dict[str, Callable[..., Any]] = {
    "size": _size, "int": _to_int, "uint": _to_int, "double": _to_double, "string": _to_string, "bool": _to_bool,
    "bytes": lambda value: value if isinstance(value, bytes) else _to_string(value).encode(), "type": type_name,
    "dyn": lambda value: value, "duration": _duration, "timestamp": _timestamp,
    "matches": lambda text, regex: pattern(regex).search(_text(text, "matches")) is not None,
    "quantity": _quantity, "isQuantity": lambda value: isinstance(value, str) and is_quantity(value),
    "isURL": _parses(_url), "url": _url, "isIP": _parses(_strict_ip), "ip": _strict_ip, "isCIDR": _parses(_network),
    "cidr": _network,
}  # fmt: skip


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise overload(name)
    return value


def _items(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise overload(name)
    return value


def _of_text(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(target: Any, *arguments: Any) -> Any:
        try:
            return function(_text(target, name), *arguments)
        except (TypeError, AttributeError) as problem:
            raise overload(name) from problem

    return method


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    if text.count(old) * max(len(new), 1) > MAX_TEXT:
        raise CelError("replace would make a text that is too long")
    return text.replace(old, new, count)


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= stop <= len(text):
        raise CelError(f"index out of range: {start if start > len(text) else stop}")
    return text[start:stop]


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    parts = list(text) if separator == "" else text.split(separator, limit - 1 if limit > 0 else -1)
    return parts


def _index_of(target: Any, sought: Any, start: int = 0) -> int:
    if isinstance(target, str):
        return target.find(sought, start)
    return next((at for at, item in enumerate(_items(target, "indexOf")) if item == sought), -1)


def _last_index_of(target: Any, sought: Any) -> int:
    if isinstance(target, str):
        return target.rfind(sought)
    items = _items(target, "lastIndexOf")
    return next((at for at in reversed(range(len(items))) if items[at] == sought), -1)


def _compared(name: str, pick: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def method(target: Any) -> Any:
        items = _items(target, name)
        if not items:
            raise CelError(f"{name} called on empty list")
        try:
            return pick(items)
        except TypeError as problem:
            raise overload(name) from problem

    return method


def _is_sorted(target: Any) -> bool:
    items = _items(target, "isSorted")
    try:
        return all(left <= right for left, right in zip(items, items[1:], strict=False))
    except TypeError as problem:
        raise overload("isSorted") from problem


def _join(target: Any, separator: str = "") -> str:
    return separator.join(_text(item, "join") for item in _items(target, "join"))


_VERB = re.compile(r"%(?:\.(\d{1,3}))?(.)", re.DOTALL)


def _format(text: str, arguments: Any) -> str:
    """`'%s is %d'.format([name, size])`; the verbs are those of cel-go's ext/formatting.go."""
    left = iter(_items(arguments, "format"))

    def write(found: re.Match[str]) -> str:
        digits, verb = found.groups()
        if verb == "%":
            return "%"
        try:
            value = next(left)
        except StopIteration:
            raise CelError(f"index {len(arguments)} out of range") from None
        return _formatted(verb, value, 6 if digits is None else int(digits))

    return _VERB.sub(write, text)


def _formatted(verb: str, value: Any, digits: int) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and isinstance(value, int)
    if verb == "s":
        return _spoken(value)
    if verb == "d" and whole:
        return str(value)
    if verb in "fe" and number:
        return f"{float(value):.{digits}{verb}}"
    if verb in "bo" and (whole or (verb == "b" and isinstance(value, bool))):
        return format(int(value), verb)
    if verb in "xX" and whole:
        return format(value, verb)
    if verb in "xX" and isinstance(value, str | bytes):
        text = (value.encode() if isinstance(value, str) else value).hex()
        return text.upper() if verb == "X" else text
    raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{verb}" of {type_name(value)}')


def _spoken(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_spoken, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(sorted(f'{_spoken(key)}: {_spoken(item)}' for key, item in value.items()))}}}"
    return _to_string(value)


def _optional(target: Any, name: str) -> Optional:
    if not isinstance(target, Optional):
        raise overload(name)
    return target


def _value(target: Any) -> Any:
    found = _optional(target, "value")
    if not found.present:
        raise CelError("optional.none() dereference")
    return found.value


def _or_value(target: Any, other: Any) -> Any:
    return target.value if _optional(target, "orValue").present else other


def _cmp(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _amount(change: Callable[[int, int], int]) -> Callable[[Any, Any], Quantity]:
    def method(target: Any, other: Any) -> Quantity:
        left, right = _quantity(target), _quantity(other)
        return Quantity(change(left.nanos, right.nanos), left.form)

    return method


def _as_integer(target: Any) -> int:
    whole, rest = divmod(_quantity(target).nanos, 10**9)
    if rest:
        raise CelError("cannot convert value to integer")
    return whole


def _contains(target: Any, sought: Any) -> bool:
    if isinstance(target, str) and isinstance(sought, str):
        return sought in target
    raise overload("contains")


def _time_part(read: Callable[[datetime], int]) -> Callable[..., int]:
    def method(target: Any, zone: str = "") -> int:
        if not isinstance(target, datetime):
            raise overload("timestamp part")
        return read(target.astimezone(UTC) if not zone else target)

    return method


def _seconds(target: Any) -> int:
    if isinstance(target, timedelta):
        return int(target.total_seconds())
    return target.second if isinstance(target, datetime) else 0


def _told(name: str) -> Callable[..., Any]:
    """A method of objects that come with an expression's variables, such as `authorizer`."""

    def method(target: Any, *arguments: Any) -> Any:
        if type(target) in (str, int, float, bool, list, dict, type(None)):
            raise overload(name)
        return getattr(target, name)(*arguments)

    return method


_ASKING = (
    "path", "group", "serviceAccount", "resource", "subresource", "namespace", "name", "check", "allowed", "reason",
    "errored", "error",
)  # fmt: skip
METHODS: dict[str, Callable[..., Any]] = {
    **{name: _told(name) for name in _ASKING},
    "size": _size,
    "startsWith": _of_text("startsWith", lambda text, part: text.startswith(part)),
    "endsWith": _of_text("endsWith", lambda text, part: text.endswith(part)),
    "contains": _contains,
    "matches": lambda text, regex: pattern(regex).search(_text(text, "matches")) is not None,
    "find": _of_text("find", lambda text, regex: (m := pattern(regex).search(text)) and m[0] or ""),
    "findAll": _of_text("findAll", lambda text, regex: [m[0] for m in pattern(regex).finditer(text)]),
    "charAt": _of_text("charAt", lambda text, at: text[at : at + 1]),
    "lowerAscii": _of_text("lowerAscii", lambda text: text.lower()),
    "upperAscii": _of_text("upperAscii", lambda text: text.upper()),
    "trim": _of_text("trim", lambda text: text.strip()),
    "replace": _of_text("replace", _replace),
    "substring": _of_text("substring", _substring),
    "split": _of_text("split", _split),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "join": _join,
    "format": _of_text("format", _format),
    "isSorted": _is_sorted,
    "min": _compared("min", min),
    "max": _compared("max", max),
    "sum": lambda target: sum(_items(target, "sum")),
    "orValue": _or_value,
    "or": lambda target, other: target if _optional(target, "or").present else other,
    "hasValue": lambda target: _optional(target, "hasValue").present,
    "value": _value,
    "of": lambda _, value: Optional(True, value),
    "none": lambda _: Optional(False),
    "ofNonZeroValue": lambda _, value: Optional(bool(value), value),
    "equivalent": lambda _, a, b: all(x in b for x in a) and all(x in a for x in b),
    "intersects": lambda _, a, b: any(x in b for x in a),
    "isGreaterThan": lambda a, b: _quantity(a).nanos > _quantity(b).nanos,
    "isLessThan": lambda a, b: _quantity(a).nanos < _quantity(b).nanos,
    "compareTo": lambda a, b: _cmp(_quantity(a).nanos, _quantity(b).nanos),
    "asInteger": _as_integer,
    "asApproximateFloat": lambda a: _quantity(a).nanos / 10**9,
    "isInteger": lambda a: _quantity(a).nanos % 10**9 == 0,
    "sign": lambda a: _cmp(_quantity(a).nanos, 0),
    "add": _amount(lambda a, b: a + b),
    "sub": _amount(lambda a, b: a - b),
    "getScheme": lambda url: url.scheme,
    "getHost": lambda url: url.netloc.rpartition("@")[2],
    "getHostname": lambda url: url.hostname or "",
    "getPort": lambda url: str(url.port or ""),
    "getEscapedPath": lambda url: url.path,
    "family": lambda address: address.version,
    "isLoopback": lambda address: address.is_loopback,
    "containsIP": lambda network, address: _ip_of(address) in network,
    "prefixLength": lambda network: network.prefixlen,
    "getFullYear": _time_part(lambda when: when.year),
    "getMonth": _time_part(lambda when: when.month - 1),
    "getDate": _time_part(lambda when: when.day),
    "getHours": lambda t: int(t.total_seconds() // 3600) if isinstance(t, timedelta) else t.hour,
    "getMinutes": lambda t: int(t.total_seconds() // 60) if isinstance(t, timedelta) else t.minute,
    "getSeconds": _seconds,
}


def _ip_of(value: Any) -> Any:
    return _strict_ip(value) if isinstance(value, str) else value
