"""The Common Expression Language, as far as validation rules of custom resources use it.

`compile_rule` finds mistakes when a definition is written; `Rule.evaluate` runs one under a budget, so that no rule can
hold the server up. Sources: cel-spec doc/langdef.md, apiserver pkg/cel/library.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from orchestrator.objects.cel.evaluate import Evaluation
from orchestrator.objects.cel.functions import GLOBALS, METHODS, CelError
from orchestrator.objects.cel.syntax import MACROS, CelSyntaxError, Expression, parse, walk

__all__ = ["BUDGET", "CelError", "CelSyntaxError", "Evaluation", "Rule", "compile_rule"]

BUDGET = 200_000
"""Steps the rules of one object may take together; one over a list of 10,000 items stays well below."""
_TYPES = frozenset(("int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"))
_MACRO_NAMESPACES = frozenset(("optional", "sets", "math"))


class Rule:
    """A compiled expression."""

    __slots__ = ("expression", "text", "uses_old")

    def __init__(self, text: str, expression: Expression) -> None:
        self.text, self.expression = text, expression
        self.uses_old = any(node[0] == "ident" and node[1] == "oldSelf" for node in walk(expression))

    def evaluate(self, variables: Mapping[str, Any], evaluation: Evaluation | None = None) -> Any:
        """`evaluation` holds the steps left for several rules together. Raises: CelError, saying what went wrong."""
        try:
            return (evaluation or Evaluation(BUDGET)).run(self.expression, variables)
        except RecursionError as deep:
            raise CelError("the expression is nested too deeply") from deep


@lru_cache(maxsize=1024)
def compile_rule(text: str, variables: tuple[str, ...] = ("self", "oldSelf")) -> Rule:
    """Raises: CelSyntaxError for what does not parse, and for unknown functions and names."""
    expression = parse(text)
    _check_names(expression, frozenset(variables) | _TYPES | _MACRO_NAMESPACES)
    return Rule(text, expression)


def _check_names(node: Expression, known: frozenset[str]) -> None:
    kind = node[0]
    if kind == "ident" and node[1] not in known:
        raise CelSyntaxError(f"undeclared reference to '{node[1]}' (in container '')")
    if kind == "call" and node[1] not in GLOBALS:
        raise CelSyntaxError(f"undeclared reference to '{node[1]}' (in container '')")
    if kind == "method" and node[2] not in METHODS and node[2] not in MACROS:
        raise CelSyntaxError(f"undeclared reference to '{node[2]}' (in container '')")
    if kind == "macro":
        _, target, _, names, bodies = node
        _check_names(target, known)
        for body in bodies:
            _check_names(body, known | frozenset(names))
        return
    for part in node[1:]:
        for child in part if isinstance(part, list) else [part]:
            if isinstance(child, tuple) and child and isinstance(child[0], tuple):
                for below in child:
                    _check_names(below, known)
            elif isinstance(child, tuple) and child and kind != "literal":
                _check_names(child, known)
