"""The commands around a deploy: `release:` of the Procfile and the scripts of app.json, each once per release.

Before: `scripts.dokku.predeploy`, then `release:`; one that fails fails the release, and nothing has changed yet.
After: `scripts.postdeploy` when the app goes live for the first time, `scripts.dokku.postdeploy` every time; the
release is live by then, so a failure is told and undoes nothing.
"""

import logging

from controller import app_json
from controller.actions.events import record
from controller.actions.pulse import LostClaim, Pulse
from controller.cluster.client import Cluster
from controller.cluster.commands import CommandFailed, remove_command, run_command
from controller.cluster.wish import RELEASE, Wish
from controller.errors import ClusterTrouble
from controller.models import Operation, OutputLine

log = logging.getLogger(__name__)


def run_before(api: Cluster, operation: Operation, wish: Wish, pulse: Pulse) -> None:
    """Runs what comes before the rollout. Raises: CommandFailed, ClusterError, and what a tick raises."""
    scripts = app_json.read(operation.release.build.app_json).scripts
    for kind, line in (("predeploy", scripts.predeploy), (RELEASE, wish.release.procfile.get(RELEASE, ""))):
        if line:
            run_step(api, operation, wish, pulse, kind, line)


def run_after(api: Cluster, operation: Operation, wish: Wish, pulse: Pulse) -> None:
    """Runs what comes once the release is up. Raises: what a tick raises."""
    scripts = app_json.read(operation.release.build.app_json).scripts
    lines = [scripts.postdeploy] if is_first(operation) else []
    for number, line in enumerate([*lines, scripts.after_each]):
        if not line:
            continue
        try:
            run_step(api, operation, wish, pulse, f"postdeploy{'-each' if number == len(lines) else ''}", line)
        except (CommandFailed, ClusterTrouble) as exc:
            text = f"v{operation.release.version} is live, but {exc}"
            pulse.report(text)
            record(operation.app, text, "ERROR")


def is_first(operation: Operation) -> bool:
    """Whether nothing of the app has been live before."""
    older = operation.app.releases.filter(version__lt=operation.release.version, failed=False, build__isnull=False)
    return not older.exists()


def run_step(api: Cluster, operation: Operation, wish: Wish, pulse: Pulse, kind: str, line: str) -> None:
    """Runs a command unless it has run already. Raises: as `run_command`; its Job is gone then."""
    if kind in operation.done:
        return
    if not pulse.told(kind):
        pulse.report(f"Running {kind}: {line}", OutputLine.STEP)
    try:
        run_command(
            api,
            wish,
            kind,
            line,
            tick=pulse.tick,
            say=lambda lines: pulse.tell(lines, kind),
            told=pulse.told(kind),
            done=lambda: pulse.mark_done(kind),
        )
    except LostClaim:
        raise  # the worker that holds the operation now reads on
    except Exception:
        remove_command(api, wish.app, kind, wish.release.version)
        raise
