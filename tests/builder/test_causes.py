"""The cause of a failed build in one line, with what to type next."""

import re
from pathlib import Path

import pytest

from builder import causes, git_host
from builder.causes import explain, worded

VAGUE = "The build failed with exit code 1."


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync",
         "package-lock.json doesn't fit package.json"),
        ("error: command '/usr/bin/gcc' failed with exit code 1\nerror: command 'gcc' failed", "could not be compiled"),
        ("src/x.c:1:10: fatal error: libpq-fe.h: No such file or directory", "could not be compiled"),
        ("OSError: [Errno 28] No space left on device", "the disk filled up"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "ran out of memory"),
        ("pip._vendor.urllib3 ... Temporary failure in name resolution", "could not be reached"),
        ("npm error network request failed, reason: getaddrinfo ENOTFOUND registry.test", "could not be reached"),
        ("ERROR: No matching distribution found for flsak==1", "the package index has no flsak==1"),
        ("npm error code EBADENGINE", "another version of the language"),
        ("fatal: Authentication failed for 'https://git.test/x.git/'", "https://git.test/x.git/ can't be cloned"),
        (" ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with frozen-lockfile", "lock file doesn't fit"),
    ],
)  # fmt: skip
def test_a_vague_failure_is_explained_by_what_the_build_said(output, words):
    cause = explain(VAGUE, output.splitlines())
    assert words in cause.text and cause.text.startswith("The build failed with exit code 1:") and cause.hint
    assert "\n" not in cause.text


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        ("The build was killed: out of memory at 1 GiB (BUILD_MEMORY).", "BUILD_MEMORY"),
        ("No buildpack knows this app.", "BUILDPACK_URL"),
        ("Nothing says how to start this app. Add a Procfile", "git add Procfile"),
        ("runtime.txt asks for Python 2.7.18; this stack has 3.13", "Name a version"),
        ("web crashed with exit code 1", "paas logs"),
        ("collectstatic failed: KeyError: 'SECRET_KEY'. Set DISABLE_COLLECTSTATIC=1", "config:set SECRET_KEY"),
        ("There is a Pipfile without Pipfile.lock. Run: pipenv lock, commit Pipfile.lock, and", "git add Pipfile.lock"),
        ("package-lock.json doesn't match package.json. Run: npm install", "npm install && git commit"),
        (
            "requirements.txt asks for flsak==1, which the package index doesn't have for this Python.",
            "Correct its name",
        ),
        ("psycopg2 could not be compiled; the lines above say why.", "ready-made wheel"),
        ("A package in pyproject.toml doesn't support Python 3.13.", "requires-python"),
        ("The base image x:1 (FROM) can't be fetched: its registry isn't reachable", "ask its operator"),
        ("the release command failed with exit code 3: migrating", "paas releases:output"),
        ("collectstatic failed: ImportError: x. Set DISABLE_COLLECTSTATIC=1 to skip it.", "DISABLE_COLLECTSTATIC=1"),
        ("Expose a port or make the app non routable by changing the process type", "EXPOSE 5000"),
    ],
)
def test_a_known_cause_keeps_its_words_and_gets_a_next_step(cause, hint):
    told = explain(cause, ["no space left on device"])
    assert told.text == cause and hint in told.hint


def test_an_installation_that_failed_unexplained_is_read_again():
    assert explain("Installing the dependencies of uv.lock failed.", ["mystery"]).hint == ""
    told = explain("Installing the dependencies of requirements.txt failed.", ["Could not resolve host: git.test"])
    assert told.text.startswith("Installing the dependencies of requirements.txt failed: a package index or download")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ssh: connect to host git.test port 22: Connection refused\r\nfatal: Could not read from remote", "answer"),
        ("git@git.test: Permission denied (publickey).\r\nfatal: Could not read from remote repository.", "deploy key"),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "deploy key"),
        ("fatal: couldn't find remote ref refs/heads/nothere", "no such branch"),
    ],
)
def test_a_git_host_that_gives_nothing_is_told_by_why(said, words):
    assert words in git_host.explain("git.test", said)


def test_what_nobody_knows_stays_as_it_is():
    assert explain(VAGUE, ["mystery"]).text == VAGUE and explain("x", []).hint == ""


def every_hint():
    buildpacks = Path(causes.__file__).parent / "buildpacks"
    told = [rule.hint for rule in (*causes.IN_OUTPUT, *causes.IN_CAUSE)]
    for file in (path for path in buildpacks.rglob("*") if path.is_file()):
        told += [line for line in file.read_text(errors="replace").splitlines() if "push again" in line.lower()]
    return told


def test_who_deploys_a_folder_isnt_told_to_push_or_commit():
    for text in every_hint():
        assert worded(text, "git-ssh") == text
        told = worded(text, "upload")
        assert not re.search(r"push again|git (push|add|commit)|\bcommit (it|both|the|[A-Z]\w+)\b", told, re.I), told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("The build was lost: gone. Push again.", "The build was lost: gone. Deploy again."),
        ("Run: go mod tidy, commit both, and push again.", "Run: go mod tidy, and deploy again."),
        ("Correct its name or version, commit, push again.", "Correct its name or version, and deploy again."),
        ("npm install && git commit -m 'Update the lock file' package-lock.json && git push deis HEAD:master",
         "npm install && paas deploy"),
        ("echo 'web: COMMAND' > Procfile; git add Procfile; git commit -m Procfile",
         "echo 'web: COMMAND' > Procfile; paas deploy"),
    ],
)  # fmt: skip
def test_the_next_step_after_an_archive(text, told):
    assert worded(text, "upload") == told
