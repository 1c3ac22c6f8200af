"""Random names, spelled so that they make no words and cannot be misread."""

from __future__ import annotations

import secrets

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_BASE = 58  # a generated name must fit into a label


def random_suffix() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def generate_name(base: str) -> str:
    return base[:_MAX_BASE] + random_suffix()
