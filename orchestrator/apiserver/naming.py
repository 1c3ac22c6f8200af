"""Random names and uids. Names are spelled so that they make no words and cannot be misread.

None of them is a secret, so a generator seeded once will do: asking the kernel for each costs more than a validation.
"""

from __future__ import annotations

import random
import uuid

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_BASE = 58  # a generated name must fit into a label
_random = random.Random(random.SystemRandom().getrandbits(256))


def random_suffix() -> str:
    return "".join(_random.choices(_ALPHABET, k=5))


def generate_name(base: str) -> str:
    return base[:_MAX_BASE] + random_suffix()


def new_uid() -> str:
    return str(uuid.UUID(int=_random.getrandbits(128), version=4))
