"""Which way a tree is built. Pure: names in the root and the app's config decide."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

from builder.errors import BuildFailed


class Way(Enum):
    DOCKERFILE = "dockerfile"
    BUILDPACK = "buildpack"


def choose_way(root: Collection[str], config: Mapping[str, str]) -> Way:
    """A Dockerfile wins, unless HEPHY_BUILDER says `procfile`; anything else is a buildpack's.

    Raises: BuildFailed when HEPHY_BUILDER asks for what isn't there.
    """
    asked = config.get("HEPHY_BUILDER", "")
    if asked not in ("", "dockerfile", "procfile"):
        raise BuildFailed(f"HEPHY_BUILDER is {asked!r}; it can be dockerfile or procfile.")
    if "Dockerfile" not in root:
        if asked == "dockerfile" and "Procfile" not in root:
            raise BuildFailed("HEPHY_BUILDER asks for a Dockerfile, and there is none in the root.")
        return Way.BUILDPACK
    return Way.BUILDPACK if asked == "procfile" and "Procfile" in root else Way.DOCKERFILE
