"""Asking webhooks about a write: one after the other those that may change the object, then all that judge it at once.

A verb asks `concerned` first, which is None for most writes and waits for nothing. Whatever is asked takes time, so the
verb has to look afterwards whether the object it decided about is still the newest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.webhooks import conversion, policies, review
from orchestrator.apiserver.webhooks.client import CallFailed
from orchestrator.apiserver.webhooks.registry import Hook, Invocation, Plan, Registry
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects.cel import CelError
from orchestrator.objects.decode import decode, decode_kind
from orchestrator.objects.defaults import apply_defaults
from orchestrator.objects.meta import Obj, clone
from orchestrator.objects.patch import json_patch

log = logging.getLogger(__name__)

InTree = Callable[[Obj], None]
"""What this server itself adds to an object, in place, before webhooks see it."""


class Hooks:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._registry = Registry(api)

    def concerned(self, call: Call, operation: str) -> Plan | None:
        """Who is to be asked about the write; None when nobody is."""
        if call.internal:
            return None
        return self._registry.plan(operation, call.view or call.resource, call.subresource)

    async def admit(self, plan: Plan, request: Request) -> None:
        """Both rounds, for writes that leave nothing to change: deletions and connections.

        Raises: ApiError, as `mutate` and `validate` do.
        """
        await self.mutate(plan, request)
        await self.validate(plan, request)

    async def mutate(self, plan: Plan, request: Request, in_tree: InTree | None = None) -> None:
        """Leaves in `request.obj`, a new dictionary, what the webhooks make of it.

        Those that ask for it are asked a second time when something changed after they were.
        Raises: ApiError: denied, failed, or changed into something that is no object of its kind.
        """
        asked: set[Hook] = set()
        once_more: set[Hook] = set()
        changed = False
        for hook in plan.mutating:
            if await self._mutate_by(hook, request):
                changed = True
                once_more |= asked
                asked.clear()
            if hook.hook.again:
                asked.add(hook.hook)
        if not changed:
            return
        if in_tree is not None and request.obj is not None:
            before = clone(request.obj)
            in_tree(request.obj)
            if request.obj != before:
                once_more |= asked
        for hook in plan.mutating:
            if hook.hook in once_more:
                if await self._mutate_by(hook, request):
                    once_more |= asked

    async def _mutate_by(self, invocation: Invocation, request: Request) -> bool:
        """Whether the webhook changed the object."""
        sent = await self._sent(invocation, request)
        if sent is None:
            return False
        try:
            operations = await review.ask(self._api, request, invocation, sent, mutating=True)
        except CallFailed as failure:
            _fail(invocation.hook, failure)
            return False
        if not operations or sent.obj is None:
            return False
        patched = self._patched(request, invocation, sent.obj, operations)
        if patched == sent.obj:
            return False
        if request.has_own_kind:
            stored = request.call.resource
            patched = await conversion.convert_one(self._api, patched, stored, complete=False)
            apply_defaults(stored, patched)
        request.obj = patched
        return True

    def _patched(self, request: Request, invocation: Invocation, obj: Obj, operations: list[Any]) -> Obj:
        try:
            body = json_patch(obj, operations)
        except errors.ApiError as refused:
            raise review.internal(refused.message) from refused
        try:
            if request.has_own_kind:
                return decode(invocation.resource, body, "Ignore")[0]
            group, version, kind = request.kind_in(invocation.resource)
            return decode_kind(f"{group}/{version}" if group else version, kind, body, "Ignore")[0]
        except errors.ApiError as refused:
            raise review.internal(f'webhook "{invocation.hook.name}": {refused.message}') from refused

    async def validate(self, plan: Plan, request: Request) -> None:
        """Policies first. Raises: ApiError, of the first webhook in order that refuses or fails."""
        if plan.policies:
            await policies.judge(self._api, plan.policies, request, plan.equivalents)
        invocations = [(i, sent) for i in plan.validating if (sent := await self._sent(i, request)) is not None]
        if not invocations:
            return
        asking = (review.ask(self._api, request, i, sent, mutating=False) for i, sent in invocations)
        for (invocation, _), outcome in zip(
            invocations, await asyncio.gather(*asking, return_exceptions=True), strict=True
        ):
            if isinstance(outcome, CallFailed):
                _fail(invocation.hook, outcome)
            elif isinstance(outcome, BaseException):
                raise outcome

    async def _sent(self, invocation: Invocation, request: Request) -> review.Objects | None:
        """The objects in the version to be sent; None when selectors or conditions spare the webhook."""
        hook = invocation.hook
        if not hook.scope.selects(self._api, request):
            return None
        sent = await review.objects_for(self._api, request, invocation)
        if hook.conditions.rules:
            names = {
                "object": sent.obj, "oldObject": sent.old, "request": request.describe(invocation.resource),
                "authorizer": request.authorizer(self._api),
            }  # fmt: skip
            try:
                if not hook.conditions.hold(names, fails=hook.fails):
                    return None
            except CelError as broken:
                resource, name = request.call.resource, request.name
                raise refusals.forbidden(resource, name, str(broken)) from broken
        return sent


def _fail(hook: Hook, failure: CallFailed) -> None:
    """Raises: ApiError, unless the webhook may be passed over."""
    if hook.fails:
        raise review.internal(f'failed calling webhook "{hook.name}": {failure}') from failure
    log.warning('failed calling webhook, failing open "%s": %s', hook.name, failure)
