"""Commands around a deploy, each in a Job of its own: the release command and the scripts of app.json.

A Job is named for its release, so a worker that takes over finds the one its predecessor began and reads on.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from controller.cluster import diagnose
from controller.cluster.client import Cluster, ClusterError, LineStream, Manifest, Unreachable
from controller.cluster.deploy import TICK, Follower, RolloutFailed, apply_all, explain, read_last_logs
from controller.cluster.diagnose import Finding, Pod
from controller.cluster.processes import literal
from controller.cluster.render import (
    command_name,
    render_command,
    render_environment,
    render_namespace,
    render_pull_secret,
)
from controller.cluster.wish import Wish

log = logging.getLogger(__name__)

ENDED = ("Succeeded", "Failed")
LAST_LINES = 5.0  # seconds for the end of the output to arrive once the command has ended
BEYOND = 15.0  # seconds beyond the Job's own deadline until we stop waiting for its end
HOPELESS = ("pull", "room", "start", "config")


class CommandFailed(RolloutFailed):
    """The command ended badly or not at all; the text says why."""


def command_line(wish: Wish, kind: str, line: str) -> dict[str, list[str]]:
    """`command` and `args` of the container that runs `line`."""
    if wish.release.kind == "buildpack":
        init = ["start", kind] if wish.release.procfile.get(kind) == line else [literal(line)]
        return {"command": ["/runner/init"], "args": init}
    return {"command": ["/bin/bash", "-c"], "args": [literal(line)]}


class Output:
    """A pod's log read by a thread into a queue; the first `skip` lines are known already."""

    def __init__(self, api: Cluster, app: str, pod: str, skip: int):
        self._api, self._app, self._pod, self._skip = api, app, pod, skip
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stream: LineStream | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output-{pod}", daemon=True)
        self._thread.start()

    def taken(self) -> list[str]:
        """The lines that have come since the last call."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        return lines

    def rest(self) -> list[str]:
        """What is left of the output of a command that has ended."""
        self._thread.join(LAST_LINES)
        self.close()
        return self.taken()

    def close(self) -> None:
        self._closed.set()
        if self._stream is not None:
            self._stream.close()

    def _run(self) -> None:
        told = self._skip
        for _ in range(3):
            try:
                self._stream = self._api.follow_logs(self._app, self._pod)
                for number, raw in enumerate(self._stream):
                    if self._closed.is_set():
                        return
                    if number >= told:
                        told += 1
                        self._lines.put(raw.decode("utf-8", "replace").rstrip("\r"))
                return
            except (ClusterError, Unreachable) as exc:
                log.info("output interrupted", extra={"pod": self._pod, "error": str(exc)})
                self._closed.wait(0.5)


def run_command(
    api: Cluster,
    wish: Wish,
    kind: str,
    line: str,
    *,
    tick: Callable[[], None],
    say: Callable[[list[str]], None],
    told: int,
    done: Callable[[], None],
) -> None:
    """Runs `line` as `kind` in the release of `wish` and returns when it has ended well.

    `say` gets its output as it comes, but for the first `told` lines; `done` is called before the Job is removed.
    Raises: CommandFailed, ClusterError, Unreachable, and what `tick` raises.
    """
    deadline = wish.deploy.release_timeout
    job = render_command(wish, kind, command_line(wish, kind, line), deadline)
    base = [render_namespace(wish), render_pull_secret(wish), render_environment(wish, wish.release)]
    apply_all(api, [*base, job], tick=tick)
    _await_end(api, wish, kind, deadline, tick, say, told)
    done()
    remove_command(api, wish.app, kind, wish.release.version)


def remove_command(api: Cluster, app: str, kind: str, version: int) -> None:
    """Removes the Job and its pod; while the API can't be told, the Job's own time to live does it later."""
    with contextlib.suppress(ClusterError, Unreachable):
        api.delete("Job", app, command_name(kind, version))


def _await_end(
    api: Cluster, wish: Wish, kind: str, seconds: int, tick: Callable[[], None], say: Callable, told: int
) -> None:
    app, name = wish.app, command_name(kind, wish.release.version)
    labels = f"type={kind},version=v{wish.release.version}"
    changed: queue.Queue = queue.Queue()
    deadline = time.monotonic() + seconds + BEYOND
    output: Output | None = None
    with Follower(api, "Pod", app, labels, changed) as pods:
        try:
            while True:
                tick()
                with contextlib.suppress(queue.Empty):
                    changed.get(timeout=TICK if output is None else TICK / 4)
                mine = pods.objects()
                pod = mine[0] if mine else None
                phase = (pod.get("status") or {}).get("phase") if pod else None
                if output is None and phase in ("Running", *ENDED):
                    output = Output(api, app, pod["metadata"]["name"], told)
                if output is not None:
                    say(output.taken())
                if phase in ENDED:
                    say(output.rest())
                    return _judge(api, app, kind, pod, seconds)
                refuse_hopeless(api, app, kind, mine)
                if time.monotonic() > deadline:
                    raise CommandFailed(too_late(kind, seconds))
                if pods.synced and pod is None:
                    refuse_ended(api.get("Job", app, name), kind, seconds)
        finally:
            if output is not None:
                output.close()


def refuse_hopeless(api: Cluster, app: str, kind: str, pods: list[Pod]) -> None:
    """Raises: CommandFailed when the command will never begin."""
    finding = diagnose.observe_failure(pods, diagnose.now())
    if finding and finding.kind in HOPELESS:
        raise CommandFailed(f"the {kind} command didn't run: {explain(api, app, finding, pods)}")


def refuse_ended(job: Manifest | None, kind: str, seconds: int) -> None:
    """Raises: CommandFailed for a Job without a pod that won't get one any more."""
    if job is None:
        raise CommandFailed(f"the {kind} command's job was deleted before it ended")
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition["type"] in ("Failed", "FailureTarget") and condition["status"] == "True":
            if condition.get("reason") == "DeadlineExceeded":
                raise CommandFailed(too_late(kind, seconds))
            why = condition.get("message") or condition.get("reason") or "no reason given"
            raise CommandFailed(f"the {kind} command's process was lost: {why}")


def too_late(kind: str, seconds: int) -> str:
    return (
        f"the {kind} command didn't end within {seconds} s and was stopped; "
        f"`paas deploys:set release-timeout=SECONDS` gives it longer"
    )


def _judge(api: Cluster, app: str, kind: str, pod: Pod, seconds: int) -> None:
    """Raises: CommandFailed when the pod that ended did so badly."""
    if pod["status"]["phase"] == "Succeeded":
        return
    if pod["status"].get("reason") == "DeadlineExceeded":
        raise CommandFailed(too_late(kind, seconds))
    statuses = pod["status"].get("containerStatuses") or [{}]
    ended = (statuses[0].get("state") or {}).get("terminated") or {}
    lines: list[str] = []
    with contextlib.suppress(ClusterError, Unreachable):
        lines = diagnose.last_lines(read_last_logs(api, app, Finding("crash", pod["metadata"]["name"], kind)))
    said = diagnose.with_last_words("", lines)
    if ended.get("reason") == "OOMKilled":
        raise CommandFailed(f"the {kind} command was killed: out of memory; raise it with `limits:set {kind}=…`{said}")
    code = ended.get("exitCode")
    reason = pod["status"].get("reason") or "no reason given"
    how = f"failed with exit code {code}" if code is not None else f"was ended by the node ({reason})"
    raise CommandFailed(f"the {kind} command {how}{said}")
