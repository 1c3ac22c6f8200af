"""Why a build failed, in one line, and what to type next: read from what the build said. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Rule:
    """`seen` in the output, or in the cause that is known already; {0} … stand for its groups."""

    seen: re.Pattern[str]
    text: str
    hint: str = ""


def rule(seen: str, text: str, hint: str = "") -> Rule:
    return Rule(re.compile(seen, re.IGNORECASE), text, hint)


# What a build's own output gives away, the surest signs first.
IN_OUTPUT = (
    rule(
        r"no space left on device|disk quota exceeded|ENOSPC",
        "the disk filled up during the build",
        "Ask the platform's operator to free space; `paas builds:output` shows where it happened.",
    ),
    rule(
        r"fork: (?:retry: )?resource temporarily unavailable|can't fork|cannot fork|can't start new thread"
        r"|unable to create native thread|pthread_create.*resource temporarily|errno 11\]|spawn \S+ EAGAIN",
        "the build started too many processes",
        "Ask the operator for more BUILD_PIDS, or let the build do less at once.",
    ),
    rule(
        r"signal 9|out of memory|cannot allocate memory|JavaScript heap out of memory|java\.lang\.OutOfMemoryError"
        r"|killed signal terminated program cc1",
        "the build ran out of memory",
        "Ask the operator for more BUILD_MEMORY, or let the build do less at once.",
    ),
    rule(
        r"(?:temporary failure in name resolution|could not resolve host|name or service not known|EAI_AGAIN"
        r"|ENOTFOUND|failed to establish a new connection|ECONNREFUSED|ETIMEDOUT|connection timed out"
        r"|read timed out|network is unreachable)",
        "a package index or download host could not be reached",
        "Push again; if it stays, the operator checks the indexes that builds are to use.",
    ),
    rule(
        r"(?:command '?(?:gcc|cc|g\+\+|x86_64-linux-gnu-gcc)'? failed|error: command .*gcc.* failed"
        r"|(?:gcc|g\+\+|make|cmake|rustc|cargo|node-gyp)(?:: command)? not found|unable to find vcvarsall"
        r"|fatal error: ([\w./+-]+\.h): No such file|gyp ERR! build error)",
        "a package could not be compiled",
        "Choose a version with a ready-made wheel or binary, or bring the compiler's needs in a Dockerfile.",
    ),
    rule(
        r"npm (?:error|ERR!).*(?:can only install packages when your package\.json and package-lock|`npm ci` can only)",
        "package-lock.json doesn't fit package.json",
        "npm install && git commit -m 'Update the lock file' package-lock.json && git push deis HEAD:master",
    ),
    rule(
        r"lockfile (?:needs to be updated|would have been modified)|ERR_PNPM_OUTDATED_LOCKFILE",
        "the lock file doesn't fit package.json",
        "Run your package manager's install, commit the lock file, push again.",
    ),
    rule(
        r"(?:uv\.lock|poetry\.lock|Pipfile\.lock)"
        r".*(?:needs to be updated|out of date|not up.to.date|changed significantly)",
        "the lock file doesn't fit the project",
        "Run `uv lock`, `poetry lock` or `pipenv lock`, commit the lock file, push again.",
    ),
    rule(
        r"requires-python|requires a different python|unsupported engine|The engine \"node\" is incompatible"
        r"|EBADENGINE|Could not find a version .* requires python",
        "a package wants another version of the language",
        "Name one that fits in .python-version or package.json's engines.",
    ),
    rule(
        r"no matching distribution found for (\S+)|could not find a version that satisfies the requirement (\S+)",
        "the package index has no {0}",
        "Correct its name or version, commit, push again.",
    ),
    rule(
        r"repository '?(\S+?)'? not found|git clone .*(https?://\S+) \S+ did not run successfully"
        r"|fatal: (?:could not read Username for|Authentication failed for) '([^']+)'",
        "the repository {0} can't be cloned",
        "Correct its address; for a private one put a token into config and name it there: ${{TOKEN}}.",
    ),
    rule(r"npm (?:error|ERR!) 404 .*'([^']+)'", "the package index has no {0}", "Correct its name or version."),
)
NAME_IT_RIGHT = "Correct its name or version, commit, push again."
# What the builder itself found out, and only the next command is missing.
IN_CAUSE = (
    rule(r"out of memory at", "", "Ask the operator for more BUILD_MEMORY, or let the build do less at once."),
    rule(r"No buildpack knows", "", "paas config:set BUILDPACK_URL=https://… or add a Dockerfile, then push again."),
    rule(r"Nothing says how to start", "", "echo 'web: COMMAND' > Procfile; git add Procfile; git commit -m Procfile"),
    rule(
        r"package-lock\.json doesn't match",
        "",
        "npm install && git commit -m 'Update the lock file' package-lock.json && git push deis HEAD:master",
    ),
    rule(
        r"Run: (pipenv lock|poetry lock)[^,]*, commit ([\w.]+)",
        "",
        "{0} && git add {1} && git commit -m 'Add the lock file' && git push deis HEAD:master",
    ),
    rule(
        r"lock file|doesn't match (?:package\.json|pyproject)", "",
        "Make the lock file with your package manager and commit it.",
    ),
    rule(r"which the (?:package index|npm registry) doesn't have|registry has no", "", NAME_IT_RIGHT),
    rule(r"could not be compiled", "", "Choose a version with a ready-made wheel or binary, or bring a Dockerfile."),
    rule(r"doesn't support Python", "", "Choose a version of it that does, or ease requires-python; push again."),
    rule(r"base image .* can't be fetched", "", "Name an image this platform can fetch, or ask its operator for it."),
    rule(r"the release command failed", "", "paas releases:output shows what it said; mend it, commit, push again."),
    rule(r"this stack has|unsupported stack|no stack", "", "Name a version this stack has, commit, push again."),
    rule(r"collectstatic failed: KeyError: '(\w+)'", "", "paas config:set {0}=…, then push again"),
    rule(r"collectstatic failed: .*STATIC_ROOT", "", "Add STATIC_ROOT = BASE_DIR / 'staticfiles' to the settings."),
    rule(r"Set DISABLE_COLLECTSTATIC", "", "paas config:set DISABLE_COLLECTSTATIC=1 if it isn't needed; push again"),
    rule(r"^Expose a port", "", "Add EXPOSE 5000 to the Dockerfile and listen there; no web app: paas routing:disable"),
    rule(r"BUILD_TIMEOUT", "", "`paas builds:output` shows where it hung."),
    rule(r"more than .* of disk", "", "Leave large files out of the build, or ask the operator for more BUILD_DISK."),
    rule(r"(crashed with exit code|isn't ready|not ready|nothing listens)", "", "paas logs"),
)  # fmt: skip
# How the same is said to somebody who deployed a folder or an archive, with no repository that is pushed.
WITHOUT_GIT = (
    (re.compile(r"( && git add \S+)? && git commit .*&& git push deis HEAD:master"), " && paas deploy"),
    (re.compile(r"; git add Procfile; git commit -m Procfile"), "; paas deploy"),
    (re.compile(r",? (?:and )?commit(?: (?:it|both|the lock file|[\w.-]+(?: and [\w.-]+)?))?,? (?:and )?push again"),
     ", and deploy again"),
    (re.compile(r" and commit it\.$"), " and deploy again."),
    (re.compile(r"\bpush again\b"), "deploy again"),
    (re.compile(r"\bPush again\b"), "Deploy again"),
)  # fmt: skip
VAGUE = re.compile(
    r"failed with exit code \d+\.?$|^The build step failed with exit code"
    r"|Installing the dependencies of \S+ failed\.$|returned a non-zero code"
)


def explain(cause: str, output: Iterable[str]) -> Cause:
    """`cause`, said better when it is vague and the last lines of `output` tell more, with what to type next."""
    if VAGUE.search(cause):
        text = "\n".join(output)
        for known in IN_OUTPUT:
            if found := known.seen.search(text):
                groups = [group for group in found.groups() if group] or [""]
                return Cause(f"{cause.rstrip('.')}: {known.text.format(*groups)}.", known.hint)
    for known in IN_CAUSE:
        if found := known.seen.search(cause):
            return Cause(cause, known.hint.format(*found.groups()))
    return Cause(cause)


def worded(text: str, source: str) -> str:
    """`text` for somebody whose source came by that way (`Push.source`)."""
    if source == "upload":
        for seen, said in WITHOUT_GIT:
            text = seen.sub(said, text)
    return text
