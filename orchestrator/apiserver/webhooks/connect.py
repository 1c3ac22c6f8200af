"""CONNECT: webhooks asked about exec, attach, port-forward and proxy, which write nothing."""

from __future__ import annotations

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects.meta import Obj

_FLAGS = ("stdin", "stdout", "stderr", "tty")


async def admit_connection(api: Api, exchange: Exchange, call: Call) -> None:
    """Raises: ApiError, when a webhook refuses or fails."""
    if call.subresource == "log" or (plan := api.concerned(call, "CONNECT")) is None:
        return
    assert api.hooks is not None
    request = Request(call, "CONNECT", call.view or call.resource, None, None, call.name)
    group, version, kind = request.kind_in(call.resource)
    options: Obj = {"kind": kind, "apiVersion": f"{group}/{version}" if group else version}
    request.obj = options | _options(exchange, call.subresource)
    await api.hooks.admit(plan, request)


def _options(exchange: Exchange, subresource: str) -> Obj:
    """What the query says, as the fields of the options' kind."""
    if subresource == "portforward":
        ports = [int(port) for text in exchange.query_all("ports") for port in text.split(",") if port.isdigit()]
        return {"ports": ports} if ports else {}
    if subresource == "proxy":
        path = exchange.path.partition("/proxy")[2]
        return {"path": path} if path else {}
    options: Obj = {flag: True for flag in _FLAGS if exchange.flag(flag)}
    if container := exchange.query.get("container"):
        options["container"] = container
    if subresource == "exec" and (command := exchange.query_all("command")):
        options["command"] = command
    return options
