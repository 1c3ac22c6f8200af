"""One line that says why an installation failed, from its log on standard input; nothing when unknown."""

import re
import sys

RULES = (
    (
        r"No matching distribution found for (\S+)",
        "{file} asks for {0}, which the package index doesn't have for this Python.",
    ),
    (
        r"because (\S+) was not found in the package registry",
        "{file} asks for {0}, which the package index doesn't have.",
    ),
    (r"Invalid requirement: (.+)", "{file} has a line that is not a requirement: {0}"),
    (
        r"Could not open requirements file: .*No such file or directory: '([^']+)'",
        "{file} refers to {0}, which is not in the app's folder.",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES",
        "A package has another hash than {file} says: lock again, or the index serves something else.",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies",
        "The requirements in {file} contradict each other; the lines above say which.",
    ),
    (
        r"(?:ERROR: )?Failed (?:to build|building wheel for) '?([\w.-]+)",
        "{0} could not be compiled; the lines above say why. A version with a wheel needs no compiler.",
    ),
    (
        r"No interpreter found for Python (\S+)",
        "{file} asks for Python {0}; this stack has 3.13. Change requires-python in pyproject.toml and lock again.",
    ),
    (
        r"Requires-Python|requires a different Python|requires-python",
        "A package in {file} doesn't support Python 3.13.",
    ),
    (r"certificate verify failed", "The package index's certificate isn't trusted by this host."),
    (
        r"NewConnectionError|Temporary failure in name resolution|Read timed out|ConnectTimeout",
        "The package index can't be reached from builds.",
    ),
    (r"No space left on device", "The disk is full."),
    (
        r"pyproject.toml changed significantly|lock file .* out of date|needs to be updated",
        "The lock file doesn't match pyproject.toml: lock again, commit, push.",
    ),
)

log = sys.stdin.read()
for pattern, text in RULES:
    found = re.search(pattern, log)
    if found:
        print(text.format(*(group.strip()[:120] for group in found.groups()), file=sys.argv[1]))
        break
