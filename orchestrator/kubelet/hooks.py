"""Lifecycle hooks: what a container asked to have done after its start and before its stop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.kubelet.probes import resolved_action
from orchestrator.kubelet.runtime import ContainerStatus, Runtime, RuntimeFailure


class HookFailed(OrchestratorError):
    """The hook's command exited with an error, its request failed, or it took too long."""


async def run_hook(
    runtime: Runtime,
    container: Mapping[str, Any],
    status: ContainerStatus,
    action: Mapping[str, Any],
    *,
    address: str,
    deadline: float,
) -> None:
    """Raises: HookFailed."""
    try:
        if "sleep" in action:
            await asyncio.sleep(min(float(action["sleep"]["seconds"]), deadline))
        elif "exec" in action:
            command = tuple(action["exec"].get("command") or ())
            code, output = await runtime.execute(status.id, command, deadline)
            if code:
                said = output.decode(errors="replace").strip()[:1024]
                raise HookFailed(f"command {list(command)!r} exited with {code}: {said}")
        else:
            outcome = await runtime.probe(resolved_action(action, container), address, deadline)
            if not outcome.ok:
                raise HookFailed(outcome.message)
    except TimeoutError as exc:
        raise HookFailed(f"it did not end within {deadline:g}s") from exc
    except (RuntimeFailure, ValueError) as exc:
        raise HookFailed(str(exc)) from exc
