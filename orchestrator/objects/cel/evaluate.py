"""Running an expression's tree against variables, counting every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from orchestrator.objects.cel.functions import GLOBALS, MAX_TEXT, METHODS, CelError, Optional, overload, type_name
from orchestrator.objects.cel.syntax import Expression
from orchestrator.objects.quantity import Quantity

_INT64 = 2**63
_TYPE_NAMES = frozenset(("int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"))


class Evaluation:
    """One run: the steps left."""

    __slots__ = ("left",)

    def __init__(self, budget: int) -> None:
        self.left = budget

    def run(self, node: Expression, names: Mapping[str, Any]) -> Any:
        """Raises: CelError."""
        self.left -= 1
        if self.left < 0:
            raise CelError("the rule takes too many steps: call cost exceeds limit")
        return _HANDLERS[node[0]](self, node, names)

    def condition(self, node: Expression, names: Mapping[str, Any]) -> bool:
        value = self.run(node, names)
        if not isinstance(value, bool):
            raise CelError(f"no such overload: expected bool, got {type_name(value)}")
        return value


def _ident(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    name = node[1]
    if name in names:
        return names[name]
    if name in _TYPE_NAMES:
        return name
    if name in ("optional", "sets", "math"):
        return None
    raise CelError(f"no such attribute: {name}")


def _has(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> bool:
    target = run.run(node[1], names)
    if isinstance(target, Optional):
        target = target.value if target.present else {}
    if not isinstance(target, dict):
        raise overload("has")
    return target.get(node[2]) is not None


def _field(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    _, inner, name, optional = node
    target = run.run(inner, names)
    through = isinstance(target, Optional)
    if through:
        if not target.present:
            return target
        target = target.value
    if optional or through:
        present = isinstance(target, dict) and target.get(name) is not None
        return Optional(present, target[name] if present else None)
    if not isinstance(target, dict):
        raise CelError(f"no such overload: {type_name(target)}.{name}")
    if name not in target:
        raise CelError(f"no such key: {name}")
    return target[name]


def _index(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    _, inner, position, optional = node
    target, index = run.run(inner, names), run.run(position, names)
    if isinstance(target, Optional):
        if not target.present:
            return target
        target, optional = target.value, True
    found, value = False, None
    if isinstance(target, list) and isinstance(index, int) and not isinstance(index, bool):
        if found := 0 <= index < len(target):
            value = target[index]
    elif isinstance(target, dict):
        if found := index in target:
            value = target[index]
    else:
        raise overload("_[_]")
    if optional:
        return Optional(found, value)
    if not found:
        raise CelError(f"index out of bounds: {index}" if isinstance(target, list) else f"no such key: {index}")
    return value


def _call(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    arguments = [run.run(argument, names) for argument in node[2]]
    try:
        return GLOBALS[node[1]](*arguments)
    except (TypeError, AttributeError) as problem:
        raise overload(node[1]) from problem


def _method(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    _, inner, name, written = node
    target = run.run(inner, names)
    arguments = [run.run(argument, names) for argument in written]
    if name == "contains" and inner == ("ident", "sets"):
        return all(item in arguments[0] for item in arguments[1])
    run.left -= len(target) // 16 if isinstance(target, str | list | dict) else 0
    try:
        return METHODS[name](target, *arguments)
    except (TypeError, AttributeError, KeyError) as problem:
        raise overload(name) from problem


def _if(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    return run.run(node[2] if run.condition(node[1], names) else node[3], names)


def _unary(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    if node[1] == "!":
        return not run.condition(node[2], names)
    value = run.run(node[2], names)
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        return -value
    raise overload("-_")


def _binary(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    _, operator, left, right = node
    if operator in ("&&", "||"):
        return _logic(run, operator == "||", left, right, names)
    a, b = run.run(left, names), run.run(right, names)
    if operator in ("==", "!="):
        return equal(a, b) == (operator == "==")
    if operator == "in":
        if isinstance(b, dict):
            return a in b
        if not isinstance(b, list):
            raise overload("@in")
        run.left -= len(b)
        return any(equal(a, item) for item in b)
    return _ORDER[operator](a, b) if operator in _ORDER else _arithmetic(operator, a, b)


def _logic(run: Evaluation, wins: bool, left: Expression, right: Expression, names: Mapping[str, Any]) -> bool:
    """The side that decides is enough, even when the other fails."""
    try:
        if run.condition(left, names) is wins:
            return wins
    except CelError:
        if run.left < 0 or run.condition(right, names) is not wins:
            raise
        return wins
    return run.condition(right, names)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return a.nanos == b.nanos
    if isinstance(a, Optional) and isinstance(b, Optional):
        return a.present == b.present and (not a.present or equal(a.value, b.value))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return bool(a == b)


_ORDERED: tuple[type | tuple[type, ...], ...] = ((int, float), str, bytes, timedelta, datetime)


def _ordered(name: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def operator(a: Any, b: Any) -> bool:
        if any(isinstance(a, kind) and isinstance(b, kind) for kind in _ORDERED):
            return compare(a, b)
        raise overload(f"_{name}_ of {type_name(a)} and {type_name(b)}")

    return operator


_ORDER = {
    "<": _ordered("<", lambda a, b: a < b),
    "<=": _ordered("<=", lambda a, b: a <= b),
    ">": _ordered(">", lambda a, b: a > b),
    ">=": _ordered(">=", lambda a, b: a >= b),
}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arithmetic(operator: str, a: Any, b: Any) -> Any:
    if operator == "+" and any(isinstance(a, kind) and isinstance(b, kind) for kind in (str, bytes, list)):
        if len(a) + len(b) > MAX_TEXT:
            raise CelError("the result is too large")
        return a + b
    times = (timedelta, datetime)
    if operator in "+-" and isinstance(a, times) and isinstance(b, times):
        try:
            return a + b if operator == "+" else a - b  # type: ignore[operator]
        except (TypeError, OverflowError) as problem:
            raise overload(f"_{operator}_") from problem
    if not (_number(a) and _number(b)):
        raise overload(f"_{operator}_ of {type_name(a)} and {type_name(b)}")
    if isinstance(a, float) or isinstance(b, float):
        return _of_doubles(operator, float(a), float(b))
    return _of_integers(operator, a, b)


def _of_doubles(operator: str, a: float, b: float) -> float:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/" if b != 0:
            return a / b
        case "/":
            return float("nan") if a == 0 else float("inf") * (1 if a > 0 else -1)
    raise overload("_%_ of double and double")


def _of_integers(operator: str, a: int, b: int) -> int:
    if operator in "/%":
        if b == 0:
            raise CelError("division by zero" if operator == "/" else "modulus by zero")
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        result = quotient if operator == "/" else a - b * quotient
    else:
        result = a + b if operator == "+" else a - b if operator == "-" else a * b
    if not -_INT64 <= result < _INT64:
        raise CelError("return error for overflow")
    return result


def _macro(run: Evaluation, node: Expression, names: Mapping[str, Any]) -> Any:
    _, inner, name, variables, bodies = node
    target = run.run(inner, names)
    if name in ("optMap", "optFlatMap"):
        if not isinstance(target, Optional):
            raise overload(name)
        if not target.present:
            return target
        value = run.run(bodies[0], {**names, variables[0]: target.value})
        return value if name == "optFlatMap" else Optional(True, value)
    if not isinstance(target, list | dict):
        raise overload(name)
    scopes = _scopes(target, variables, names)
    if name in ("map", "filter"):
        return _collect(run, name, bodies, scopes, variables[0])
    if name == "exists_one":
        return sum(run.condition(bodies[0], scope) for scope in scopes) == 1
    return _quantify(run, bodies[0], scopes, wins=name == "exists")


def _scopes(target: Any, variables: list[str], names: Mapping[str, Any]) -> list[dict[str, Any]]:
    if len(variables) == 2:
        pairs = target.items() if isinstance(target, dict) else enumerate(target)
        return [{**names, variables[0]: key, variables[1]: value} for key, value in pairs]
    return [{**names, variables[0]: item} for item in target]


def _collect(
    run: Evaluation, name: str, bodies: list[Expression], scopes: list[dict[str, Any]], variable: str
) -> list[Any]:
    if name == "filter":
        return [scope[variable] for scope in scopes if run.condition(bodies[0], scope)]
    if len(bodies) == 2:
        scopes = [scope for scope in scopes if run.condition(bodies[0], scope)]
    return [run.run(bodies[-1], scope) for scope in scopes]


def _quantify(run: Evaluation, body: Expression, scopes: list[dict[str, Any]], *, wins: bool) -> bool:
    """`exists` (wins=True) and `all`: an item that decides outweighs one that fails."""
    failed: CelError | None = None
    for scope in scopes:
        try:
            if run.condition(body, scope) is wins:
                return wins
        except CelError as error:
            if run.left < 0:
                raise
            failed = error
    if failed is not None:
        raise failed
    return not wins


_HANDLERS: dict[str, Callable[[Evaluation, Expression, Mapping[str, Any]], Any]] = {
    "literal": lambda run, node, names: node[1],
    "ident": _ident,
    "has": _has,
    "field": _field,
    "index": _index,
    "call": _call,
    "method": _method,
    "macro": _macro,
    "if": _if,
    "unary": _unary,
    "binary": _binary,
    "list": lambda run, node, names: [run.run(item, names) for item in node[1]],
    "map": lambda run, node, names: {run.run(key, names): run.run(value, names) for key, value in node[1]},
}
