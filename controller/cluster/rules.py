"""How an app's releases go live: what it set for itself, else what Deis' variables say, else the platform's way."""

import re
from dataclasses import dataclass
from typing import Any

Share = int | str  # a number of processes, or a part of them: `25%`
MOST = 1000  # processes
LONGEST = 3600  # seconds
LONGEST_BATCH = 24 * 3600  # seconds that DEIS_DEPLOY_TIMEOUT may give a batch
PERCENT = re.compile(r"(100|[1-9]?[0-9])%")
BOUNDS = {"timeout": (1, LONGEST), "release_timeout": (1, LONGEST), "watch": (0, LONGEST), "errors": (1, 100)}


@dataclass(frozen=True)
class DeployRules:
    """Times in seconds. `surge` and `timeout` of None leave it to DEIS_DEPLOY_BATCHES and DEIS_DEPLOY_TIMEOUT."""

    surge: Share | None = None  # processes started beyond the wished number while a release goes live
    unavailable: Share = 0  # processes that may be missing meanwhile
    timeout: int | None = None  # for one batch of processes to come up
    release_timeout: int = 600  # for the release command, and each script around a deploy
    watch: int = 120  # for which a release is watched after it went live; 0: not at all
    rollback: bool = True  # whether a release that fails while it is watched is taken back
    errors: int = 50  # percent of a watched release's answers that may be 5xx


def number_in(text: str, most: int) -> int | None:
    """The whole number an app's variable holds, at most `most`; None when it holds none."""
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:20]), most)


def share_of(wished: Any) -> Share:
    """`wished` as a share of processes. Raises: ValueError with a sentence."""
    if isinstance(wished, str) and PERCENT.fullmatch(wished):
        return wished
    text = str(wished)
    if isinstance(wished, bool) or not (text.isascii() and text.isdigit()) or int(text[:6]) > MOST:
        raise ValueError(f"A number of processes up to {MOST}, or a part of them such as 25%.")
    return int(text)


def resolved(share: Share, count: int, *, up: bool) -> int:
    """`share` of `count` processes as a number; a part is rounded `up` or down."""
    if isinstance(share, int):
        return share
    percent = int(share.removesuffix("%"))
    return -(-count * percent // 100) if up else count * percent // 100
