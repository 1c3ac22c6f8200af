"""Which way a tree is built, and with which languages. Pure: names in the root and the app's config decide."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import Enum

from builder.errors import BuildFailed


class Way(Enum):
    DOCKERFILE = "dockerfile"
    BUILDPACK = "buildpack"
    CNB = "cnb"  # the lifecycle of a builder image


def choose_way(root: Collection[str], config: Mapping[str, str]) -> Way:
    """The app's CNB_BUILDER comes first. Else a Dockerfile wins, unless HEPHY_BUILDER says `procfile`; anything else
    is a buildpack's.

    heroku.yml and DOCKERFILE_PATH stand for a Dockerfile somewhere else.

    Raises: BuildFailed when HEPHY_BUILDER asks for what isn't there.
    """
    if config.get("CNB_BUILDER"):
        return Way.CNB
    asked = config.get("HEPHY_BUILDER", "")
    if asked not in ("", "dockerfile", "procfile"):
        raise BuildFailed(f"HEPHY_BUILDER is {asked!r}; it can be dockerfile or procfile.")
    if not (config.get("DOCKERFILE_PATH") or "Dockerfile" in root or "heroku.yml" in root):
        if asked == "dockerfile" and "Procfile" not in root:
            raise BuildFailed("HEPHY_BUILDER asks for a Dockerfile, and there is none in the root.")
        return Way.BUILDPACK
    return Way.BUILDPACK if asked == "procfile" and "Procfile" in root else Way.DOCKERFILE


# Languages that aren't part of the stack image, by the file that tells them, in order of detection. The buildpacks'
# own bin/detect decide what is built; tests/builder/test_detect.py holds the two together.
LANGUAGE_FILES = (
    ("Gemfile", "ruby"),
    ("go.mod", "go"),
    ("composer.json", "php"),
    ("index.php", "php"),
    ("pom.xml", "java"),
)
PYTHON_FILES = (
    "requirements.txt",
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    "Pipfile",
    "Pipfile.lock",
    "setup.py",
)
OURS = re.compile(r"(?:heroku/|paas/)?(python|nodejs|ruby|go|php|java|jvm|static)")


def our_buildpack(name: str) -> str:
    """The buildpack of ours that `heroku/ruby`, `paas/ruby` or `ruby` means; empty when it is none."""
    found = OURS.fullmatch(name.strip())
    return {"jvm": "java"}.get(found[1], found[1]) if found else ""


def needed_languages(root: Collection[str], named: Collection[str]) -> frozenset[str]:
    """The toolchains a buildpack build needs: those of the buildpacks of ours that are `named`, else of the files."""
    packs = {our_buildpack(name) for name in named}
    if named:
        return frozenset(packs & {language for _, language in LANGUAGE_FILES})
    if any(name in root for name in PYTHON_FILES):
        return frozenset()
    if "package.json" in root and not any(name in root for name in ("Gemfile", "go.mod", "composer.json", "pom.xml")):
        return frozenset()
    return frozenset([language for name, language in LANGUAGE_FILES if name in root][:1])


def named_buildpacks(config: Mapping[str, str], listed: str) -> list[str]:
    """What BUILDPACK_URL or the file .buildpacks (`listed`, its text) name; nothing leaves it to detection."""
    if url := config.get("BUILDPACK_URL"):
        return [url]
    lines = (line.strip() for line in listed.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
