"""The cause of a failed build in one line, with what to type next."""

import pytest

from builder.causes import explain

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
    ],
)
def test_a_known_cause_keeps_its_words_and_gets_a_next_step(cause, hint):
    told = explain(cause, ["no space left on device"])
    assert told.text == cause and hint in told.hint


def test_what_nobody_knows_stays_as_it_is():
    assert explain(VAGUE, ["mystery"]).text == VAGUE and explain("x", []).hint == ""
