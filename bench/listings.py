"""Every listing of the API and the dashboard's lists, over 1,000 apps with 100 releases each on SQLite.

The API's go through Django's test client, pages over HTTP on loopback, both with all middleware. The orchestrator is a
double that answers with one pod for each app, decoded from JSON at every call. Everything is in a temporary folder.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench.report import Row

Address = tuple[str, int]

APPS, RELEASES = 1000, 100
PEOPLE, TEAMS, PIPELINES = 500, 50, 50
PER_APP = 20  # builds, build runs and operations of each app; half as many configs
AUDITED = 50_000  # entries of the trail
RUNS, BAR = 40, 200.0  # requests of each listing; milliseconds at p95
APP = "/v2/apps/app-0500"
LISTINGS = (
    "/v2/apps/", "/v2/apps/?limit=1000", f"{APP}/releases/", f"{APP}/releases/?detail=true", f"{APP}/builds/",
    f"{APP}/build-runs/", f"{APP}/config/", f"{APP}/domains/", f"{APP}/perms/", f"{APP}/access/", f"{APP}/audit/",
    "/v2/users/", "/v2/audit/", "/v2/tokens/", "/v2/teams/", "/v2/pipelines/", "/v2/pipelines/pipeline-000/",
    "/v2/keys/", "/v2/certs/", "/", "/apps/app-0500/releases/", "/apps/app-0500/activity/", "/apps/app-0500/builds/",
    "/apps/app-0500/config/", "/apps/app-0500/webhooks/", "/apps/app-0500/webhooks/1/", "/apps/app-0500/schedule/",
    "/apps/app-0500/autoscale/", "/apps/app-0500/logs/drains/", "/apps/app-0500/access/", "/activity/", "/teams/",
    "/teams/team-00/", "/invitations/", "/config-groups/", "/config-groups/group-000/", "/pipelines/",
    "/pipelines/pipeline-000/", "/account/", "/keys/", "/certificates/", "/certificates/admin-00/", "/?q=app-09",
    "/apps/app-0500/", "/apps/app-0500/domains/", "/apps/app-0500/settings/",
    "/apps/app-0500/settings/limits/", "/apps/app-0500/settings/health/", "/apps/app-0500/settings/deploys/",
    "/apps/app-0500/settings/source/", "/activity/?outcome=refused", "/apps/app-0500/activity/?outcome=done",
)  # fmt: skip
OF_A_MEMBER = (
    "/v2/apps/", f"{APP}/releases/", "/v2/audit/", "/v2/teams/", "/v2/pipelines/", "/", "/activity/", "/teams/",
    "/config-groups/", "/pipelines/",
)  # fmt: skip


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as folder:
        set_up(Path(folder))
        fill()
        logging.disable(logging.INFO)  # a line for each request
        with served() as pages:
            rows = [measured("admin", path, pages) for path in LISTINGS]
            rows += [measured("person-001", path, pages) for path in OF_A_MEMBER]
    return rows


def set_up(folder: Path) -> None:
    """Django over an empty database with every migration."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "controller.settings.testing"
    os.environ["DATABASE_URL"] = f"sqlite://{folder}/db.sqlite3"
    import django

    django.setup()
    from django.core.management import call_command

    from controller.dashboard import observe

    call_command("migrate", verbosity=0)
    double = Orchestrator()
    observe.cluster = lambda: double


class Orchestrator:
    """Answers as one with a process of each app does."""

    def __init__(self) -> None:
        self._all = json.dumps([pod(f"app-{number:04}") for number in range(APPS)])

    def list(self, kind: str, namespace: str | None, labels: str) -> tuple[list[dict[str, Any]], str]:
        return json.loads(self._all) if namespace is None else [pod(namespace)], "1"


def pod(app: str) -> dict[str, Any]:
    labels = {"heritage": "deis", "app": app, "type": "web", "version": f"v{RELEASES}"}
    state = {"name": f"{app}-web", "ready": True, "restartCount": 0, "state": {"running": {}}}
    ready = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {
            "name": f"{app}-web-5d8f-abcde",
            "namespace": app,
            "labels": labels,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"containers": [{"name": f"{app}-web", "image": "x"}]},
        "status": {
            "phase": "Running",
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": ready,
            "containerStatuses": [state],
        },
    }


def fill() -> None:
    from django.db import transaction

    from controller.models import TLS, App, AppSettings, Collaborator, Domain, TeamAccess

    with transaction.atomic():
        people, teams = fill_people()
        apps = [App(name=f"app-{n:04}", owner=people[n % PEOPLE], structure={"web": 1}) for n in range(APPS)]
        insert(apps)
        insert(AppSettings(app=app, owner=app.owner) for app in apps)
        insert(TLS(app=app, owner=app.owner) for app in apps)
        fill_history(apps)
        insert(
            Domain(app=app, owner=app.owner, domain=name, canonical=name)
            for app in apps
            for name in (f"{number}.{app.name}.test" for number in range(3))
        )
        insert(Collaborator(app=app, user=people[(n + k) % PEOPLE]) for n, app in enumerate(apps) for k in range(1, 11))
        insert(TeamAccess(app=app, team=teams[n % TEAMS]) for n, app in enumerate(apps))
        fill_pipelines(apps, people)
        fill_shared(apps[APPS // 2], people, teams)
        fill_audit(apps)


def fill_people() -> tuple[list[Any], list[Any]]:
    from django.utils import timezone

    from controller.actions.auth import store_digest
    from controller.models import Certificate, Key, Member, PersonalToken, Team, User

    people = [User(username=f"person-{number:03}", email=f"{number}@example.test") for number in range(PEOPLE)]
    insert([*people, User(username="admin", is_superuser=True)])
    for name in ("admin", "person-001"):
        store_digest(User.objects.get(username=name))
    teams = [Team(name=f"team-{number:02}") for number in range(TEAMS)]
    insert(teams)
    insert(Member(team=teams[n % TEAMS], user=person, manager=n < TEAMS) for n, person in enumerate(people))
    admin = User.objects.get(username="admin")
    for owner in (*people, admin):
        insert(
            Key(owner=owner, name=f"{owner}-{n}", public=f"ssh-ed25519 {owner} {n}", fingerprint="") for n in range(3)
        )
    insert(PersonalToken(user=admin, name=f"token-{n}", digest=f"{n}", scopes=["read"]) for n in range(PER_APP))
    now, text = timezone.now(), "x" * 2000
    names = [(owner, owner.username) for owner in people] + [(admin, f"admin-{n:02}") for n in range(PEOPLE)]
    insert(
        Certificate(owner=owner, name=name, certificate=text, key=text, expires=now, starts=now)
        for owner, name in names
    )
    return people, teams


def fill_history(apps: list[Any]) -> None:
    """The builds, build runs, configs, releases and operations of `apps`."""
    from controller.models import Build, BuildRun, Config, Operation, Release

    for app in apps:
        who = {"app": app, "owner": app.owner}
        builds = [
            Build(**who, image=f"x/{app.name}:{n}", sha=f"{n:040}", procfile={"web": "x"}) for n in range(PER_APP)
        ]
        configs = [Config(**who, values={"KEY": f"{n}", "OTHER": "value"}) for n in range(PER_APP // 2)]
        insert(builds)
        insert(configs)
        insert(
            BuildRun(app=app, by=app.owner, number=n + 1, source="git-ssh", state=BuildRun.SUCCEEDED, build=build)
            for n, build in enumerate(builds)
        )
        releases = [
            Release(
                **who, version=n + 1, build=builds[n * PER_APP // RELEASES], cause=Release.BUILD, summary=f"change {n}",
                config=configs[n * len(configs) // RELEASES], failed=n % 10 == 5, structure={"web": 1},
            )
            for n in range(RELEASES)
        ]  # fmt: skip
        insert(releases)
        insert(
            Operation(app=app, release=release, by=app.owner, kind=Operation.DEPLOY, state=Operation.SUCCEEDED)
            for release in releases[-PER_APP:]
        )


def fill_pipelines(apps: list[Any], people: list[Any]) -> None:
    from controller.models import Pipeline, PipelineApp

    pipelines = [Pipeline(name=f"pipeline-{number:03}", owner=people[number]) for number in range(PIPELINES)]
    insert(pipelines)
    insert(
        PipelineApp(app=app, pipeline=pipelines[n % PIPELINES], stage=pipelines[0].stages[n % 3])
        for n, app in enumerate(apps)
    )


def fill_shared(app: Any, people: list[Any], teams: list[Any]) -> None:
    """Config groups and invitations of everybody; of `app` queued builds, webhooks and what was sent, and the like."""
    from django.utils import timezone

    from controller.models import BuildRun, ConfigGroup, CronEntry, GroupAttachment, Invitation, LogDrain, User
    from controller.models.notice import Delivery, Notice, Webhook

    insert(
        ConfigGroup(name=f"group-{n:03}", owner=person, team=teams[n % TEAMS], values={"KEY": "x" * 200})
        for n, person in enumerate(people)
    )
    insert(GroupAttachment(app=app, group=group) for group in ConfigGroup.objects.all()[:PER_APP])
    admin, now = User.objects.get(username="admin"), timezone.now()
    insert(Invitation(by=admin, digest=f"{n}", app=app, role="viewer", expires=now) for n in range(PEOPLE))
    insert(
        BuildRun(app=app, number=n + 100, source="webhook", state=BuildRun.QUEUED, wish={"ref": "main"})
        for n in range(200)
    )
    hooks = [Webhook(id=n + 1, app=app, owner=admin, url="https://hooks.test/", secret="x") for n in range(PER_APP)]
    insert(hooks)
    notices = [Notice(app=app, event="deploy.succeeded", text="v1 is live") for _ in range(1000)]
    insert(notices)
    insert(Delivery(notice=notice, webhook=hooks[0], state=Delivery.SENT) for notice in notices)
    insert(CronEntry(app=app, name=f"job-{n}", command="true", schedule="@daily") for n in range(100))
    insert(LogDrain(app=app, url=f"syslog://{n}.test:514") for n in range(10))


def fill_audit(apps: list[Any]) -> None:
    from controller.models.audit import AuditEntry, AuditOutcome

    insert(
        AuditEntry(
            actor=f"person-{n % PEOPLE:03}", via="login", address="127.0.0.1", action="POST /v2/apps/APP/config/",
            app=apps[n % APPS].name, detail={"values": ["KEY"]},
        )
        for n in range(AUDITED)
    )  # fmt: skip
    keys = AuditEntry.objects.values_list("pk", flat=True)
    insert(AuditOutcome(entry_id=key, status=201 if key % 100 else 403) for key in keys)


def insert(rows: Iterator[Any] | list[Any] | Any) -> None:
    found = list(rows)
    type(found[0]).objects.bulk_create(found, batch_size=2000)


def measured(name: str, path: str, pages: Address) -> Row:
    """The 95th percentile of one listing, as `name` sees it: the API's in process, pages over HTTP."""
    ask = page_asked(name, path, pages) if not path.startswith("/v2") else listing_asked(name, path)
    ask()  # templates and statements are compiled once
    began = process_time()
    p50, p95 = percentiles(ask)
    each = (process_time() - began) * 1000 / RUNS
    return Row(f"{path} as {name}, p95", p95, "ms", "bar", BAR, RUNS, f"p50 {p50:.0f} ms, {each:.0f} ms of CPU each")


def listing_asked(name: str, path: str) -> Callable[[], None]:
    from django.test import Client

    from controller.models import User

    client = Client()
    headers = {"Authorization": f"token {User.objects.get(username=name).token()}"}
    return lambda: check(path, (answer := client.get(path, headers=headers)).status_code, answer.content)


def page_asked(name: str, path: str, pages: Address) -> Callable[[], None]:
    """A browser's request, signed in, over a connection that stays."""
    from django.conf import settings
    from django.test import Client

    from controller.models import User

    client = Client()
    client.force_login(User.objects.get(username=name))
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    connection = HTTPConnection(*pages)

    def ask() -> None:
        connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        check(path, answer.status, answer.read())

    return ask


def check(path: str, status: int, content: bytes) -> None:
    if status != 200:
        raise RuntimeError(f"{path} answered {status}: {content[:200]!r}")


@contextmanager
def served() -> Iterator[Address]:
    """The controller behind a threaded HTTP server on loopback, and where it listens."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
    from django.core.wsgi import get_wsgi_application

    class Quiet(WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            """A line for each request would be measured too."""

    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        server.server_close()


def percentiles(action: Callable[[], None]) -> tuple[float, float]:
    """The median and the 95th percentile of RUNS calls, in milliseconds."""
    taken = []
    for _ in range(RUNS):
        began = perf_counter()
        action()
        taken.append((perf_counter() - began) * 1000)
    taken.sort()
    return taken[len(taken) // 2], taken[int(len(taken) * 0.95) - 1]
