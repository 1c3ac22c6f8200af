"""Which cluster apps run on: the platform's own orchestrator, or the one that PAAS_KUBECONFIG names; and moving there.

The controller's database holds all that apps are, so a cluster that knows nothing of them is told everything anew.
What apps keep in volumes stays where it is.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from host import postgres, restore, say, settings
from host.backup import DATABASE
from host.command import module
from host.errors import HostError
from host.programs import controller_environment
from host.settings import CHECKOUT, Platform
from host.supervisor import Supervisor

VARIABLE = "PAAS_KUBECONFIG"


def move(platform: Platform, environ: Mapping[str, str]) -> Platform:
    """The platform on the cluster that `environ` wishes; set but empty is our own orchestrator. Raises: HostError.

    Whatever happens on the way, the same again goes on: the choice is kept last.
    """
    if VARIABLE not in environ:
        return platform
    value = environ[VARIABLE]
    moved = dataclasses.replace(platform, kubeconfig=settings.kubeconfig(VARIABLE, value) if value else "")
    if moved.kubeconfig == platform.kubeconfig:
        return platform
    if Supervisor(platform).pid() is not None:
        raise HostError(
            f"Apps move to another cluster while the platform is stopped: `make down`, then {VARIABLE} again."
        )
    say.step(f"Moving every app to {moved.kubeconfig or 'our own orchestrator'}")
    rename_images(platform, moved)
    resync(moved)
    moved.save()
    if platform.kubeconfig:
        say.warn(f"What ran on the other cluster runs on there: {removal(platform)}")
    return moved


def resync(platform: Platform) -> None:
    """Have the workers apply everything of every app again. Raises: HostError."""
    module([str(CHECKOUT / "manage.py"), "resync"], controller_environment(platform), main=False)


def rename_images(platform: Platform, moved: Platform) -> None:
    """Nodes elsewhere call the registry by another name, and images are named by it."""
    old, new = platform.registry_host, moved.registry_host
    if old == new:
        return
    if url := postgres.url_of(os.environ):
        postgres.rename_images(url, old, new)
    else:
        restore.rename_in_database(platform.home / DATABASE, old, new)


def removal(platform: Platform) -> str:
    """What removes every app's objects from a cluster that isn't ours."""
    return f"kubectl --kubeconfig {platform.kubeconfig} delete namespace -l heritage=deis"
