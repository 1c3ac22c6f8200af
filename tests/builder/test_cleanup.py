"""What builds leave on the engine goes, and only that."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.engine


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True).stdout.split()


def test_a_stopped_builder_leaves_nothing_on_the_engine(start_builder):
    running = start_builder("tidy")
    mark = f"label=paas.io/instance={running.env['BUILDER_INSTANCE']}"
    running.stop()
    assert docker("ps", "-aq", "--filter", mark) == [] and docker("network", "ls", "-q", "--filter", mark) == []


def test_cleaning_up_after_a_killed_builder_takes_only_its_own(stack):
    mine, other = f"test-mine-{secrets.token_hex(3)}", f"test-other-{secrets.token_hex(3)}"
    for instance in (mine, other):
        names = ["--label", f"paas.io/instance={instance}", "--label", "paas.io/component=builder"]
        docker("network", "create", *names, f"{instance}-builds")
        docker("create", *names, "--name", f"{instance}-c", "paas/stack:trixie")
    try:
        words = [sys.executable, "-m", "builder", "cleanup", "--instance", mine]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and f"network {mine}-builds" in done.stdout
        assert len(docker("ps", "-aq", "--filter", f"name={other}-c")) == 1
        assert docker("ps", "-aq", "--filter", f"name={mine}-c") == []
        assert subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout == ""
    finally:
        for instance in (mine, other):
            docker("rm", "-f", f"{instance}-c")
            docker("network", "rm", f"{instance}-builds")
