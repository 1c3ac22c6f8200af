"""The page of one release: what became of it, what it changed, what was said; and the page that explains an app."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from controller.access import CONFIGURE, DEVELOP, READ, app_for, may
from controller.actions import operations
from controller.actions.explain import explain_app
from controller.actions.outputs import output_of
from controller.actions.release_diff import Change, diff_releases
from controller.actions.release_states import states_of
from controller.dashboard import pages
from controller.dashboard.edge import page, write
from controller.dashboard.observe import Observed
from controller.dashboard.views import app_page, show_releases
from controller.errors import Missing
from controller.models import App

PARTS = (("code", "Code"), ("procfile", "Process types"), ("config", "Config"), ("formation", "Formation"))
SIGNS = {"added": "+", "removed": "−", "changed": "~"}
STATES = {
    "empty": (pages.IDLE, "Without a build"),
    "pending": (pages.BUSY, "Waits to be deployed"),
    "deploying": (pages.BUSY, "Being deployed"),
    "watched": (pages.GOOD, "Live, being watched"),
    "live": (pages.GOOD, "Live"),
    "failed": (pages.BAD, "Failed"),
    "past": (pages.IDLE, "No longer live"),
}
LEVELS = {"error": (pages.BAD, "Wrong"), "warning": (pages.BUSY, "Check"), "info": (pages.IDLE, "Note")}


@page
def release(request: HttpRequest, app: str, version: int) -> HttpResponse:
    def context(request: HttpRequest, app: App, observed: Observed) -> dict[str, Any]:
        return release_context(request, app, version)

    return app_page(request, app, "releases", "dashboard/release.html", context)


def release_context(request: HttpRequest, app: App, version: int) -> dict[str, Any]:
    """Raises: Missing."""
    found = {
        row.version: row
        for row in app.releases.filter(version__in=(version - 1, version)).select_related("build", "config", "owner")
    }
    if version not in found:
        raise Missing("Release")
    chosen, before = found[version], found.get(version - 1)
    tone, text = STATES[states_of(app, [chosen])[version]]
    under_way = text in (STATES["pending"][1], STATES["deploying"][1])
    may_develop, shows_config = may(request.user, app, DEVELOP), may(request.user, app, CONFIGURE)
    return {
        "release": chosen,
        "state": {"tone": tone, "text": text},
        "reason": pages.reason_of(chosen) if chosen.failed else "",
        "before": before,
        "changes": change_groups(diff_releases(before, chosen), with_config=shows_config) if before else [],
        "lines": output_of(chosen),
        "is_under_way": under_way and may_develop,
        "can_roll_back": not under_way and may_develop and pages.can_roll_back(chosen, app.current_release()),
    }


def change_groups(diff: dict[str, list[Change]], *, with_config: bool) -> list[dict[str, Any]]:
    """The parts that differ, with a line for each change."""
    return [
        {"title": title, "lines": [describe_change(change) for change in diff[part]]}
        for part, title in PARTS
        if diff[part] and (with_config or part != "config")
    ]


def describe_change(change: Change) -> dict[str, str]:
    section = change.get("section", "values")
    sides = [str(side) for side in (change["before"], change["after"]) if side is not None]
    hidden = sides and all(side == "…" for side in sides)
    return {
        "sign": SIGNS[change["change"]],
        "kind": change["change"],
        "name": change["name"] if section == "values" else f"{section} {change['name']}",
        "text": "value hidden" if hidden else " → ".join(sides),
    }


@write(show_releases)
def cancel(request: HttpRequest, app: str) -> tuple[tuple[str, ...], str]:
    operation = operations.cancel(app_for(request.user, app, DEVELOP), request.user)
    return ("dashboard:releases", app), f"v{operation.release.version} is cancelled; what ran before goes on."


@page
def explain(request: HttpRequest, app: str) -> HttpResponse:
    def context(request: HttpRequest, app: App, observed: Observed) -> dict[str, Any]:
        summary, problems = explain_app(app)
        rows = [
            {"problem": problem, "state": dict(zip(("tone", "text"), LEVELS[problem.level], strict=True))}
            for problem in problems
        ]
        return {"summary": summary, "problems": rows}

    app_for(request.user, app, READ)
    return app_page(request, app, "app", "dashboard/explain.html", context)
