"""poetry.lock as pip requirements on standard output, so that the operator's package indexes are asked.

Newer lock files say which group a package belongs to; for older ones the main dependencies are followed.
"""

import re
import sys
import tomllib

try:
    from packaging.markers import Marker
except ImportError:
    from pip._vendor.packaging.markers import Marker  # type: ignore[assignment]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def applies(marker):
    return not marker or Marker(marker).evaluate({"extra": ""})


def main_names(project):
    """The names that pyproject.toml asks for outside of groups."""
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    wanted = {normal(name) for name, spec in poetry.items() if not (isinstance(spec, dict) and spec.get("optional"))}
    for requirement in project.get("project", {}).get("dependencies", ()):
        wanted.add(normal(re.match(r"[A-Za-z0-9][\w.-]*", requirement)[0]))
    return wanted - {"python"}


def dependencies(package):
    """The names a package needs here: edges whose marker holds and that aren't optional."""
    for name, specs in package.get("dependencies", {}).items():
        for spec in specs if isinstance(specs, list) else [specs]:
            spec = spec if isinstance(spec, dict) else {}
            if not spec.get("optional") and applies(spec.get("markers")):
                yield normal(name)
                break


def chosen(lock, project):
    """The packages to install."""
    packages = lock.get("package", [])
    if any("groups" in package for package in packages):
        for package in packages:
            markers = package.get("markers")
            marker = markers.get("main") if isinstance(markers, dict) else markers
            if "main" in package.get("groups", ()) and not package.get("optional") and applies(marker):
                yield package
        return
    by_name = {}
    for package in packages:
        by_name.setdefault(normal(package["name"]), []).append(package)
    pending, seen = sorted(main_names(project)), set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for package in by_name.get(name, ()):
            yield package
            pending.extend(dependencies(package))


def requirement(package):
    """One line for pip, without hashes."""
    source = package.get("source", {})
    name, kind, url = package["name"], source.get("type"), source.get("url", "")
    if kind == "git":
        reference = source.get("resolved_reference") or source.get("reference") or "HEAD"
        return f"{name} @ git+{url}@{reference}"
    if kind == "url":
        return f"{name} @ {url}"
    if kind in ("directory", "file"):
        return "./" + url.removeprefix("./")
    return "{}=={}".format(name, package["version"])


def render(lock, project):
    """All lines; hashes only when every package has some, as pip demands."""
    packages = list(chosen(lock, project))
    files = lock.get("metadata", {}).get("files", {})
    hashes = [[item["hash"] for item in package.get("files") or files.get(package["name"], ())] for package in packages]
    plain = any(not found or "source" in package for package, found in zip(packages, hashes, strict=True))
    lines = []
    for package, found in zip(packages, hashes, strict=True):
        lines.append(requirement(package) + ("" if plain else "".join(" --hash=" + item for item in found)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with open("poetry.lock", "rb") as lock_file, open("pyproject.toml", "rb") as project_file:
        sys.stdout.write(render(tomllib.load(lock_file), tomllib.load(project_file)))
