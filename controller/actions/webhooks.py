"""A git host's webhook: whose signature, which event, and the build it asks for.

Sources: GitHub's and Gitea's `X-Hub-Signature-256` and `X-Gitea-Signature` (HMAC-SHA256 of the body), GitLab's
`X-Gitlab-Token` (the secret itself).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from controller.actions import build_runs
from controller.errors import BadRequest, Unauthorized
from controller.models import App, BuildRun, GitSource

SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
NO_COMMIT = re.compile(r"0+")
PUSHES = ("push", "Push Hook", "Tag Push Hook")
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Taken:
    """What is answered to the git host; `run` when there is something to build."""

    text: str
    run: BuildRun | None = None


def take(app: App, headers: Mapping[str, str], body: bytes) -> Taken:
    """Raises: Unauthorized for a wrong signature or an app without a connection, BadRequest."""
    source = GitSource.objects.select_related("owner").filter(app=app).first()
    if source is None or not is_signed(source.secret, headers, body):
        raise Unauthorized(
            "The signature doesn't fit. Set the webhook's secret to the one that `paas git:connect` printed."
        )
    event = headers.get("X-Github-Event") or headers.get("X-Gitea-Event") or headers.get("X-Gitlab-Event") or ""
    if event == "ping":
        return Taken(f"pong: pushes to {source.branch} will be built for {app.name}")
    if event not in PUSHES:
        return Taken(f"nothing to do for {event or 'an event without a name'}: only pushes are built")
    return take_push(app, source, payload_of(headers, body), delivery_of(headers, body))


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    if token := headers.get("X-Gitlab-Token"):
        return hmac.compare_digest(token.encode(), secret.encode())
    offered = headers.get("X-Hub-Signature-256", "").removeprefix("sha256=") or headers.get("X-Gitea-Signature", "")
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(offered.encode(), wanted.encode())


def payload_of(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Raises: BadRequest."""
    try:
        if headers.get("Content-Type", "").startswith(FORM):
            body = parse_qs(body.decode())["payload"][0].encode()
        payload = json.loads(body)
        if not isinstance(payload, dict):
            raise ValueError("not an object")
    except (ValueError, KeyError, RecursionError) as exc:
        raise BadRequest(f"The payload can't be read: {exc}") from exc
    return payload


def delivery_of(headers: Mapping[str, str], body: bytes) -> str:
    """The host's own id of the event; without one, equal bodies are one event."""
    names = ("X-Github-Delivery", "X-Gitea-Delivery", "Idempotency-Key", "X-Gitlab-Event-UUID")
    given = next((headers[name] for name in names if headers.get(name)), "")
    return given[:100] if given else hashlib.sha256(body).hexdigest()


def take_push(app: App, source: GitSource, payload: dict[str, Any], delivery: str) -> Taken:
    ref, sha = str(payload.get("ref") or ""), str(payload.get("after") or "")
    if ref != f"refs/heads/{source.branch}":
        return Taken(f"nothing to do for {ref[:200] or 'no ref'}: {app.name} is built from {source.branch}")
    if NO_COMMIT.fullmatch(sha):
        return Taken(f"{source.branch} was deleted: {app.name} stays as it is")
    if not SHA.fullmatch(sha):
        raise BadRequest("The payload names no commit in `after`.")
    try:
        run = build_runs.begin(
            app=app, by=source.owner, source="webhook", origin=source.url, ref=source.branch, sha=sha,
            state=BuildRun.QUEUED, delivery=delivery, wish={"ref": source.branch, "sha": sha},
        )  # fmt: skip
    except build_runs.Repeated as exc:
        return Taken(str(exc), exc.run)
    return Taken(f"build {run.number} of {app.name} is queued; its output: paas builds:output {run.number}", run)
