"""Naming containers while they start: where their processes are looked for, and when looking ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.kubelet import hostname
from orchestrator.kubelet.hostname import Hostnames, list_of_process

ID = "c0ffee"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[int, str]:
    """Process id → the host name that it was given; processes are those listed in files of `tmp_path`."""
    names: dict[int, str] = {}

    def replace(pid: int, name: str, *, unless: str) -> bool:
        names[pid] = name
        return True

    monkeypatch.setattr(hostname, "replace_hostname", replace)
    monkeypatch.setattr(hostname, "process_lists", lambda container: [str(tmp_path / container)])
    monkeypatch.setattr(hostname, "FIRST_LOOK", 0.001)
    monkeypatch.setattr(hostname, "POLL", 0.001)
    return names


async def test_each_of_several_is_named_when_its_process_appears(kernel: dict[int, str], tmp_path: Path) -> None:
    hostnames = Hostnames()
    with hostnames.naming("a", "web-a") as first, hostnames.naming("b", "web-b") as second:
        (tmp_path / "a").write_text("41\n")
        async with asyncio.timeout(60):
            while not first.done:  # noqa: ASYNC110  looking is what is tried
                await asyncio.sleep(0.001)
        assert kernel == {41: "web-a"} and not second.done
    with hostnames.naming("b", "web-b") as again:
        (tmp_path / "b").write_text("42\n43\n")
        async with asyncio.timeout(60):
            while not again.done:  # noqa: ASYNC110  looking is what is tried
                await asyncio.sleep(0.001)
    assert kernel == {41: "web-a", 42: "web-b"}


async def test_a_container_that_keeps_the_hosts_name_is_not_looked_for(kernel: dict[int, str]) -> None:
    with Hostnames().naming("a", "") as naming:
        assert naming.done
    assert kernel == {}


def test_the_kernel_says_where_a_process_is_listed(tmp_path: Path) -> None:
    first = f"4:pids:/own/{ID}\n2:cpu,cpuacct:/elsewhere\n1:name=systemd:/x\n0::/\n"
    assert list_of_process(first, tmp_path) == f"{tmp_path}/pids/own/{ID}/cgroup.procs"
    second = f"0::/own.slice/docker-{ID}.scope\n"
    assert list_of_process(second, tmp_path) == f"{tmp_path}/own.slice/docker-{ID}.scope/cgroup.procs"
    assert list_of_process("3:cpu:/x\n", tmp_path) == ""
