"""The pages. Each reads, and renders what `pages.py` makes of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from controller.access import (
    CONFIGURE,
    DEVELOP,
    OPERATE,
    OWN,
    READ,
    REMOVE,
    Right,
    app_for,
    level_of,
    may,
    visible_apps,
)
from controller.actions.config_sharing import visible_groups
from controller.actions.log_filters import filters
from controller.actions.logs import read_logs
from controller.cluster.pods import Process
from controller.dashboard import pages
from controller.dashboard.edge import ended, page
from controller.dashboard.observe import Observed, observe
from controller.errors import BadRequest, ClusterTrouble, Invalid, Missing, Unsupported
from controller.models import App

APPS_SHOWN = 50
APPS_AT_A_GLANCE = 8  # more than these get a field to find one
RELEASES_SHOWN = 30
RELEASES_ON_FIRST_TAB = 5
LOG_LINES = 500
GROUPS_OFFERED = 100  # in the list to choose from; any name can be typed
LOG_SOURCES = ("app", "router", "build", "release", "platform")

Context = dict[str, Any]
Entered = Mapping[str, str]
ContextOf = Callable[[HttpRequest, App, Observed], Context]


def version_of(html: str) -> str:
    """What tells one state of a live part from another; forms' tokens differ on every rendering."""
    visible = "".join(line for line in html.splitlines() if "csrfmiddlewaretoken" not in line)
    return hashlib.blake2b(visible.encode(), digest_size=8).hexdigest()


def live(request: HttpRequest, template: str, context: Context) -> HttpResponse:
    """A part of a page, or 204 when the reader has it already."""
    html = render_to_string(template, context, request)
    version = version_of(html)
    if request.headers.get("X-Seen") == version:
        return HttpResponse(status=204)
    return HttpResponse(html, headers={"X-Version": version})


# The list of apps


def apps_context(request: HttpRequest) -> Context:
    """A page of the apps, or of those whose name holds what is sought."""
    sought, number = request.GET.get("q", "").strip()[:63], request.GET.get("page", "1")
    everything = visible_apps(request.user)
    found = Paginator(everything.filter(name__contains=sought.lower()) if sought else everything, APPS_SHOWN)
    chosen = found.get_page(number)
    observed = observe(list(chosen.object_list))
    return {
        "apps": [row_of(app, observed) for app in observed.apps],
        "trouble": observed.trouble,
        "sought": sought,
        "chosen": chosen,
        "query": urlencode({"q": sought, "page": chosen.number}),
        "many": bool(sought) or found.count > APPS_AT_A_GLANCE,
    }


def row_of(app: App, observed: Observed) -> Context:
    return pages.app_row(
        app,
        observed.current.get(app.pk),
        observed.processes_of(app),
        observed.operations.get(app.pk),
        observed.domains.get(app.pk, []),
        app.pk in observed.maintenance,
        settings.APP_URL_TEMPLATE,
        timezone.now(),
    )


def show_apps(request: HttpRequest, entered: Entered | None = None) -> HttpResponse:
    context = apps_context(request)
    version = version_of(render_to_string("dashboard/parts/apps.html", context, request))
    context |= {"title": "Apps", "place": "apps", "version": version, "entered": entered or {}}
    return render(request, "dashboard/apps.html", context)


apps = page(show_apps)


@page
def apps_live(request: HttpRequest) -> HttpResponse:
    return live(request, "dashboard/parts/apps.html", apps_context(request))


# The head of every page of an app


def head_context(app: App, observed: Observed) -> Context:
    current, newest = observed.current.get(app.pk), observed.newest.get(app.pk)
    row = row_of(app, observed)
    row["failure"] = None if row["busy"] else pages.observe_failure(newest, current)
    return {"app": row, "trouble": observed.trouble}


def app_page(
    request: HttpRequest,
    name: str,
    tab: str,
    template: str,
    context_of: ContextOf,
    entered: Entered | None = None,
    right: Right = READ,
) -> HttpResponse:
    """A tab of an app's page: its head, its tabs, and what `context_of` adds."""
    app = app_for(request.user, name, right)
    observed = observe([app])
    context = head_context(app, observed)
    titles = {name: title for name, title, _ in pages.TABS}
    context |= {
        "title": f"{titles[tab]} of {app.name}",
        "place": "apps",
        "tabs": pages.tab_rows(
            app.name, tab, level_of(request.user, app), lambda route, app: reverse(route, args=[app])
        ),
        "head_version": version_of(render_to_string("dashboard/parts/head.html", context, request)),
        "entered": entered or {},
        "may_delete": may(request.user, app, OWN),
        "push": push_context(request, app),
    }
    context |= context_of(request, app, observed)
    return render(request, template, context)


def versioned(request: HttpRequest, app: App, observed: Observed, part: str, context: Context) -> Context:
    """`context` with the version of what `part` looks like with it, by which the page asks for changes."""
    html = render_to_string(part, head_context(app, observed) | context, request)
    return context | {"version": version_of(html)}


def live_part(request: HttpRequest, name: str, part: str, context_of: ContextOf) -> HttpResponse:
    """`part` of the app's page as it is now."""
    app = app_for(request.user, name, READ)
    observed = observe([app])
    return live(request, part, head_context(app, observed) | context_of(request, app, observed))


def push_context(request: HttpRequest, app: App) -> Context:
    remote = f"{settings.GIT_SSH_URL}/{app.name}.git"
    return {"remote": remote, "has_key": request.user.keys.exists(), "platform": settings.PLATFORM_URL}


@page
def head_live(request: HttpRequest, app: str) -> HttpResponse:
    found = app_for(request.user, app, READ)
    return live(request, "dashboard/parts/head.html", head_context(found, observe([found])))


# Processes


def processes_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    current = observed.current.get(app.pk)
    build = current.build if current else None
    processes: list[Process] = observed.processes_of(app) or []
    procfile = build.procfile if build else {}
    context: Context = {
        "push": None if build else push_context(request, app),
        "types": pages.type_rows(app.structure, procfile, processes, observed.causes, timezone.now()),
        "running": any(app.structure.values()),
        "may_develop": may(request.user, app, DEVELOP),
    }
    context |= releases_context(app, observed, RELEASES_ON_FIRST_TAB)
    return versioned(request, app, observed, "dashboard/parts/processes.html", context)


def show_processes(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "app", "dashboard/processes.html", processes_context, entered)


processes = page(show_processes)


@page
def processes_live(request: HttpRequest, app: str) -> HttpResponse:
    return live_part(request, app, "dashboard/parts/processes.html", processes_context)


# Releases


def releases_context(app: App, observed: Observed, count: int, before: int | None = None) -> Context:
    rows = app.releases.select_related("build", "owner").order_by("-version")
    if before:
        rows = rows.filter(version__lt=before)
    found = list(rows[: count + 1])
    shown = pages.release_rows(found[:count], observed.current.get(app.pk), timezone.now())
    return {"releases": shown, "more": found[count - 1].version if len(found) > count else None}


def releases_page_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    before = request.GET.get("before", "")
    context = releases_context(app, observed, RELEASES_SHOWN, int(before) if before.isdecimal() else None)
    context["may_develop"] = may(request.user, app, DEVELOP)
    return versioned(request, app, observed, "dashboard/parts/releases.html", context)


def show_releases(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "releases", "dashboard/releases.html", releases_page_context, entered)


releases = page(show_releases)


@page
def releases_live(request: HttpRequest, app: str) -> HttpResponse:
    return live_part(request, app, "dashboard/parts/releases.html", releases_page_context)


# Config


def values_of(app: App) -> dict[str, str]:
    release = app.current_release()
    return release.config.values if release else {}


def config_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    release = app.current_release()
    hidden = set(release.config.secret_keys) if release else set()
    rows = pages.variable_rows(values_of(app), hidden, request.GET.get("reveal"))
    return {
        "variables": rows,
        "shared": pages.shared_rows(release.config if release else None),
        "attached": list(app.config_groups.values_list("group__name", flat=True)),
        "links": list(app.config_links.all()),
        "groups": visible_groups(request.user).values_list("name", flat=True)[:GROUPS_OFFERED],
    }


def show_config(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "config", "dashboard/config.html", config_context, entered, CONFIGURE)


config = page(show_config)


@page
def config_value(request: HttpRequest, app: str, key: str) -> HttpResponse:
    found = app_for(request.user, app, CONFIGURE)
    values, release = values_of(found), found.current_release()
    if key not in values or key in release.config.secret_keys:
        raise Missing("Variable")
    return JsonResponse({"value": values[key]})


# Domains, logs, keys


def domains_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    found = app.domains.select_related("certificate").order_by("domain")
    rows = pages.domain_rows(found, settings.APP_URL_TEMPLATE)
    level = level_of(request.user, app)
    return {
        "domains": rows,
        "platform_domain": settings.PLATFORM_DOMAIN,
        "may_operate": level >= OPERATE.level,
        "may_remove": level >= REMOVE.level,
    }


def show_domains(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "domains", "dashboard/domains.html", domains_context, entered)


domains = page(show_domains)


def logs_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    asked = {name: request.GET.get(name, "") for name in ("grep", "ps", "source", "since")}
    context: Context = {"asked": asked, "searched": any(asked.values()), "sources": LOG_SOURCES}
    try:
        query = filters(request.GET)
        lines = (read_logs(app, LOG_LINES, query) if query else read_logs(app, LOG_LINES)).splitlines()
    except (ClusterTrouble, BadRequest, Invalid, Unsupported) as exc:
        return {**context, "lines": [], "trouble": ended(f"The log can't be read: {exc}")}
    return {**context, "lines": [pages.log_row(line) for line in lines]}


@page
def logs(request: HttpRequest, app: str) -> HttpResponse:
    return app_page(request, app, "logs", "dashboard/logs.html", logs_context)


def show_keys(request: HttpRequest, entered: Entered | None = None) -> HttpResponse:
    found = request.user.keys.order_by("name")
    context = {"title": "SSH keys", "place": "keys", "keys": found, "entered": entered or {}}
    return render(request, "dashboard/keys.html", context)


keys = page(show_keys)
