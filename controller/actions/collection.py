"""What images stay: of each app those of its last releases and whatever runs; the rest may go, here is who is asked.

The registry and the builder each know what they hold; they are told what to keep, and remove what is neither kept
nor young.
"""

import http.client
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from controller.cluster.client import cluster
from controller.errors import PaasError, cause_of
from controller.models import App, Build, Operation, Release
from controller.neighbours import Connection

YOUNG = 3600  # seconds; what was pushed or built since may be on its way to a release
TIMEOUT = 1900.0  # seconds for one of them; the registry gives itself 1,800


class CollectionFailed(PaasError):
    status = 503


@dataclass(frozen=True)
class Collected:
    """What went, or would go: one dictionary each with kind, name, bytes."""

    items: list[dict[str, Any]]
    freed: int | None  # bytes the registry's disk got back


def collect(*, dry_run: bool) -> Collected:
    """Raises: CollectionFailed; what was removed until then stays removed, and a second run goes on."""
    keep = kept_images()
    items: list[dict[str, Any]] = []
    freed = None
    if settings.REGISTRY_ADMIN_SOCKET:
        wish = {"keep": keep, "older_than": YOUNG, "dry_run": dry_run}
        told = ask("The registry", Connection(settings.REGISTRY_ADMIN_SOCKET, TIMEOUT), wish)
        freed = told["freed"]
        items += [
            {"kind": "registry image", "name": f"{i['app']}@{i['digest']}", "bytes": i["bytes"]} for i in told["images"]
        ]
        if not dry_run:
            mark_collected({(image["app"], image["digest"]) for image in told["images"]})
    if settings.BUILDER_URL:
        digests = sorted({digest for kept in keep.values() for digest in kept})
        wish = {"keep": digests, "apps": sorted(keep), "older_than": YOUNG, "dry_run": dry_run}
        where = urlsplit(settings.BUILDER_URL)
        connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=TIMEOUT)
        items += ask("The builder", connection, wish)["removed"]
    return Collected(items, freed)


def kept_images() -> dict[str, list[str]]:
    """Of every app, the digests of the images it keeps."""
    keep: dict[str, set[str]] = {name: set() for name in App.objects.values_list("name", flat=True)}
    rows = Release.objects.filter(build__isnull=False).order_by("app__name", "-version")
    newest: set[str] = set()
    for app, failed, image in rows.values_list("app__name", "failed", "build__image").iterator():
        kept, digest = keep.setdefault(app, set()), digest_of(app, image)
        is_newest = app not in newest
        newest.add(app)
        if digest and (is_newest or (not failed and len(kept) < settings.KEEP_IMAGES)):
            kept.add(digest)
    recent = timezone.now() - timezone.timedelta(seconds=YOUNG)
    busy = Q(created__gte=recent) | Q(releases__operations__state__in=Operation.UNFINISHED)
    for app, image in Build.objects.filter(busy).values_list("app__name", "image").distinct():
        keep.setdefault(app, set()).add(digest_of(app, image))
    for app, digest in running_images():
        keep.setdefault(app, set()).add(digest)
    return {app: sorted(filter(None, digests)) for app, digests in keep.items()}


def running_images() -> set[tuple[str, str]]:
    pods, _ = cluster().list("Pod", None, labels="heritage=deis")
    found = set()
    for pod in pods:
        spec = pod["spec"]
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            repository, at, digest = container.get("image", "").rpartition("@")
            if at and repository.startswith(f"{settings.REGISTRY_HOST}/"):
                found.add((repository.removeprefix(f"{settings.REGISTRY_HOST}/"), digest))
    return found


def digest_of(app: str, image: str) -> str:
    """The digest, if the image is in our registry's repository of that app."""
    prefix = f"{settings.REGISTRY_HOST}/{app}@"
    return image.removeprefix(prefix) if image.startswith(prefix) else ""


def mark_collected(images: set[tuple[str, str]]) -> None:
    """So that nobody rolls back to what is gone."""
    names = defaultdict(list)
    for app, digest in images:
        names[app].append(f"{settings.REGISTRY_HOST}/{app}@{digest}")
    for app, gone in names.items():
        Build.objects.filter(app__name=app, image__in=gone).update(collected=timezone.now())


def ask(who: str, connection: http.client.HTTPConnection, wish: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", "X-Deis-Builder-Auth": settings.BUILDER_KEY}
    try:
        connection.request("POST", "/collect", json.dumps(wish), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise CollectionFailed(
            f"{who} doesn't answer ({cause_of(exc)}); try again when it runs (`make status`)."
        ) from exc
    finally:
        connection.close()
    if answer.status != 200:
        raise CollectionFailed(f"{who} could not collect: {body.get('error', answer.status)}")
    return body
