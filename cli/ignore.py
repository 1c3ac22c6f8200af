"""`.gitignore` rules, for folders that are no git repository. Pure but for reading the files.

Source: gitignore(5). A later rule wins over an earlier one, a deeper file over a shallower, and nothing below an
ignored folder comes back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Rule:
    pattern: re.Pattern[str]
    keeps: bool
    folders_only: bool


def read_rules(folder: Path) -> list[Rule]:
    """The rules of the folder's own .gitignore."""
    try:
        text = (folder / ".gitignore").read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return []
    return [rule for line in text.splitlines() if (rule := parse_rule(line))]


def parse_rule(line: str) -> Rule | None:
    line = re.sub(r"(?<!\\)\s+$", "", line)
    if not line or line.startswith("#"):
        return None
    keeps = line.startswith("!")
    line = line[1:] if keeps else line.removeprefix("\\")
    folders_only, line = line.endswith("/"), line.rstrip("/")
    anchored, line = "/" in line, line.removeprefix("/")
    if not line:
        return None
    return Rule(re.compile(("" if anchored else "(?:.*/)?") + translated(line)), keeps, folders_only)


def translated(pattern: str) -> str:
    """A shell pattern as an expression for a whole path: `*` and `?` stop at slashes, `**` does not."""
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            out, at = out + ".*", at + 2
        elif pattern[at] == "*":
            out, at = out + "[^/]*", at + 1
        elif pattern[at] == "?":
            out, at = out + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            inner = pattern[at + 1 : end].replace("\\", "\\\\")
            out, at = out + "[" + re.sub(r"^!", "^", inner) + "]", end + 1
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            out, at = out + re.escape(pattern[at]), at + 1
    return out


def is_ignored(name: str, is_folder: bool, levels: list[tuple[str, list[Rule]]]) -> bool:
    """Whether the path `name` is left out by `levels`: (folder, its rules), the root ("") first."""
    verdict = False
    for folder, rules in levels:
        below = name[len(folder) + 1 :] if folder else name
        for rule in rules:
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(below):
                verdict = not rule.keeps
    return verdict


def kept_files(root: Path) -> list[str]:
    """The paths of all files and links below `root` that no rule leaves out, sorted; never `.git`."""
    kept: list[str] = []
    pending: list[tuple[str, list[tuple[str, list[Rule]]]]] = [("", [])]
    while pending:
        folder, above = pending.pop()
        rules = read_rules(root / folder)
        levels = [*above, (folder, rules)] if rules else above
        for entry in (root / folder).iterdir():
            name = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = entry.is_dir() and not entry.is_symlink()
            if entry.name == ".git" or is_ignored(name, is_folder, levels):
                continue
            if is_folder:
                pending.append((name, levels))
            else:
                kept.append(name)
    return sorted(kept)
