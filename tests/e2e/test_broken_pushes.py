"""A push that can't work is refused with its cause in one line, and the old release serves on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.developer import Developer

Example = tuple[str, Path]

BROKEN = {
    "a build that fails": (
        {"bin/pre_compile": "#!/bin/sh\necho compiling the assets\nif then\n"},
        r"pre_compile.*(failed|exit)",
    ),
    "a crash at start": ({"app.py": "raise RuntimeError('no database configured')\n"}, r"crashed.*exit code"),
    "the wrong port": (
        {"Procfile": "web: python -m http.server 4999\n"},
        r"listens on port 4999, and nothing listens on port 5000",
    ),
    "a missing command": ({"Procfile": "web: gunicrn app:app\n"}, r"(127|not found)"),
    "exhausted memory": (
        {"bin/post_compile": "#!/bin/sh\npython3 -c 'x = bytearray(3 << 30); print(len(x))'\n"},
        r"out of memory",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_push_is_refused_with_its_cause(admin: Developer, example_app: Example, case: str) -> None:
    name, folder = example_app
    admin.git(folder, "checkout", "-q", "-B", "broken", "master")
    files, cause = BROKEN[case]
    admin.commit(folder, files)
    before = admin.ask(name).body
    output = admin.push(folder, ok=False)
    lines = [line for line in output.splitlines() if " !     " in line]
    assert any(re.search(cause, line) for line in lines), output
    assert admin.ask(name).status == 200 and admin.ask(name).body == before
    remote = admin.git(folder, "ls-remote", "deis", "refs/heads/master").stdout.split()[0]
    assert remote == admin.git(folder, "rev-parse", "master").stdout.strip(), "the ref must not move"


def test_another_branch_is_told_what_to_type(admin: Developer, example_app: Example) -> None:
    _, folder = example_app
    output = admin.git(folder, "push", "deis", "master:feature", ok=False)
    assert output.returncode != 0
    assert "git push deis feature:master" in output.stdout + output.stderr
