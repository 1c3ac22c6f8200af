"""What a container uses, out of the files of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.kubelet.hostname import process_lists
from orchestrator.kubelet.runtime import Usage
from orchestrator.kubelet.usage import read_usage

ID = "f" * 64
STAT = "anon 1\ninactive_file 300\ntotal_inactive_file 400\n"


def tree(root: Path, listing: str) -> Path:
    (root / "proc" / "7").mkdir(parents=True)
    (root / "proc" / "7" / "cgroup").write_text(listing)
    return root


@pytest.mark.parametrize("path", [f"/docker/{ID}", f"/system.slice/docker-{ID}.scope"])
def test_version_2_has_one_folder_for_everything(tmp_path: Path, path: str) -> None:
    inside = path.strip("/")
    root = tree(tmp_path, f"0::{path}\n")
    folder = root / "cgroup" / inside
    folder.mkdir(parents=True)
    (folder / "memory.current").write_text("1000\n")
    (folder / "memory.stat").write_text(STAT)
    (folder / "cpu.stat").write_text("usage_usec 25\nuser_usec 20\n")
    found = read_usage(7, root=root / "cgroup", proc=root / "proc")
    assert found == Usage(cpu_nanoseconds=25_000, memory_usage=1000, memory_working_set=700)


def test_version_1_and_both_at_once_have_a_folder_for_each_controller(tmp_path: Path) -> None:
    listing = f"9:memory:/docker/{ID}\n3:cpu,cpuacct:/docker/{ID}\n0::/docker/{ID}\n"
    root = tree(tmp_path, listing)
    for name, text in (
        ("memory/docker/{}/memory.usage_in_bytes", "1000\n"),
        ("memory/docker/{}/memory.stat", STAT),
        ("cpuacct/docker/{}/cpuacct.usage", "123\n"),
    ):
        path = root / "cgroup" / name.format(ID)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = read_usage(7, root=root / "cgroup", proc=root / "proc")
    assert found == Usage(cpu_nanoseconds=123, memory_usage=1000, memory_working_set=600)


def test_a_process_that_has_gone_uses_nothing(tmp_path: Path) -> None:
    assert read_usage(7, root=tmp_path, proc=tmp_path) is None
    assert read_usage(7, root=tmp_path, proc=tree(tmp_path, "0::/gone\n") / "proc") is None


def test_the_processes_of_a_starting_container_are_looked_for_where_the_engine_lists_them(tmp_path: Path) -> None:
    both = [
        str(tmp_path / "docker" / ID / "cgroup.procs"),
        str(tmp_path / "system.slice" / f"docker-{ID}.scope" / "cgroup.procs"),
    ]
    assert process_lists(ID, tmp_path) == both
    (tmp_path / "docker").mkdir()
    assert process_lists(ID, tmp_path) == both[:1]
    (tmp_path / "pids" / "docker").mkdir(parents=True)
    assert process_lists(ID, tmp_path)[0] == str(tmp_path / "pids" / "docker" / ID / "cgroup.procs")
