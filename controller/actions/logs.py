"""An app's log: what its processes wrote and what the platform did, in one order.

The log store has it. Without one, or while it is away, the log is what the containers that are left still hold and
what this program did.
"""

import heapq
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from controller import log_store
from controller.cluster.client import Cluster, ClusterError, Unreachable, cluster
from controller.cluster.deploy import OURS
from controller.cluster.diagnose import parse_time
from controller.errors import Unsupported
from controller.models import App, Event

log = logging.getLogger(__name__)

STAMPED = re.compile(r"^(\S+) ?(.*)$", re.DOTALL)
NO_FILTER: Mapping[str, str] = {}
DEFAULT_LINES = 100
ALLOWED_PERIOD = 10.0  # seconds between looks whether a reader may still read
EVENT_PERIOD = 1.0  # seconds between looks for new events and pods while following

Line = tuple[datetime, str]


def read_logs(app: App, lines: int, query: Mapping[str, str] = NO_FILTER) -> str:
    """The last `lines` lines that match `query`, oldest first; empty when there are none.

    `query`: since, until (times), ps, source, grep. Raises: ClusterTrouble, BadRequest.
    """
    if log_store.is_configured():
        try:
            return log_store.read(app.name, {**query, "lines": str(lines or ""), "events": newest_event(app)})
        except log_store.StoreAway as exc:
            if query:
                raise
            log.warning("reading containers instead", extra={"error": str(exc)})
    refuse_filters(query)
    lines = lines or DEFAULT_LINES
    api = cluster()
    merged = event_lines(app, lines)
    pods, _ = api.list("Pod", app.name, OURS)
    for pod in pods:
        merged += pod_lines(api, app.name, pod, lines)
    newest = heapq.nlargest(lines, merged, key=lambda line: line[0])
    ordered = sorted(newest, key=lambda line: line[0])
    return "".join(f"{text}\n" for _, text in ordered)


def newest_event(app: App) -> str:
    """The number of the app's newest event, which the store is to have before it answers; empty without any."""
    return str(app.events.order_by("-id").values_list("id", flat=True).first() or "")


def event_lines(app: App, count: int, after: int = 0) -> list[Line]:
    rows = app.events.filter(id__gt=after).order_by("-id")[:count]
    return [event_line(row) for row in reversed(rows)]


def event_line(event: Event) -> Line:
    return event.time, f"{stamp(event.time)} deis[controller]: {event.level} {event.message}"


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def source_of(app: str, pod: dict) -> str:
    """`blue[web.v3.x7k2p]`."""
    labels = pod["metadata"].get("labels") or {}
    suffix = pod["metadata"]["name"].rpartition("-")[2]
    return f"{app}[{labels.get('type', '')}.{labels.get('version', '')}.{suffix}]"


def pod_lines(api: Cluster, app: str, pod: dict, count: int) -> list[Line]:
    """The pod's last lines; none from one that hasn't started."""
    try:
        text = api.logs(app, pod["metadata"]["name"], tailLines=str(count), timestamps="true")
    except (ClusterError, Unreachable):
        return []
    return [line for raw in text.splitlines() if (line := pod_line(source_of(app, pod), raw))]


def pod_line(source: str, raw: str) -> Line | None:
    """A line as the kubelet stamped it, in the log's own form."""
    match = STAMPED.match(raw)
    try:
        moment = parse_time(truncated(match.group(1)))
    except (ValueError, AttributeError):
        return None
    return moment, f"{stamp(moment)} {source}: {match.group(2)}"


def truncated(text: str) -> str:
    """A time with nanoseconds, cut to the microseconds Python reads."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def refuse_filters(query: Mapping[str, str]) -> None:
    """Raises: Unsupported."""
    if query:
        raise Unsupported(f"{', '.join(query)}: without a log store the log can't be searched")


def follow_logs(app: App, lines: int, seconds: float = 3600, query: Mapping[str, str] = NO_FILTER) -> Iterator[str]:
    """The last lines, then new ones as they come; an empty line now and then keeps proxies from hanging up."""
    if log_store.is_configured():
        try:
            deadline = time.monotonic() + seconds
            for piece in log_store.follow(app.name, {**query, "lines": str(lines or "")}):
                yield piece
                if time.monotonic() > deadline:
                    return
            return
        except log_store.StoreAway as exc:
            log.warning("following containers instead", extra={"error": str(exc)})
    refuse_filters(query)
    lines = lines or DEFAULT_LINES
    tail = Tail(app)
    try:
        yield read_logs(app, lines)
        yield from tail.run(time.monotonic() + seconds)
    finally:
        tail.close()


def while_allowed(chunks: Iterator[str], allowed: Callable[[], bool], period: float = ALLOWED_PERIOD) -> Iterator[str]:
    """`chunks` as long as their reader may have them, asked every `period` seconds."""
    next_look = time.monotonic() + period
    for chunk in chunks:
        if time.monotonic() >= next_look:
            if not allowed():
                return
            next_look = time.monotonic() + period
        yield chunk


class Tail:
    """Follows every pod of an app by a thread each, and the app's events."""

    def __init__(self, app: App):
        self._app, self._api = app, cluster()
        self._lines: queue.Queue[str] = queue.Queue(maxsize=10_000)
        self._streams: dict[str, object] = {}
        self._closed = threading.Event()
        self._since = datetime.now(UTC)
        self._last_event = app.events.order_by("-id").values_list("id", flat=True).first() or 0

    def run(self, deadline: float) -> Iterator[str]:
        next_look, last_sent = 0.0, time.monotonic()
        while time.monotonic() < deadline:
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + EVENT_PERIOD
                self._attach_to_new_pods()
                yield from self._new_events()
            try:
                yield self._lines.get(timeout=max(next_look - time.monotonic(), 0.01))
                last_sent = time.monotonic()
            except queue.Empty:
                if time.monotonic() - last_sent > 15:
                    last_sent = time.monotonic()
                    yield "\n"

    def close(self) -> None:
        self._closed.set()
        for stream in list(self._streams.values()):
            if stream is not None:
                stream.close()

    def _new_events(self) -> Iterator[str]:
        for row in self._app.events.filter(id__gt=self._last_event).order_by("id")[:100]:
            self._last_event = row.pk
            yield f"{event_line(row)[1]}\n"

    def _attach_to_new_pods(self) -> None:
        try:
            pods, _ = self._api.list("Pod", self._app.name, OURS)
        except (ClusterError, Unreachable):
            return
        for pod in pods:
            name = pod["metadata"]["name"]
            if name not in self._streams and (pod.get("status") or {}).get("phase") in (
                "Running",
                "Succeeded",
                "Failed",
            ):
                self._streams[name] = None
                thread = threading.Thread(target=self._read, args=(name, source_of(self._app.name, pod)), daemon=True)
                thread.start()

    def _read(self, name: str, source: str) -> None:
        since = self._since.strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            stream = self._api.follow_logs(self._app.name, name, timestamps="true", sinceTime=since)
            self._streams[name] = stream
            for raw in stream:
                line = pod_line(source, raw.decode("utf-8", "replace"))
                if self._closed.is_set():
                    return
                if line and line[0] >= self._since:
                    self._lines.put(f"{line[1]}\n", timeout=5)
        except (ClusterError, Unreachable, queue.Full):
            self._streams.pop(name, None)
