"""`key=value` words, as many commands take them."""

from __future__ import annotations

from collections.abc import Iterable

from cli.errors import UsageError


def parse_pairs(words: Iterable[str]) -> dict[str, str]:
    """The values by key.

    Raises: UsageError for a word without a key or a value.
    """
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals and value):
            raise UsageError(f"'{word}' is no pair; write key=value.")
        pairs[key] = value
    return pairs
