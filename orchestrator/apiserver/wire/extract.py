"""Makes `fields.json`: the field numbers of Kubernetes' messages, out of the descriptors that every kubectl carries.

    python -m orchestrator.apiserver.wire.extract /path/to/kubectl /path/to/apiextensions/v1/generated.proto

Go programs built with Kubernetes' API types hold the compiled `generated.proto` files, each a gzip stream. Reading them
there keeps the numbers Kubernetes' own; no package for Python brings them. kubectl holds none of
CustomResourceDefinitions: theirs are read from the file itself.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.apiserver.wire.protobuf import fields_of

_GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
_MAX_DESCRIPTOR = 1 << 20
_SERVED = re.compile(r"k8s\.io\.(api\.[a-z]+\.v[12]|apimachinery\..*|apiextensions_apiserver\..*)\.[A-Za-z]+")
_LEFT_OUT = re.compile(r"k8s\.io\.api\.(resource|flowcontrol|imagepolicy|apiserverinternal|admission)\b")
_REPEATED, _MESSAGE = 3, 11
_JSON_NAMES = {"aPIGroup": "apiGroup", "uID": "uid", "Webhooks": "webhooks"}  # where the descriptor says it otherwise
_KINDS = {3: "i", 4: "i", 5: "i", 8: "b", 9: "s", 11: "m", 12: "y", 13: "i", 17: "z", 18: "z"}
_KINDS_BY_NAME = {"int32": "i", "int64": "i", "bool": "b", "string": "s", "bytes": "y", "double": "z"}
_SCHEMA_NAMES = {"schema": "$schema", "ref": "$ref"}  # of JSONSchemaProps
_MESSAGE_TEXT = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
_FIELD_TEXT = re.compile(r"^ *(optional|repeated|map<string,) ([\w.]+)>? (\w+) = (\d+);", re.M)
OUTPUT = Path(__file__).with_name("fields.json")


def descriptors(program: bytes) -> Iterator[bytes]:
    """Every FileDescriptorProto of k8s.io in the program."""
    at = program.find(_GZIP)
    while at >= 0:
        try:
            content = zlib.decompressobj(31).decompress(program[at : at + _MAX_DESCRIPTOR])
            if dict(fields_of(content)).get(1, b"").startswith(b"k8s.io/"):
                yield content
        except (zlib.error, ValueError, IndexError, AttributeError):
            pass  # the bytes only looked like a gzip stream
        at = program.find(_GZIP, at + 1)


def messages(descriptor: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Full names of the file's messages (map entries included) and their fields by number."""
    package = next(value for number, value in fields_of(descriptor) if number == 2).decode()
    for number, value in fields_of(descriptor):
        if number == 4:
            yield from _message(package, value)


def _message(parent: str, descriptor: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    parts = list(fields_of(descriptor))
    name = f"{parent}.{next(value for number, value in parts if number == 1).decode()}"
    fields = {}
    for number, value in parts:
        if number == 3:
            yield from _message(name, value)
        elif number == 2:
            field = dict(fields_of(value))
            called = field[1].decode()
            row = [_JSON_NAMES.get(called, called), _KINDS.get(field[5], "z"), field[4] == _REPEATED]
            if field[5] == _MESSAGE:
                row.append(field[6].decode().lstrip("."))
            fields[str(field[3])] = row
    yield name, fields


def messages_of_text(content: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `messages` gives of a descriptor, of the file it was compiled from."""
    declared = re.search(r"^package ([\w.]+);", content, re.M)
    if declared is None:
        raise ValueError("the file names no package: it is no generated.proto")
    package = declared[1]
    for message, body in _MESSAGE_TEXT.findall(content):
        fields = {}
        for label, kind, called, number in _FIELD_TEXT.findall(body):
            row = _row_of_text(package, kind)
            if label.startswith("map"):
                entry = f"{package}.{message}.{called[0].upper()}{called[1:]}Entry"
                yield entry, {"1": ["key", "s", False], "2": ["value", row[0], False, *row[1:]]}
                row = ["m", entry]
            fields[number] = [_json_name(message, called), row[0], label != "optional", *row[1:]]
        yield f"{package}.{message}", fields


def _row_of_text(package: str, kind: str) -> list[str]:
    """The kind, and of a message its full name."""
    if kind in _KINDS_BY_NAME:
        return [_KINDS_BY_NAME[kind]]
    return ["m", kind if "." in kind else f"{package}.{kind}"]


def _json_name(message: str, called: str) -> str:
    if called.startswith("xKubernetes"):
        return re.sub(r"[A-Z]", lambda letter: f"-{letter[0].lower()}", called)
    return _SCHEMA_NAMES.get(called, called) if message == "JSONSchemaProps" else called


def read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix == ".proto":
        yield from messages_of_text(path.read_text())
        return
    for descriptor in descriptors(path.read_bytes()):
        yield from messages(descriptor)


def main() -> int:
    found = {
        name: fields
        for path in sys.argv[1:]
        for name, fields in read(Path(path))
        if _SERVED.match(name) and not _LEFT_OUT.match(name)
    }
    OUTPUT.write_text(json.dumps(dict(sorted(found.items())), separators=(",", ":")) + "\n")
    print(f"{len(found)} messages in {OUTPUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
