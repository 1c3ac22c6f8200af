"""Why processes don't come up, in words.

`observe_failure` says when waiting longer is pointless, `observe_delay` what stands in the way when time is up;
both read pods only and are pure. `explain` turns a finding into the sentence a pusher reads, with the last lines
the process wrote.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

CRASHES = 2  # exits at start that count as "doesn't start"; one may be a dependency not up yet
PULL_PATIENCE = 60  # seconds a pull may fail for a cause that passes: a registry that restarts, or a kubelet that
# hasn't been shown the pull secret of a pod that is new to it and asks as nobody; it tries again after 10 to 20, and
# says that it can't pull until that has ended
NO_ROOM_PATIENCE = 15  # seconds a pod may wait for room: pods that are going away free some
NODE_AWAY_PATIENCE = 60  # seconds it may wait for a node that is coming back
AWAY = re.compile(r"node\.kubernetes\.io/(unreachable|not-ready)")
LINES = 12  # last lines of a crashed process worth showing
HOPELESS_PULL = re.compile(
    r"(?i)not found|manifest unknown|name unknown|no such (host|image)|invalid reference|does not exist"
)
NOT_SIGNED_IN = re.compile(r"(?i)unauthorized|denied")  # registries that hide what they have from strangers
NO_ANSWER = "answers no HTTP request"  # as the stack image's /runner/ready says it
WRONG_PORT = re.compile(r"listens on port (\d+) instead of (\d+)")  # likewise
NOT_STARTABLE = ("RunContainerError", "CreateContainerError", "StartError", "ContainerCannotRun")
MAYBE_NOT_LIVE = (("crash", 137), ("crash", 143), ("crash", 0))  # stopped by KILL or TERM, or ending at that
NOT_LIVE = re.compile(r"(Liveness|Startup) probe failed: (.+)", re.DOTALL)
MISSING_PROGRAM = re.compile(r"(?i)executable file not found|no such file or directory|command not found")

Pod = dict


@dataclass(frozen=True)
class Finding:
    """What is wrong with one pod: `kind` is the case, `text` what the cluster said."""

    kind: str
    pod: str
    type: str
    text: str = ""
    code: int | None = None
    memory: str = ""
    port: int | None = None
    logs_of_previous: bool = False


def observe_failure(pods: Sequence[Pod], at: datetime) -> Finding | None:
    """The first finding no waiting will mend, or None."""
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        if finding := _failure_of(pod, at):
            return finding
    return None


def observe_delay(pods: Sequence[Pod]) -> Finding | None:
    """What keeps a pod from being ready at this moment, for when the time is up."""
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp") or is_ready(pod):
            continue
        status = container_status(pod)
        if finding := _scheduling_of(pod) or _crash_of(pod, status, crashes=1) or _waiting_of(pod, status):
            return finding
        return _unready(pod)
    return None


def observe_wrong_port(pods: Sequence[Pod], events: Sequence[dict]) -> Finding | None:
    """A process that settled on another port than its own: no waiting will mend that. `events` are the namespace's."""
    unready = {pod["metadata"]["uid"]: pod for pod in pods if not is_ready(pod)}
    for event in events:
        pod = unready.get((event.get("involvedObject") or {}).get("uid", ""))
        if pod and (found := WRONG_PORT.search(event.get("message") or "")):
            return finding_of(pod, "misplaced", found[1], port=int(found[2]))
    return None


def is_ready(pod: Pod) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ())


def _failure_of(pod: Pod, at: datetime) -> Finding | None:
    status = container_status(pod)
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in ("InvalidImageName", "ErrImageNeverPull", "ImageInspectError"):
        return finding_of(pod, "pull", message or reason)
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        hopeless = HOPELESS_PULL.search(message) and not NOT_SIGNED_IN.search(message)
        hopeless = hopeless or _age(pod, at) > PULL_PATIENCE
        return finding_of(pod, "pull", message or reason) if hopeless else None
    if reason in NOT_STARTABLE and (MISSING_PROGRAM.search(message) or status.get("restartCount", 0) >= CRASHES):
        return finding_of(pod, "start", message or reason)
    if reason == "CreateContainerConfigError":
        return finding_of(pod, "config", message or reason) if _age(pod, at) > NO_ROOM_PATIENCE else None
    if crash := _crash_of(pod, status, CRASHES):
        return crash
    room = _scheduling_of(pod)
    if room is None:
        return None
    patience = NODE_AWAY_PATIENCE if AWAY.search(room.text) else NO_ROOM_PATIENCE
    return room if _age(pod, at) > patience else None


def _crash_of(pod: Pod, status: dict, crashes: int) -> Finding | None:
    """The crash of a container that has ended `crashes` times, or once for lack of memory or of its program."""
    current = (status.get("state") or {}).get("terminated")
    ended = current or (status.get("lastState") or {}).get("terminated")
    if not ended:
        return None
    count = status.get("restartCount", 0) + (1 if current else 0)
    code, previous = ended.get("exitCode"), not current
    if ended.get("reason") == "OOMKilled":
        return finding_of(pod, "memory", code=code, previous=previous)
    if ended.get("reason") in NOT_STARTABLE or (
        code in (126, 127, 128) and MISSING_PROGRAM.search(ended.get("message") or "")
    ):
        return finding_of(pod, "start", ended.get("message", ""), code=code, previous=previous)
    looping = ((status.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if count >= crashes or looping:
        return finding_of(pod, "crash", ended.get("message") or "", code=code, previous=previous)
    return None


def _waiting_of(pod: Pod, status: dict) -> Finding | None:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        return finding_of(pod, "pull", waiting.get("message") or reason)
    if reason in NOT_STARTABLE or reason.endswith("ConfigError"):
        return finding_of(pod, "start", waiting.get("message") or reason)
    if not status or reason in ("ContainerCreating", "PodInitializing"):
        return finding_of(pod, "slow", "the container is still being made")
    return None


def _scheduling_of(pod: Pod) -> Finding | None:
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return finding_of(pod, "room", condition.get("message", ""))
    return None


def _unready(pod: Pod) -> Finding:
    """A running pod that isn't ready: nothing listens, or the app's own check fails."""
    probe = pod["spec"]["containers"][0].get("readinessProbe") or {}
    if socket := probe.get("tcpSocket"):
        return finding_of(pod, "silent", port=socket["port"])
    return finding_of(pod, "probe")


def finding_of(pod: Pod, kind: str, text: str = "", *, code=None, previous=False, port=None) -> Finding:
    container = pod["spec"]["containers"][0]
    return Finding(
        kind=kind,
        pod=pod["metadata"]["name"],
        type=pod["metadata"].get("labels", {}).get("type", "process"),
        text=" ".join(text.split()),
        code=code,
        memory=(container.get("resources", {}).get("limits") or {}).get("memory", ""),
        port=port,
        logs_of_previous=previous,
    )


def container_status(pod: Pod) -> dict:
    return ((pod.get("status") or {}).get("containerStatuses") or [{}])[0]


def _age(pod: Pod, at: datetime) -> float:
    return (at - parse_time(pod["metadata"]["creationTimestamp"])).total_seconds()


def now() -> datetime:
    return datetime.now(UTC)


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def explain(finding: Finding, image: str, logs: str = "", events: Sequence[str] = ()) -> str:
    """The sentence for people: cause, then what the process said last."""
    return with_last_words(cause_of(finding, image, events), last_lines(logs))


def with_last_words(cause: str, lines: Sequence[str]) -> str:
    return f"{cause}: {' | '.join(lines)}" if lines else cause


def cause_of(finding: Finding, image: str, events: Sequence[str] = ()) -> str:
    """What happened, without the process' own words."""
    match finding.kind:
        case "pull":
            return f"the image {image} can't be pulled: {finding.text}"
        case "start":
            why = "its command isn't in the image or isn't executable"
            return f"{finding.type} can't be started, {why}: {bare(finding.text)}"
        case "config":
            return f"{finding.type} can't be started: {finding.text}"
        case "memory":
            if not finding.memory:
                return f"{finding.type} was killed: out of memory; its node has no more"
            more = f"`limits:set {finding.type}={doubled(finding.memory)}`"
            return f"{finding.type} was killed: out of memory at {deis_quantity(finding.memory)}; raise it with {more}"
        case "crash" if finding.code == 127:
            return f"{finding.type} crashed with exit code 127, its command was not found"
        case "crash" if why := not_live(finding, events):
            return f"{finding.type} was stopped, {why}; `healthchecks` shows the check"
        case "crash" if finding.code == 0:
            return f"{finding.type} exited with code 0; a process must keep running"
        case "crash":
            return f"{finding.type} crashed with exit code {finding.code}"
        case "misplaced":
            where = f"on port {finding.text}, and nothing listens on port {finding.port}"
            return f"{finding.type} listens {where}; listen on 0.0.0.0:$PORT"
        case "silent":
            if events and NO_ANSWER in events[-1]:
                return f"{finding.type} listens on port {finding.port} but answers no HTTP request"
            return f"{finding.type} runs but nothing listens on port {finding.port}; listen on 0.0.0.0:$PORT"
        case "room":
            return f"no node fits {finding.type}: {finding.text}"
        case "probe":
            why = f": {events[-1]}" if events else ""
            return f"{finding.type} runs but its readiness check fails{why}"
    return f"{finding.type} isn't up yet: {finding.text}"


def not_live(finding: Finding, events: Sequence[str]) -> str:
    """What a check said, if it is one that had a process stopped; the process' exit code only tells that it was."""
    if (finding.kind, finding.code) not in MAYBE_NOT_LIVE:
        return ""
    failed = [match for match in map(NOT_LIVE.match, events) if match]
    return f"its {failed[-1][1].lower()} check failed ({failed[-1][2].replace(': ', ' ')})" if failed else ""


def bare(text: str) -> str:
    """The runtime's complaint without the layers it came through."""
    start = text.find("exec: ")
    return (text[start:] if start >= 0 else text).removesuffix(": unknown")


def last_lines(logs: str) -> list[str]:
    """The last lines of a log."""
    lines = [line.rstrip() for line in logs.splitlines() if line.strip()]
    return [line[-300:] for line in lines[-LINES:]]


def doubled(memory: str) -> str:
    """Twice a limit, as `limits:set` takes it: `200Mi` → `400M`."""
    number = re.match(r"\d+", memory)
    return f"{2 * int(number[0])}{deis_quantity(memory[number.end() :])}" if number else memory


def deis_quantity(text: str) -> str:
    """`64Mi` as people wrote it: `64M`."""
    return text.removesuffix("i")
