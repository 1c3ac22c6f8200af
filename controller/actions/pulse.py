"""What a worker does beside its work: show that it lives, listen for who wants it to stop, tell how far it is."""

import time
from collections import Counter

from django.db import transaction
from django.utils import timezone

from controller.actions.operations import topic
from controller.cluster.deploy import Superseded
from controller.errors import PaasError
from controller.models import Operation, OutputLine
from controller.wakeups import wake

LINES_KEPT = 5000  # of one source in one deploy
LONGEST_LINE = 4096  # characters


class LostClaim(PaasError):
    """Another worker holds the operation now."""


class Cancelled(PaasError):
    """Somebody wants the operation undone."""


class Pulse:
    """The operation's signs of life, its output, and the ear for whoever wants it to stop."""

    PERIOD = 1.0  # seconds between signs

    def __init__(self, operation: Operation, runner: str):
        self._operation, self._runner = operation, runner
        self._next = 0.0
        self._kept: Counter[str] = Counter()  # lines by source

    def tick(self) -> None:
        """Raises: Superseded, Cancelled, LostClaim."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.PERIOD
        held = Operation.objects.filter(pk=self._operation.pk, runner=self._runner, state=Operation.RUNNING)
        if not held.update(heartbeat=timezone.now()):
            raise LostClaim("another worker holds the operation")
        superseded, cancelled_by = held.values_list("superseded", "cancelled_by").first() or (False, "")
        if superseded:
            raise Superseded("superseded by a rollback")
        if cancelled_by:
            raise Cancelled(f"cancelled by {cancelled_by}")

    def report(self, line: str, source: str = OutputLine.PLATFORM) -> None:
        self.tell([line], source)

    def tell(self, lines: list[str], source: str) -> None:
        """Keeps `lines` as what `source` said, as far as there is room, and wakes whoever follows."""
        room = LINES_KEPT - self._kept[source]
        self._kept[source] += len(lines)
        if len(lines) > room >= 0:
            lines = [*lines[:room], f"(more than {LINES_KEPT} lines; the rest isn't kept)"]
        if room >= 0:
            say(self._operation, lines, source)

    def told(self, source: str) -> int:
        """How many lines of `source` are kept of this operation: what a worker that takes over needn't tell again."""
        return self._operation.output.filter(source=source).count()

    def mark_done(self, step: str) -> None:
        """Notes that a command has run, so that a worker that takes over doesn't run it again."""
        self._operation.done = [*self._operation.done, step]
        Operation.objects.filter(pk=self._operation.pk).update(done=self._operation.done)


def say(operation: Operation, lines: list[str], source: str = OutputLine.PLATFORM) -> None:
    """Appends to the output of `operation`'s release."""
    cleaned = [line.replace("\0", "\ufffd")[:LONGEST_LINE] for line in lines]
    if not cleaned:
        return
    with transaction.atomic():
        OutputLine.objects.bulk_create(
            OutputLine(release_id=operation.release_id, operation=operation, source=source, text=line)
            for line in cleaned
        )
        Operation.objects.filter(pk=operation.pk).update(said=cleaned[-1])
    wake(topic(operation.pk))
