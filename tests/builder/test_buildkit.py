"""What is read from BuildKit and how its steps are capped, without an engine."""

from builder.buildkit import Caps, Trace
from builder.buildkit_session import fields, varint
from builder.settings import BuildLimits

LIMITS = BuildLimits(memory=1 << 28, cpus=1.5, pids=99)


def message(*parts):
    """A protobuf message of (number, bytes or integer) pairs."""
    encoded = b""
    for number, value in parts:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
        else:
            encoded += varint(number << 3 | 2) + varint(len(value)) + value
    return encoded


def vertex(digest, name, *more):
    return message((1, message((1, digest), (3, name), *more)))


def test_messages_are_read_back_as_they_were_written():
    assert list(fields(message((1, b"x" * 300), (2, 300), (16, b"")))) == [(1, b"x" * 300), (2, 300), (16, b"")]


def test_steps_are_told_once_when_they_begin_and_cached_ones_as_such():
    trace = Trace()
    assert trace.lines(vertex(b"a", b"[1/2] RUN x")) == []
    assert trace.lines(vertex(b"a", b"[1/2] RUN x", (5, b"t"))) == ["[1/2] RUN x"]
    assert trace.lines(vertex(b"a", b"[1/2] RUN x", (5, b"t"), (6, b"t"))) == []
    assert trace.lines(vertex(b"b", b"[2/2] COPY y", (4, 1))) == ["[2/2] COPY y (cached)"]
    assert trace.lines(vertex(b"c", b"[internal] load", (5, b"t"))) == []
    assert trace.last_step == "RUN x"


def test_output_is_shown_by_whole_lines():
    trace = Trace()
    assert trace.lines(message((3, message((1, b"a"), (4, b"one\ntw"))))) == ["  one"]
    assert trace.lines(message((3, message((1, b"a"), (4, b"o\n"))))) == ["  two"]


def process(proc, number, environ, cgroup):
    (proc / number).mkdir(parents=True)
    (proc / number / "environ").write_bytes(environ)
    (proc / number / "cgroup").write_text(cgroup)


def test_only_marked_processes_of_buildkit_are_capped_in_either_hierarchy(tmp_path):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    for path in ("memory/docker/buildkit/ours", "memory/docker/buildkit/theirs", "system.slice/buildkit-ours"):
        (groups / path).mkdir(parents=True)
        for name in ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.max"):
            (groups / path / name).write_text("")
    process(proc, "10", b"A=1\0NO_PROXY=mark\0", "4:memory:/docker/buildkit/ours\n0::/system.slice/buildkit-ours\n")
    process(proc, "11", b"A=1\0", "4:memory:/docker/buildkit/theirs\n")
    Caps("mark", LIMITS, proc, groups).look()
    assert (groups / "memory/docker/buildkit/ours/memory.limit_in_bytes").read_text() == str(1 << 28)
    assert (groups / "memory/docker/buildkit/theirs/memory.limit_in_bytes").read_text() == ""
    assert (groups / "system.slice/buildkit-ours/cpu.max").read_text() == "150000 100000"
    assert (groups / "system.slice/buildkit-ours/pids.max").read_text() == "99"


def test_a_process_is_capped_that_carries_the_mark_only_after_it_was_seen(tmp_path):
    """runc begins a step as a process of its own, without the step's environment."""
    proc, group = tmp_path / "proc", tmp_path / "cgroup/memory/docker/buildkit/ours"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("")
    process(proc, "1", b"A=1\0", "4:memory:/\n")
    caps = Caps("mark", LIMITS, proc, tmp_path / "cgroup")
    caps.look()
    process(proc, "10", b"_LIBCONTAINER=1\0", "4:memory:/docker/buildkit/ours\n")
    caps.look()
    assert (group / "memory.limit_in_bytes").read_text() == ""
    (proc / "10/environ").write_bytes(b"NO_PROXY=mark\0")
    caps.look()
    assert (group / "memory.limit_in_bytes").read_text() == str(1 << 28)


def test_a_limit_that_could_not_be_set_is_set_at_the_next_look(tmp_path):
    proc, group = tmp_path / "proc", tmp_path / "cgroup/memory/docker/buildkit/ours"
    (group / "memory.limit_in_bytes").mkdir(parents=True)  # as a kernel that refuses it: writing fails
    process(proc, "10", b"NO_PROXY=mark\0", "4:memory:/docker/buildkit/ours\n")
    caps = Caps("mark", LIMITS, proc, tmp_path / "cgroup")
    caps.look()
    (group / "memory.limit_in_bytes").rmdir()
    (group / "memory.limit_in_bytes").write_text("")
    caps.look()
    assert (group / "memory.limit_in_bytes").read_text() == str(1 << 28)
