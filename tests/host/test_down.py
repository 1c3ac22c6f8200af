"""`make down` and `make destroy` while the supervisor is dead and its programs live on."""

from __future__ import annotations

from pathlib import Path

import pytest

from host import down
from host.orphans import Orphan
from host.settings import Platform


class Supervisor:
    """One that is back after so many looks (None: never), and remembers whether it was started."""

    def __init__(self, back_after: int | None) -> None:
        self.looks, self.back_after, self.started = 0, back_after, False

    def pid(self) -> int | None:
        self.looks += 1
        return 7 if self.started or (self.back_after is not None and self.looks > self.back_after) else None

    def start(self) -> None:
        self.started = True


@pytest.mark.parametrize(
    ("back_after", "orphans", "started"), [(0, True, False), (3, True, False), (None, True, True), (None, False, False)]
)
def test_a_killed_supervisor_is_waited_for_and_else_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back_after: int | None, orphans: bool, started: bool
) -> None:
    left = [Orphan(1, "orchestrator-agent", "python3")] if orphans else []
    monkeypatch.setattr(down.orphans, "find", lambda home: left)
    monkeypatch.setattr(down, "LOOK", 0.001)
    supervisor = Supervisor(back_after)
    down.await_revival(Platform(home=tmp_path), supervisor, patience=0.05)
    assert supervisor.started is started
    assert (supervisor.pid() is None) is not orphans
