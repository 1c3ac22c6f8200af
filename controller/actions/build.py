"""Builds, and the releases they make."""

from django.conf import settings
from django.db import transaction

from controller import app_json
from controller.actions import operations
from controller.actions.declared import new_counts, new_values
from controller.actions.events import record
from controller.actions.release import begin_deploy, create_release, take_structure
from controller.cluster.processes import port_of, routable_type
from controller.cluster.wish import release_wish
from controller.errors import BadRequest, Conflict, Invalid
from controller.models import App, Build, Config, Operation, Release, User

PLATFORM_IMAGES = (
    "builder", "controller", "database", "dockerbuilder", "fluentd", "logger", "minio", "monitor", "nsqd",
    "postgres", "redis", "registry", "router", "slugbuilder", "slugrunner", "workflow-manager",
)  # fmt: skip


def checked_image(text: str) -> str:
    """`text` as an image's reference. Raises: Invalid."""
    image = text.strip()
    if not image or any(character.isspace() or not character.isprintable() for character in image):
        raise Invalid(image="An image reference holds no blanks or control characters.")
    return image


def create_build(
    *, app: App, by: User, image: str, cause: str = Release.BUILD, summary: str = "", **fields
) -> tuple[Build, Operation]:
    """A build and the deploy of its release, which is described by `summary` or else by what it changes.

    Raises: BadRequest, Conflict.
    """
    refuse_platform_image(image)
    busy = None
    with transaction.atomic():
        app = operations.lock(app)
        current = app.current_release()
        previous = current.build
        build = Build(app=app, owner=by, image=image, **fields)
        keep_types_of(previous, build)
        build.save()
        app.builds.filter(image=image, collected__isnull=False).update(collected=None)  # it is there again
        config = declared_config(app, by, build, previous, current.config)
        release = create_release(app=app, by=by, build=build, config=config, cause=cause, summary=summary)
        record(app, f"build {app.name}-{str(build.uuid)[:7]} created")
        declared = new_counts(app_json.read(build.app_json), app.structure, build.procfile)
        before = take_structure(app, build, previous, declared)
        app.procfile_structure = build.procfile or app.structure
        app.save(update_fields=["procfile_structure"])
        check_port(app, release)
        try:
            operation = begin_deploy(app=app, release=release, by=by, structure_before=before)
        except operations.InProgress as exc:
            app.structure = before
            app.save(update_fields=["structure"])
            busy = exc
    if busy:
        raise InProgressBuild(busy)
    return build, operation


def declared_config(app: App, by: User, build: Build, previous: Build | None, config: Config) -> Config:
    """`config` with what the build's app.json declares for the first time. Raises: BadRequest."""
    before = app_json.read(previous.app_json if previous else None)
    fresh = new_values(app_json.read(build.app_json), before, config.environment())
    if not fresh:
        return config
    sections = config.sections() | {"values": config.values | fresh}
    kept = {"secret_keys": config.secret_keys, "resolved": config.resolved}
    return Config.objects.create(app=app, owner=by, **kept, **sections)


class InProgressBuild(BadRequest):
    """A build came while another deploy is under way; says who holds it."""

    def __init__(self, busy: operations.InProgress):
        super().__init__(str(busy))
        self._busy = busy

    def body(self):
        return self._busy.body()


def keep_types_of(previous: Build | None, build: Build) -> None:
    """What the operator wants of a build without a Procfile after one that had one. Raises: Conflict."""
    if previous is None or not previous.procfile or build.procfile:
        return
    if settings.REJECT_MISSING_PROCFILE:
        types = ", ".join(sorted(previous.procfile))
        raise Conflict(f"Last deployed process types: {types}; the new build has no Procfile; add one and push again")
    if not settings.REMOVE_MISSING_TYPES:
        build.procfile = previous.procfile


def check_port(app: App, release) -> None:
    """Raises: BadRequest when the app is to get traffic and nobody knows the port."""
    if not app.settings.routable or not app.structure.get(routable_type(app.structure)):
        return
    wish = release_wish(release)
    if wish.registry and "PORT" not in wish.values:
        raise BadRequest("PORT needs to be set in the application config when using a private registry")
    if port_of(wish) is None:
        raise BadRequest("Expose a port or make the app non routable by changing the process type")


def refuse_platform_image(image: str) -> None:
    """Raises: BadRequest for an image named like a part of the platform."""
    name = image.split("@")[0].rsplit(":", 1)[0]
    owner, _, part = name.rpartition("/")
    if owner.rpartition("/")[2] in ("deis", "deisci", "hephy", "hephyci") and part in PLATFORM_IMAGES:
        raise BadRequest(f"image {image} is a part of the platform and can't be deployed as an app")
