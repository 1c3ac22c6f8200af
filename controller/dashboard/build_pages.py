"""An app's builds: those under way with their place in the line, those that were, what each said, and stopping one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from controller.access import DEVELOP, app_for, may
from controller.actions import build_runs
from controller.builder_api import BuilderAway, BuildOutput, builds_in_line, output_of_build
from controller.dashboard import pages
from controller.dashboard.edge import Next, ended, page, write
from controller.dashboard.listing import page_of
from controller.dashboard.observe import Observed
from controller.dashboard.pages import BAD, BUSY, GOOD, IDLE
from controller.dashboard.views import Context, ContextOf, Entered, app_page, live_part, versioned
from controller.errors import Missing
from controller.models import App, BuildRun, GitSource

BUILDS_SHOWN = 30
TAIL = 96 * 1024  # bytes of the output that the page shows; all of it is a link away
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STATES = {
    BuildRun.QUEUED: (BUSY, "Waiting"),
    BuildRun.BUILDING: (BUSY, "Building"),
    BuildRun.SUCCEEDED: (GOOD, "Succeeded"),
    BuildRun.FAILED: (BAD, "Failed"),
    BuildRun.CANCELLED: (IDLE, "Cancelled"),
    BuildRun.SKIPPED: (IDLE, "Nothing to build"),
}
SOURCES = {
    "git-ssh": "git push",
    "git-http": "git push over HTTP",
    "upload": "paas deploy",
    "git-host": "paas git:deploy",
    "webhook": "push to the connected repository",
    "image": "paas pull",
    "docker-push": "docker push",
}

BY_BUILDER = SOURCES.keys() - {"image", "docker-push"}


def build_row(run: BuildRun, ahead: Mapping[UUID, int]) -> Context:
    """What the list and the page of a build say about it."""
    state = BuildRun.QUEUED if run.pk in ahead else run.state
    tone, text = STATES.get(state, (IDLE, run.state))
    now = timezone.now()
    moment = run.ended or run.started or run.created
    return {
        "number": run.number,
        "state": {"tone": tone, "text": text},
        "line": line_text(ahead[run.pk]) if run.pk in ahead else "",
        "under_way": not run.finished,
        "by": run.by.username if run.by else "nobody known",
        "source": SOURCES.get(run.source, run.source),
        "origin": run.origin,
        "ref": run.ref,
        "sha": run.sha,
        "cause": run.cause.partition("\n")[0],
        "hint": run.hint,
        "release": run.release,
        "moment": moment,
        "ago": pages.ago(moment, now),
        "took": took(run, now),
    }


def ahead_of(app: App, runs: list[BuildRun]) -> dict[UUID, int]:
    """Of those of `runs` that wait, for the builder or at it, how many builds come before."""
    found = build_runs.ahead_of_waiting() if any(run.state == BuildRun.QUEUED for run in runs) else {}
    begun = {run.number: run.pk for run in runs if run.state == BuildRun.BUILDING and run.source in BY_BUILDER}
    if begun:
        with suppress(BuilderAway):
            found |= {begun[number]: ahead for number, ahead in builds_in_line(app).items() if number in begun}
    return found


def line_text(ahead: int) -> str:
    return "next in line" if not ahead else f"{ahead} build{'s' if ahead > 1 else ''} before it"


def took(run: BuildRun, now: Any) -> str:
    """`1 min 5 s`; so far, for one under way."""
    if run.started is None:
        return ""
    minutes, seconds = divmod(int(((run.ended or now) - run.started).total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def builds_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    chosen = page_of(request, app.build_runs.select_related("by"), BUILDS_SHOWN)
    ahead = ahead_of(app, list(chosen))
    context: Context = {
        "builds": [build_row(run, ahead) for run in chosen],
        "chosen": chosen,
        "may_stop": may(request.user, app, DEVELOP),
        "git": GitSource.objects.filter(app=app).first(),
    }
    return versioned(request, app, observed, "dashboard/parts/builds.html", context)


def show_builds(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "builds", "dashboard/builds.html", builds_context, entered)


builds = page(show_builds)


@page
def builds_live(request: HttpRequest, app: str) -> HttpResponse:
    return live_part(request, app, "dashboard/parts/builds.html", builds_context)


# One build


def context_of_build(number: int) -> ContextOf:
    return lambda request, app, observed: build_context(request, app, observed, number)


def build_context(request: HttpRequest, app: App, observed: Observed, number: int) -> Context:
    """Raises: Missing."""
    run = build_runs.run_of(app, number)
    ahead = ahead_of(app, [run])
    developer = may(request.user, app, DEVELOP)
    context: Context = {
        "build": build_row(run, ahead),
        "image": run.build.image if run.build else "",
        "may_stop": developer,
        "may_read": developer,
        **(output_context(run) if developer else {}),
    }
    return versioned(request, app, observed, "dashboard/parts/build.html", context)


def output_context(run: BuildRun) -> Context:
    try:
        output = output_of_build(run, TAIL)
    except BuilderAway as exc:
        return {"output_trouble": ended(f"The output can't be read: {exc}")}
    return {"lines": output_lines(output), "left_out": bool(output and output.left_out)}


def output_lines(output: BuildOutput | None) -> list[dict[str, str]]:
    """Without colours, and of a line that was written over its last text."""
    if output is None:
        return []
    texts = [COLOURS.sub("", line).rstrip("\r").rpartition("\r")[2] for line in output.text.splitlines()]
    return [{"text": text, "kind": kind_of(text)} for text in texts]


def kind_of(line: str) -> str:
    if line.startswith((" !     ", " ! ")):
        return "error"
    return "step" if line.startswith(("----->", "=====>")) else ""


def show_build(request: HttpRequest, app: str, number: int, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "builds", "dashboard/build.html", context_of_build(number), entered)


build = page(show_build)


@page
def build_live(request: HttpRequest, app: str, number: int) -> HttpResponse:
    return live_part(request, app, "dashboard/parts/build.html", context_of_build(number))


@page
def build_output(request: HttpRequest, app: str, number: int) -> HttpResponse:
    """All that is kept of what it said, as text."""
    output = output_of_build(build_runs.run_of(app_for(request.user, app, DEVELOP), number))
    if output is None:
        raise Missing("Output")
    return HttpResponse(COLOURS.sub("", output.text), content_type="text/plain; charset=utf-8")


@write(show_build)
def build_cancel(request: HttpRequest, app: str, number: int) -> Next:
    run = build_runs.run_of(app_for(request.user, app, DEVELOP), number)
    build_runs.stop(run, request.user)
    return ("dashboard:build", app, number), f"Build {number} is cancelled."
