"""What builds leave on the engine goes, and only that."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from builder.stack.users import StackImage, no_longer_needed

ROOT = Path(__file__).resolve().parents[2]
STACK = "paas/stack:trixie"


def docker(*words):
    return subprocess.run(["docker", *words], capture_output=True, text=True).stdout.split()


@pytest.mark.engine
def test_a_stopped_builder_leaves_nothing_on_the_engine(start_builder):
    running = start_builder("tidy")
    mark = f"label=paas.io/instance={running.env['BUILDER_INSTANCE']}"
    running.stop()
    assert docker("ps", "-aq", "--filter", mark) == [] and docker("network", "ls", "-q", "--filter", mark) == []


@pytest.mark.engine
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


def image(number, *names, made_by="first"):
    return StackImage(f"sha256:{number}", names, made_by)


def test_a_stack_image_goes_with_the_last_instance_that_uses_it():
    def gone(images, instance):
        return [one.id[-1] for one in no_longer_needed(images, instance)]

    shared = [
        image(1, "paas/stack:trixie", "paas/stack-users:first", "paas/stack-users:second"),
        image(2, "paas/stack-build:trixie"),
        image(3, "paas/stack:trixie-ruby", made_by="second"),
        image(4, "other/stack:trixie", "other/stack-users:third", made_by="third"),
    ]
    assert gone(shared, "first") == gone(shared, "second") == gone(shared, "stranger") == []
    last = [image(1, "paas/stack:trixie", "paas/stack-users:second"), *shared[1:]]
    assert gone(last, "second") == ["1", "2", "3"] and gone(last, "first") == []
    assert gone(last, "third") == ["4"]
    assert gone([image(1, "paas/stack:trixie")], "first") == ["1"], "made before users were written down"
    assert gone([image(1, "paas/stack:trixie")], "second") == []


@pytest.mark.engine
def test_destroying_an_instance_leaves_another_its_stack_image(stack):
    """On a copy of the real one, under a name of its own."""
    name, first, second = f"paas-test-{secrets.token_hex(3)}/stack", "test-first", "test-second"
    text = f"FROM {STACK}\nLABEL paas.io/instance={first}\n"
    subprocess.run(["docker", "build", "-q", "-t", f"{name}:x", "-"], input=text, text=True, check=True,
                   capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})  # fmt: skip
    try:
        for instance in (first, second):
            docker("tag", f"{name}:x", f"{name}-users:{instance}")
        for instance, left in ((first, 1), (second, 0)):
            words = [sys.executable, "-m", "builder", "cleanup", "--instance", instance]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert len(docker("images", "-q", f"{name}:x")) == left, done.stdout
        assert docker("images", "-q", f"{name}-users") == [] and docker("images", "-q", STACK)
    finally:
        for tag in (f"{name}:x", f"{name}-users:{first}", f"{name}-users:{second}"):
            docker("rmi", tag)
