"""Apps: made, handed over, scaled, ended."""

import logging
import random
import time

from django.conf import settings
from django.db import IntegrityError, transaction

from controller.actions import operations
from controller.actions.auth import user_named
from controller.actions.carry_out import sync
from controller.actions.events import record
from controller.actions.names import ADJECTIVES, NOUNS
from controller.actions.release import create_release
from controller.actions.structure import can_run
from controller.cluster.client import ClusterError, cluster
from controller.cluster.wish import RELEASE
from controller.errors import BadRequest, ClusterTrouble, Conflict, Invalid, NotFound
from controller.models import TLS, App, AppSettings, Build, Config, Domain, Operation, Release, User

log = logging.getLogger(__name__)

LAST_WORDS = 5  # seconds from TERM to KILL for the processes of an app that ends for good
TEARDOWN = 120  # seconds for a namespace to go


def create_app(*, by: User, name: str | None, structure: dict[str, int] | None = None) -> App:
    """A new app with its empty config, first release, settings and domain.

    Raises: Invalid, Conflict, ClusterTrouble.
    """
    name = name or free_name()
    if name in settings.RESERVED_APP_NAMES:
        raise Invalid(id=f"{name} is a reserved name.")
    if App.objects.filter(name=name).exists():
        raise Invalid(id="Application with this id already exists.")
    refuse_foreign_namespace(name)
    try:
        with transaction.atomic():
            app = App.objects.create(name=name, owner=by, structure=structure or {})
            config = Config.objects.create(app=app, owner=by)
            AppSettings.objects.create(app=app, owner=by)
            TLS.objects.create(app=app, owner=by)
            create_release(app=app, by=by, build=None, config=config, cause=Release.CREATE)
            if not Domain.objects.filter(canonical=name).exists():
                Domain.objects.create(app=app, owner=by, domain=name, canonical=name)
    except IntegrityError as exc:
        raise Invalid(id="Application with this id already exists.") from exc
    try:
        sync(app)
    except ClusterError:
        app.delete()
        raise
    return app


def free_name() -> str:
    """A random `adjective-noun` that no app has."""
    taken = set(App.objects.values_list("name", flat=True))
    for _ in range(50):
        name = f"{random.choice(ADJECTIVES)}-{random.choice(NOUNS)}"
        if name not in taken:
            return name
    return f"{name}-{random.randrange(10_000, 100_000)}"


def refuse_foreign_namespace(name: str) -> None:
    """Raises: Conflict when the cluster has a namespace of that name which isn't an app's, or is still going."""
    namespace = cluster().get("Namespace", None, name)
    if namespace is None:
        return
    if namespace["metadata"].get("deletionTimestamp"):
        raise Conflict(f"{name} is still being deleted; try again in a moment")
    if (namespace["metadata"].get("labels") or {}).get("heritage") != "deis":
        raise Conflict(f"{name} already exists as a namespace in this kubernetes setup")


def transfer_app(*, app: App, to: str) -> None:
    """Makes `to` the owner of `app` and of what the old owner owned in it. Raises: Missing."""
    new = user_named(to)
    with transaction.atomic():
        app = operations.lock(app)
        old = app.owner
        App.objects.filter(pk=app.pk).update(owner=new)
        for rows in (
            AppSettings.objects.filter(app=app),
            TLS.objects.filter(app=app),
            Build.objects.filter(app=app),
            Config.objects.filter(app=app),
            Domain.objects.filter(app=app),
            Release.objects.filter(app=app),
        ):
            rows.filter(owner=old).update(owner=new)
        app.collaborators.filter(user=new).delete()
        record(app, f"{app.name} transferred from {old.username} to {new.username}")


def destroy_app(*, app: App, by: User) -> None:
    """Ends the app: its processes first, then its records. Raises: ClusterTrouble, Conflict."""
    operations.supersede(app)
    api = cluster()
    api.delete("Namespace", None, app.name)
    for pod in api.list("Pod", app.name)[0]:
        api.delete("Pod", app.name, pod["metadata"]["name"], grace=LAST_WORDS)
    deadline = time.monotonic() + TEARDOWN
    while api.get("Namespace", None, app.name) is not None:
        if time.monotonic() > deadline:
            raise ClusterTrouble(f"{app.name} is still being taken down after {TEARDOWN} s; destroy it again to finish")
        time.sleep(0.1)
    with transaction.atomic():
        app.delete()
    log.info("app destroyed", extra={"app": app.name, "by": by.username})


def scale_app(*, app: App, counts: dict[str, int], by: User) -> Operation | None:
    """The operation that brings the formation about; None when it already is so.

    Raises: BadRequest, NotFound, InProgress.
    """
    with transaction.atomic():
        app = operations.lock(app)
        release = app.current_release()
        if release is None or release.build is None:
            raise BadRequest("No build associated with this release")
        if counts.get(RELEASE):
            raise BadRequest("release runs once for each release, before it goes live; it can't be scaled")
        for kind, count in counts.items():
            if not can_run(release.build, kind) and (count or kind not in app.structure):
                raise NotFound(f"Container type {kind} does not exist in application")
        before = app.structure
        if {**before, **counts} == before:
            return None
        operations.refuse_if_busy(app)
        app.structure = {**before, **counts}
        app.save(update_fields=["structure", "updated"])
        wished = " ".join(f"{kind}={count}" for kind, count in counts.items())
        record(app, f"{by.username} scaled pods {wished}")
        return operations.begin(app=app, release=release, by=by, kind=Operation.SCALE, structure_before=before)
