"""When a build may be left out, and what stands for it."""

import os
import shutil

import pytest

from builder.shortcut import Outcome, Said, Shortcuts

LAYER = "/workspace/cache/layers/python-1"
FACTS = {"stack": "sha256:1", "config A": "1"}
FILES = {"requirements.txt": "flask\n", "app.py": "1", "Procfile": "web: x", "lib/code.py": "1", "lib/wsgi.py": "1"}


class Trees:
    """An app's trees one after another, its cache, and buildpacks that look for a few names."""

    def __init__(self, root):
        self.root, self.cache, self.number = root, root / "cache", 0
        (self.cache / "layers/python-1").mkdir(parents=True)
        scripts = root / "buildpacks"
        scripts.mkdir()
        (scripts / "run").write_text("[ -f app.py ] || [ -f Gemfile ] && cat requirements.txt .profile.d */wsgi.py")
        self.shortcuts = Shortcuts(scripts)

    def tree(self, **changes):
        self.number += 1
        path = self.root / f"tree-{self.number}"
        for name, text in {**FILES, **changes}.items():
            if text is not None:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_text(text)
        return path

    def learn(self, tree=None, build=lambda tree: None, inputs="requirements.txt\nruntime.txt\n", said=b"unchanged\n"):
        """A build that links the layer and writes a profile; `build` does more."""
        tree = tree or self.tree()
        before = self.shortcuts.look(tree)
        (tree / ".heroku").mkdir(exist_ok=True)
        (tree / ".heroku/python").symlink_to(LAYER)
        (tree / ".profile.d").mkdir(exist_ok=True)
        (tree / ".profile.d/python.sh").write_text("export X=1\n")
        build(tree)
        outcome = Outcome("Python", "---\n{}\n", Said())
        outcome.said.keep(said)
        self.shortcuts.learn("hello", tree, before, inputs, FACTS, outcome)

    def take(self, tree, facts=FACTS):
        return self.shortcuts.take("hello", tree, self.cache, facts)


@pytest.fixture
def trees(tmp_path):
    return Trees(tmp_path)


def test_a_change_of_code_gets_what_the_last_build_added(trees):
    trees.learn()
    tree = trees.tree(**{"app.py": "2", "lib/code.py": "2", "lib/more.py": "new", "notes.md": "new"})
    outcome = trees.take(tree)
    assert outcome.name == "Python" and outcome.said.lines == [b"unchanged\n"]
    assert os.readlink(tree / ".heroku/python") == LAYER
    assert (tree / ".profile.d/python.sh").read_text() == "export X=1\n"
    assert (tree / "app.py").read_text() == "2"


@pytest.mark.parametrize(
    "changes",
    [
        {"requirements.txt": "flask\ndjango\n"},
        {"requirements.txt": None},
        {"runtime.txt": "python-3.12"},
        {"Gemfile": ""},
        {"app.py": None},
        {"other/wsgi.py": ""},
        {"lib/wsgi.py": None},
        {"bin/pre_compile": "#!/bin/sh"},
        {"bin/post-compile": "#!/bin/sh"},
        {".heroku/python/x": ""},
        {".profile.d/python.sh": "mine"},
    ],
)
def test_a_change_that_a_build_would_notice_takes_a_build(trees, changes):
    trees.learn()
    assert trees.take(trees.tree()) is not None
    tree = trees.tree(**changes)
    assert trees.take(tree) is None
    assert not (tree / ".heroku").is_symlink() and not (tree / ".heroku/python").is_symlink()


def test_other_config_or_another_stack_takes_a_build(trees):
    trees.learn()
    assert trees.take(trees.tree(), {**FACTS, "config B": "2"}) is None
    assert trees.take(trees.tree(), {**FACTS, "stack": "sha256:2"}) is None


def test_links_in_place_of_what_decides_take_a_build(trees):
    trees.learn()
    for name, target in (("requirements.txt", "lib/code.py"), ("link", "lib"), ("lib/wsgi.py", "code.py")):
        tree = trees.tree()
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(target)
        assert trees.take(tree) is None, name


def test_a_cached_layer_must_be_there_as_a_folder_of_the_cache(trees):
    trees.learn()
    shutil.move(trees.cache / "layers", trees.root / "elsewhere")
    assert trees.take(trees.tree()) is None
    (trees.cache / "layers").symlink_to(trees.root / "elsewhere")
    assert trees.take(trees.tree()) is None


def test_a_layer_that_is_used_counts_as_used(trees):
    trees.learn()
    layer = trees.cache / "layers/python-1"
    os.utime(layer, (1, 1))
    trees.take(trees.tree())
    assert layer.stat().st_mtime > 1


@pytest.mark.parametrize(
    "build",
    [
        lambda tree: (tree / "lib/code.py").write_text("compiled"),
        lambda tree: (tree / "lib/code.py").unlink(),
        lambda tree: (tree / "lib/code.py").chmod(0o755),
        lambda tree: (tree / "big").write_bytes(bytes(20_000)),
        lambda tree: os.mkfifo(tree / "pipe"),
    ],
)
def test_a_build_that_did_more_than_add_a_little_is_not_left_out(trees, build):
    trees.learn(build=build)
    assert trees.take(trees.tree()) is None


@pytest.mark.parametrize("inputs", ["", "../secret\n", "/etc/passwd\n", "lib\n", "name\n" * 101])
def test_without_a_readable_list_of_what_decided_nothing_is_left_out(trees, inputs):
    trees.learn(inputs=inputs)
    assert trees.take(trees.tree()) is None


def test_a_build_that_installed_forgets_the_one_before(trees):
    trees.learn()
    trees.learn(inputs="")
    assert trees.take(trees.tree()) is None and not trees.shortcuts.knows("hello")


def test_long_output_is_not_kept(trees):
    trees.learn(said=b"x" * 10_000)
    assert trees.take(trees.tree()) is None
