"""Languages that are too large for the stack image: installed on top of it when the first app needs them.

`paas/stack:trixie` → `paas/stack:trixie-ruby` to run on and `paas/stack-build:trixie-ruby` to build in. Two
languages of one app make `trixie-java-ruby`. A toolchain is two lists of Debian packages in files/toolchains.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from builder.engine import Engine
from builder.errors import BuilderError
from builder.stack import build
from builder.stack.build import FILES, Say, Stack

LISTS = FILES / "toolchains"
SCRIPT = "install-toolchain"
TOLD = {"ruby": "Ruby", "go": "Go", "php": "PHP", "java": "Java"}


@dataclass(frozen=True)
class Images:
    run: str
    build: str


def known() -> frozenset[str]:
    """The languages there are package lists for."""
    return frozenset(path.name.partition("-")[0] for path in LISTS.iterdir())


def packages(languages: Collection[str], kind: str, lists: Path = LISTS) -> list[str]:
    """What `kind` ("run" or "build") of the images needs on top of the plain ones."""
    found: list[str] = []
    for language in sorted(languages):
        path = lists / f"{language}-{kind}"
        found += path.read_text().split() if path.exists() else []
    return found


def name_images(stack_image: str, build_image: str, languages: Collection[str]) -> Images:
    """The images for `languages`; the plain ones where a language adds nothing (Go when it runs)."""

    def name(image: str, wanted: list[str]) -> str:
        return f"{image}-{'-'.join(wanted)}" if wanted else image

    adding = [language for language in sorted(languages) if packages([language], "run")]
    return Images(name(stack_image, adding), name(build_image, sorted(languages)))


def spec(base: str, wanted: list[str]) -> str:
    """A hash of what goes into an image; changes with the image below it."""
    content = [base, (FILES / SCRIPT).read_text(), *wanted]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]


class Toolchains:
    """Makes images when they are first asked for, one set at a time."""

    def __init__(self, engine: Engine, stack: Stack) -> None:
        self._engine, self._stack = engine, stack
        self._lock = asyncio.Lock()
        self._making: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, languages: Collection[str], say: Say) -> Images:
        """Both images exist afterwards. A pusher who leaves doesn't undo the work: the next one finds it done.

        Raises: BuilderError with the installer's last line.
        """
        images = name_images(self._stack.image, self._stack.build_image, languages)
        run, both = packages(languages, "run"), packages(languages, "run") + packages(languages, "build")
        told = False
        for base, image, base_spec, wanted in (
            (self._stack.build_image, images.build, build.build_spec(), both),
            (self._stack.image, images.run, build.run_spec(), run),
        ):
            if image != base and not await build.current(self._engine, image, spec(base_spec, wanted)):
                if not told:
                    names = ", ".join(TOLD.get(name, name) for name in sorted(languages))
                    say(f"-----> Installing {names} on this host (once: the first app that needs it waits)")
                told = True
                await self._made(base, image, spec(base_spec, wanted), wanted, say)
        return images

    async def _made(self, base: str, image: str, mark: str, wanted: list[str], say: Say) -> None:
        if image not in self._making:
            self._making[image] = asyncio.create_task(self._make(base, image, mark, wanted, say))
            self._making[image].add_done_callback(lambda _: self._making.pop(image, None))
        await asyncio.shield(self._making[image])

    async def _make(self, base: str, image: str, mark: str, wanted: list[str], say: Say) -> None:
        async with self._lock:
            below = await self._engine.image(base)
            labels = ((below or {}).get("Config") or {}).get("Labels") or {}
            # the image below says whose it is: what is removed with it must go, what stays must stay
            stack = replace(self._stack, instance=labels.get("paas.io/instance", self._stack.instance))
            self._stack.data.mkdir(parents=True, exist_ok=True)
            try:
                await build.install(self._engine, stack, base, SCRIPT, image, mark, say, wanted)
            except BuilderError as exc:
                raise BuilderError(f"The language's packages could not be installed: {exc}") from exc
