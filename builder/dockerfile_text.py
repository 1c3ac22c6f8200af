"""What a Dockerfile's text says, and the text as it is built. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from builder.host_config import CA_VARIABLES

ARGUMENT = re.compile(r"[A-Za-z_]\w*")
FROM = re.compile(r"FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE)
ARG = re.compile(r"ARG\s+(\w+)(?:=(\S*))?\s*$", re.IGNORECASE)
HEREDOC = re.compile(r"<<(-?)[\"']?(\w+)[\"']?")
ESCAPE = re.compile(r"#\s*escape\s*=\s*`\s*$", re.IGNORECASE)
BUILDKIT = re.compile(
    r"(?i)^(RUN\s+(--\w+=\S+\s+)*--(mount|network|security)=|(COPY|ADD)\s+(--\S+\s+)*--(chmod|link|parents|exclude))"
)
CA_FILE = ".paas-host-ca.crt"  # in the context
CA_PLACE = "/run/paas-host/ca.crt"  # in the container of a RUN step
CA_ARGUMENTS = "ARG " + " ".join(f"{name}={CA_PLACE}" for name in CA_VARIABLES)


@dataclass(frozen=True)
class Instruction:
    first: int  # index of its first line
    last: int
    text: str  # continued lines joined, without what a heredoc holds
    heredoc: bool = False


def instructions(text: str) -> Iterator[Instruction]:
    """Every instruction; comments and empty lines are skipped, also within a continued one."""
    lines = text.splitlines()
    mark = "`" if any(ESCAPE.match(line.strip()) for line in lines[:5]) else "\\"
    number = 0
    while number < len(lines):
        first = number
        parts: list[str] = []
        while number < len(lines):
            line = lines[number].strip()
            number += 1
            if line.startswith("#") or not line:
                if parts:
                    continue
                break
            parts.append(line.removesuffix(mark).rstrip())
            if not line.endswith(mark):
                break
        if not parts:
            continue
        joined = " ".join(parts)
        names = HEREDOC.findall(joined) if re.match(r"(?i)(RUN|COPY|ADD)\s", joined) else []
        for dash, name in names:
            while number < len(lines) and (lines[number].lstrip("\t") if dash else lines[number]) != name:
                number += 1
            number += 1
        yield Instruction(first, min(number, len(lines)) - 1, joined, bool(names))


def base_images(text: str, args: Mapping[str, str] | None = None) -> list[str]:
    """The images that FROM lines name, without earlier stages, `scratch` and what nothing tells."""
    known: dict[str, str] = {}
    stages: set[str] = set()
    found: list[str] = []
    for item in instructions(text):
        if (argument := ARG.match(item.text)) and not stages and not found:
            known[argument[1]] = (args or {}).get(argument[1], (argument[2] or "").strip("\"'"))
        if not (stage := FROM.match(item.text)):
            continue
        image = re.sub(r"\$\{?(\w+)(?::-([^}]*))?\}?", lambda m: known.get(m[1]) or m[2] or m[0], stage[1])
        if image.lower() not in stages and image != "scratch" and "$" not in image and image not in found:
            found.append(image)
        if stage[2]:
            stages.add(stage[2].lower())
    return found


def needs_buildkit(text: str) -> bool:
    """Whether it says what the engine's classic builder can't do: mounts, heredocs, COPY --chmod and the like."""
    return any(item.heredoc or BUILDKIT.match(item.text) for item in instructions(text))


def with_build_args(text: str, config: Mapping[str, str]) -> str:
    """The Dockerfile with an ARG line for each config value at its end, as Deis does it."""
    lines = [f"ARG {key}" for key in sorted(config) if ARGUMENT.fullmatch(key)]
    return text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def without_syntax_line(text: str) -> str:
    """`# syntax=` would have the engine ask a public registry for a build front end."""
    return re.sub(r"(?i)\A((?:[ \t]*#.*\n)*?)[ \t]*#[ \t]*syntax[ \t]*=.*\n", r"\1", text)


def with_host_ca(text: str) -> str:
    """Every stage begins with the host's CA bundle (CA_FILE of the context) and the variables that name it.

    For the classic builder, which has no mounts: the layers are dropped again when the image is sent
    (builder/strip.py). ARGs reach RUN steps and not the image.
    """
    lines = text.splitlines()
    for item in reversed(list(instructions(text))):
        stage = FROM.match(item.text)
        if stage and stage[1].lower() != "scratch":
            lines[item.last + 1 : item.last + 1] = [f"COPY {CA_FILE} {CA_PLACE}", CA_ARGUMENTS]
    return "\n".join(lines) + "\n"


def with_ca_mounts(text: str) -> str:
    """The same for BuildKit: RUN steps get the bundle as a mounted secret, and nothing stays."""
    lines = text.splitlines()
    for item in reversed(list(instructions(text))):
        line = lines[item.first]
        if found := re.match(r"(?i)(\s*RUN)(\s+)", line):
            mount = f"--mount=type=secret,id={CA_FILE},target={CA_PLACE},mode=0444"
            lines[item.first] = f"{found[1]} {mount} {line[found.end() :]}"
        elif (stage := FROM.match(item.text)) and stage[1].lower() != "scratch":
            lines[item.last + 1 : item.last + 1] = [CA_ARGUMENTS]
    return "\n".join(lines) + "\n"


def with_own_caches(text: str, app: str) -> str:
    """Cache mounts under ids of the app's own: BuildKit would share one id, by default the path, among everybody."""
    lines = text.splitlines()
    for item in instructions(text):
        if not re.match(r"(?i)RUN\s", item.text):
            continue
        for number in range(item.first, item.last + 1):
            lines[number] = re.sub(r"(?<=--mount=)\S+", lambda found: own_cache(found[0], app), lines[number])
    return "\n".join(lines) + "\n"


def own_cache(mount: str, app: str) -> str:
    options = [option.partition("=") for option in mount.split(",")]
    known = {key: value.strip("\"'") for key, _, value in options}
    if known.get("type") != "cache":
        return mount
    place = known.get("id") or known.get("target") or known.get("dst") or known.get("destination") or ""
    return ",".join(["".join(option) for option in options if option[0] != "id"] + [f"id={app}:{place}"])
