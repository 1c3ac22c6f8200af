"""How a container that rests before its next start is told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.kubelet.runtime import PodRef

Waiting = Mapping[str, tuple[str, str]]
"""Container → reason and message of its waiting state."""

CRASH_LOOP = "CrashLoopBackOff"


def with_rests(waiting: Waiting, resting: Iterable[str], rests: Mapping[str, float], pod: PodRef) -> Waiting:
    """`waiting` with the containers that rest now, and without those that did."""
    shown = {name: why for name, why in waiting.items() if why[0] != CRASH_LOOP}
    place = f"{pod.name}_{pod.namespace}({pod.uid})"
    for name in resting:
        rest = rest_text(int(rests.get(name, 0)))
        shown[name] = (CRASH_LOOP, f"back-off {rest} restarting failed container={name} pod={place}")
    return shown


def rest_text(seconds: int) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"
