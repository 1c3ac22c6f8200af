"""From the text of an expression to its tree: nested tuples whose first item says what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Expression = tuple[Any, ...]
MACROS = frozenset(("all", "exists", "exists_one", "existsOne", "map", "filter", "optMap", "optFlatMap"))
_MAX_LENGTH = 20_000
_SKIP = re.compile(r"\s*(?://[^\n]*(?:\n|$)\s*)*")
_TOKEN = re.compile(
    r"""(?:
      (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+)
    | (?P<int>0[xX][0-9a-fA-F]+|\d+)(?P<unsigned>[uU])?
    | (?P<string>(?P<prefix>[rRbB]{0,2})(?:\"\"\"(?P<t1>.*?)\"\"\"|'''(?P<t2>.*?)'''
        |"(?P<s1>(?:[^"\\\n]|\\.)*)"|'(?P<s2>(?:[^'\\\n]|\\.)*)'))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]+`)
    | (?P<symbol>\|\||&&|==|!=|<=|>=|\.\?|\[\?|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SIMPLE_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_RESERVED = frozenset(("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
                       "package", "namespace", "return", "var", "void", "while"))  # fmt: skip
_FIELD_ESCAPES = (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"), ("__underscores__", "__"))
_END = ("end", "")


class CelSyntaxError(ValueError):
    """An expression that does not compile."""


def walk(node: Any) -> Iterator[Expression]:
    """Every expression in the tree."""
    if isinstance(node, tuple) and node and isinstance(node[0], str):
        yield node
    if isinstance(node, tuple | list):
        for part in node:
            yield from walk(part)


def field_name(written: str) -> str:
    """The name of the field that an identifier stands for: `x__dash__y` is `x-y`, `__if__` is `if`."""
    bare = written[2:-2] if written.startswith("__") and written.endswith("__") else ""
    if bare in _RESERVED or bare in ("true", "false", "null", "in"):
        return bare
    for escaped, plain in _FIELD_ESCAPES:
        written = written.replace(escaped, plain)
    return written


def parse(text: str) -> Expression:
    """Raises: CelSyntaxError."""
    if len(text) > _MAX_LENGTH:
        raise CelSyntaxError(f"the expression is longer than {_MAX_LENGTH} characters")
    parser = _Parser(text)
    try:
        expression = parser.expression()
    except RecursionError:
        raise CelSyntaxError("the expression is nested too deeply") from None
    parser.expect("end", "")
    return expression


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = list(self._tokens(text))
        self.at = 0

    def _tokens(self, text: str) -> Iterator[tuple[str, Any]]:
        position = 0
        while (position := _SKIP.match(text, position).end()) < len(text):  # type: ignore[union-attr]
            found = _TOKEN.match(text, position)
            if found is None:
                raise CelSyntaxError(f"Syntax error: token recognition error at: '{text[position:].strip()[:20]}'")
            position = found.end()
            if found["float"]:
                yield "literal", float(found["float"])
            elif found["int"]:
                yield "literal", int(found["int"], 0)
            elif found["string"] is not None:
                yield "literal", _string_value(found)
            elif found["name"]:
                yield "name", found["name"]
            else:
                yield "symbol", found["symbol"]

    def peek(self) -> tuple[str, Any]:
        return self.tokens[self.at] if self.at < len(self.tokens) else _END

    def next(self) -> tuple[str, Any]:
        token = self.peek()
        self.at += 1
        return token

    def takes(self, *symbols: str) -> str:
        kind, value = self.peek()
        if kind in ("symbol", "name") and value in symbols:
            self.at += 1
            return str(value)
        return ""

    def expect(self, kind: str, value: str) -> None:
        found = self.next()
        if found[0] != kind or (value and found[1] != value):
            shown = f"'{found[1]}'" if found is not _END else "<EOF>"
            raise CelSyntaxError(f"Syntax error: mismatched input {shown} expecting {value or '<EOF>'}")

    def expression(self) -> Expression:
        condition = self._binary(0)
        if not self.takes("?"):
            return condition
        yes = self._binary(0)
        self.expect("symbol", ":")
        return ("if", condition, yes, self.expression())

    _LEVELS: tuple[tuple[str, ...], ...] = (
        ("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"),
    )  # fmt: skip

    def _binary(self, level: int) -> Expression:
        if level == len(self._LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while operator := self.takes(*self._LEVELS[level]):
            left = ("binary", operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        if operator := self.takes("!", "-"):
            inner = self._unary()
            if operator == "-" and inner[0] == "literal" and isinstance(inner[1], int | float):
                return ("literal", -inner[1])
            return ("unary", operator, inner)
        return self._member(self._primary())

    def _member(self, target: Expression) -> Expression:
        while True:
            if symbol := self.takes(".", ".?"):
                kind, name = self.next()
                if kind != "name":
                    raise CelSyntaxError(f"Syntax error: mismatched input '{name}' expecting a field or function")
                if symbol == "." and self.takes("("):
                    target = self._call(target, name)
                else:
                    target = ("field", target, name.strip("`") if name[0] == "`" else field_name(name), symbol == ".?")
            elif symbol := self.takes("[", "[?"):
                index = self.expression()
                self.expect("symbol", "]")
                target = ("index", target, index, symbol == "[?")
            else:
                return target

    def _call(self, target: Expression, name: str) -> Expression:
        arguments = self._list(")")
        if name not in MACROS or len(arguments) < 2 or arguments[0][0] != "ident":
            return ("method", target, name, arguments)
        two = (
            len(arguments) == 3 and arguments[1][0] == "ident" and name in ("all", "exists", "exists_one", "existsOne")
        )
        names = [argument[1] for argument in arguments[: 2 if two else 1]]
        return ("macro", target, name.replace("existsOne", "exists_one"), names, arguments[len(names) :])

    def _list(self, close: str) -> list[Expression]:
        items: list[Expression] = []
        while not self.takes(close):
            if items:
                self.expect("symbol", ",")
                if self.takes(close):
                    break
            items.append(self.expression())
        return items

    def _primary(self) -> Expression:
        kind, value = self.next()
        if kind == "literal":
            return ("literal", value)
        if kind == "name":
            return self._name(value)
        if kind == "symbol" and value == "(":
            inner = self.expression()
            self.expect("symbol", ")")
            return inner
        if kind == "symbol" and value == "[":
            return ("list", self._list("]"))
        if kind == "symbol" and value == "{":
            return self._map()
        shown = "<EOF>" if kind == "end" else f"'{value}'"
        raise CelSyntaxError(f"Syntax error: mismatched input {shown} expecting an expression")

    def _name(self, name: str) -> Expression:
        constants = {"true": True, "false": False, "null": None}
        if name in constants:
            return ("literal", constants[name])
        if name in _RESERVED:
            raise CelSyntaxError(f"Syntax error: reserved identifier: {name}")
        if not self.takes("("):
            return ("ident", name)
        arguments = self._list(")")
        if name == "has":
            if len(arguments) != 1 or arguments[0][0] != "field":
                raise CelSyntaxError("invalid argument to has() macro")
            return ("has", arguments[0][1], arguments[0][2])
        return ("call", name, arguments)

    def _map(self) -> Expression:
        pairs: list[tuple[Expression, Expression]] = []
        while not self.takes("}"):
            if pairs:
                self.expect("symbol", ",")
            key = self.expression()
            self.expect("symbol", ":")
            pairs.append((key, self.expression()))
        return ("map", pairs)


def _string_value(found: re.Match[str]) -> str | bytes:
    text = next(part for part in (found["t1"], found["t2"], found["s1"], found["s2"]) if part is not None)
    prefix = found["prefix"].lower()
    if "r" not in prefix:
        text = _ESCAPE.sub(_unescaped, text)
    return text.encode() if "b" in prefix else text


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code.isdigit() and len(code) == 3:
        return chr(int(code, 8))
    return _SIMPLE_ESCAPES.get(code, code)
