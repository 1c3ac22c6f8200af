"""Makes `fields.json`: the field numbers of Kubernetes' messages, out of the descriptors that every kubectl carries.

    python -m orchestrator.apiserver.wire.extract /path/to/kubectl

Go programs built with Kubernetes' API types hold the compiled `generated.proto` files, each a gzip stream. Reading them
there keeps the numbers Kubernetes' own; no package for Python brings them.
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
_SERVED = re.compile(r"k8s\.io\.(api\.[a-z]+\.v[12]|apimachinery\..*)\.[A-Za-z]+")
_LEFT_OUT = re.compile(r"k8s\.io\.api\.(resource|flowcontrol|imagepolicy|apiserverinternal|admission)\b")
_REPEATED, _MESSAGE = 3, 11
_JSON_NAMES = {"aPIGroup": "apiGroup", "uID": "uid"}  # where the descriptor says it otherwise
_KINDS = {3: "i", 4: "i", 5: "i", 8: "b", 9: "s", 11: "m", 12: "y", 13: "i", 17: "z", 18: "z"}
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


def main() -> int:
    found = {
        name: fields
        for descriptor in descriptors(Path(sys.argv[1]).read_bytes())
        for name, fields in messages(descriptor)
        if _SERVED.match(name) and not _LEFT_OUT.match(name)
    }
    OUTPUT.write_text(json.dumps(dict(sorted(found.items())), separators=(",", ":")) + "\n")
    print(f"{len(found)} messages in {OUTPUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
