"""Everything the cluster should know of an app at one release, read from the database at once."""

from dataclasses import dataclass, field

from django.conf import settings

from controller import app_json
from controller.cluster.declared_checks import with_declared
from controller.cluster.rules import DeployRules
from controller.cron import Entry
from controller.models import App, Release
from controller.registry_tokens import pull_login

RELEASE = "release"  # the type whose command runs before a release goes live, never as a process


@dataclass(frozen=True)
class Platform:
    """What no app chooses."""

    domain: str
    registry_host: str
    registry_username: str = ""
    registry_password: str = ""
    nodes: int = 1
    first_answer: bool = True  # whether the engines can exec, which the check of a first answer needs


@dataclass(frozen=True)
class ReleaseWish:
    """What runs."""

    version: int
    summary: str
    created: str
    kind: str  # buildpack, dockerfile or image
    image: str
    sha: str
    procfile: dict[str, str]
    ports: list[int] | None
    values: dict[str, str]
    memory: dict[str, str]
    cpu: dict[str, str]
    tags: dict[str, str]
    registry: dict[str, str]
    healthcheck: dict[str, dict]
    termination_grace_period: dict[str, str]
    lifecycle_post_start: dict[str, str]
    lifecycle_pre_stop: dict[str, str]


@dataclass(frozen=True)
class Wish:
    """An app as it should be."""

    app: str
    platform: Platform
    structure: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, str] = field(default_factory=dict)
    domains: tuple[tuple[str, str | None], ...] = ()  # (domain, name of its certificate)
    certificates: tuple[tuple[str, str, str], ...] = ()  # (name, certificate, key)
    services: tuple[tuple[str, str], ...] = ()  # (process type, path patterns)
    maintenance: bool = False
    routable: bool = True
    whitelist: tuple[str, ...] = ()
    cron: tuple[Entry, ...] = ()
    autoscale: dict[str, dict] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    https_enforced: bool = False
    deploy: DeployRules = field(default_factory=DeployRules)
    release: ReleaseWish | None = None  # None until there is a build


def platform(app: str, nodes: int = 1) -> Platform:
    own = settings.REGISTRY_CREDENTIALS
    login = own.get("username", ""), own.get("password", "")
    if settings.REGISTRY_TOKEN_KEY:
        login = pull_login(settings.SECRET_KEY, app)
    return Platform(
        domain=settings.PLATFORM_DOMAIN,
        registry_host=settings.REGISTRY_HOST,
        registry_username=login[0],
        registry_password=login[1],
        nodes=nodes,
        first_answer=settings.FIRST_ANSWER,
    )


def wish_of(app: App, release: Release | None, *, nodes: int = 1) -> Wish:
    """The wish for `app` at `release`, with its formation, routing and certificates as they stand."""
    domains = list(app.domains.select_related("certificate"))
    certificates = {d.certificate.name: d.certificate for d in domains if d.certificate}
    return Wish(
        app=app.name,
        platform=platform(app.name, nodes),
        structure={kind: count for kind, count in app.structure.items() if kind != RELEASE},
        restarts=dict(app.restarts),
        domains=tuple((d.domain, d.certificate.name if d.certificate else None) for d in domains),
        certificates=tuple((c.name, c.certificate, c.key) for c in certificates.values()),
        services=tuple(app.services.values_list("procfile_type", "path_pattern")),
        maintenance=app.settings.maintenance,
        routable=app.settings.routable,
        whitelist=tuple(app.settings.whitelist),
        autoscale=dict(app.settings.autoscale),
        cron=cron_of(app, release),
        labels=dict(app.settings.label),
        https_enforced=bool(app.tls.https_enforced),
        deploy=DeployRules(**app.settings.deploy),
        release=release_wish(release) if release is not None and release.build is not None else None,
    )


def release_wish(release: Release) -> ReleaseWish:
    build, config = release.build, release.config
    declared = app_json.read(build.app_json)
    return ReleaseWish(
        version=release.version,
        summary=release.summary,
        created=release.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        kind=build.kind,
        image=build.image,
        sha=build.sha,
        procfile=build.procfile,
        ports=build.ports,
        **config.sections()
        | {
            "values": config.environment(),
            "healthcheck": with_declared(config.healthcheck, declared.healthchecks),
        },
    )


def cron_of(app: App, release: Release | None) -> tuple[Entry, ...]:
    """The commands on a schedule, by name: app.json's of the release's build, and those that people added."""
    paused = set(app.cron_pauses.values_list("name", flat=True))
    declared = app_json.read(release.build.app_json).cron if release is not None and release.build is not None else ()
    found = {}
    for number, one in enumerate(declared, 1):
        name = f"app-{number}"
        fields = {"policy": one.policy, "paused": name in paused, "declared": True}
        found[name] = Entry(name, one.command, one.schedule, **fields)
    for row in app.cron_entries.all():
        fields = (row.name, row.command, row.schedule, row.timezone, row.policy, row.deadline)
        found[row.name] = Entry(*fields, paused=row.name in paused)
    return tuple(found[name] for name in sorted(found))
