"""An app as Kubernetes objects: a pure function from the wish to a list of manifests.

Rendering the same wish twice gives the same bytes, so applying again changes nothing; only a new release or a
wished restart changes a pod template, and with it restarts processes. docs/architecture.md has the names.
"""

import base64
import json

from controller.cluster.processes import command_of, literal, port_of, probes_of, resources_of, routable_type, settle_of
from controller.cluster.rules import number_in
from controller.cluster.strategy import surge_of, timeout_of
from controller.cluster.wish import ReleaseWish, Wish
from controller.cron import KEPT, MISSED, POLICIES, Entry, type_of

DRAIN = 3  # seconds a routed pod keeps serving after it left the routers' lists; they follow within one
GRACE = 30  # seconds from TERM to KILL unless the app says otherwise
RUN_KEPT = 7 * 24 * 3600  # seconds a run of a cron entry that somebody asked for is remembered
COMMAND_KEPT = 600  # seconds an ended command's Job stays when nobody is left to remove it
MOST_GRACE = 999_999  # seconds, as a config's termination_grace_period has them
HISTORY = 3  # old ReplicaSets kept per process type
MOST_HISTORY = 1000
DEFAULT_REGISTRY = "docker.io"  # what an image without a registry in its name means

Manifest = dict


def render(wish: Wish) -> list[Manifest]:
    """Every object of the app, in the order to apply them."""
    return [*render_base(wish), *(render_release(wish) if wish.release else [])]


def render_base(wish: Wish) -> list[Manifest]:
    """What an app has from its creation on: a place, pull credentials, and a route."""
    return [
        render_namespace(wish),
        render_pull_secret(wish),
        *(render_certificate(wish, *certificate) for certificate in wish.certificates),
        render_route(wish),
        *(render_path_service(wish, kind) for kind, _ in wish.services),
    ]


def render_release(wish: Wish) -> list[Manifest]:
    """What a release adds: its environment and its processes."""
    return [
        render_environment(wish, wish.release),
        *(render_deployment(wish, kind, count) for kind, count in sorted(wish.structure.items())),
        *(render_cron(wish, entry) for entry in wish.cron),
        *(
            render_autoscaler(wish, kind, rule)
            for kind, rule in sorted(wish.autoscale.items())
            if kind in wish.structure and rule.keys() & {"cpu_percent", "memory_percent"}
        ),
    ]


def labels(wish: Wish, **more: str) -> dict[str, str]:
    return {"app": wish.app, "heritage": "deis", **more}


def render_namespace(wish: Wish) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": wish.app, "labels": labels(wish)},
    }


def _secret(wish: Wish, name: str, kind: str, data: dict[str, str], **more) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": wish.app, "labels": labels(wish)},
        "type": kind,
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in sorted(data.items())},
        **more,
    }


def render_pull_secret(wish: Wish) -> Manifest:
    """Credentials for the platform's registry, and for the app's own when it names one."""
    platform = wish.platform
    auths = {platform.registry_host: _auth(platform.registry_username, platform.registry_password)}
    own = wish.release.registry if wish.release else {}
    if own.get("username"):
        host = own.get("hostname") or registry_of(wish.release.image)
        auths[host] = _auth(own["username"], own.get("password", ""))
    document = json.dumps({"auths": auths}, sort_keys=True)
    return _secret(wish, "registry-pull", "kubernetes.io/dockerconfigjson", {".dockerconfigjson": document})


def _auth(username: str, password: str) -> dict[str, str]:
    joined = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"username": username, "password": password, "auth": joined}


def registry_of(image: str) -> str:
    """The registry an image reference names."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else DEFAULT_REGISTRY


def render_certificate(wish: Wish, name: str, certificate: str, key: str) -> Manifest:
    return _secret(wish, f"{name}-cert", "kubernetes.io/tls", {"tls.crt": certificate, "tls.key": key})


def render_route(wish: Wish) -> Manifest:
    """The Service that the routers read; it exists before any build, so that the app's name answers 503, not 404."""
    kind = routable_type(wish.structure)
    notes = {"router.deis.io/domains": ",".join(domain for domain, _ in wish.domains)}
    certificates = ",".join(f"{domain}:{name}" for domain, name in wish.domains if name)
    if certificates:
        notes["router.deis.io/certificates"] = certificates
    if wish.maintenance:
        notes["router.deis.io/maintenance"] = "true"
    if wish.whitelist:
        notes["router.deis.io/whitelist"] = ",".join(sorted(wish.whitelist))
    if wish.https_enforced:
        notes["router.deis.io/ssl.enforce"] = "true"
    if wish.services:
        paths = [
            {"pattern": pattern.strip(), "service": f"{wish.app}-{kind_}"}
            for kind_, patterns in wish.services
            for pattern in patterns.split(",")
        ]
        notes["router.deis.io/locations"] = json.dumps(paths)
    return _service(wish, wish.app, kind, notes, routable=wish.routable)


def render_path_service(wish: Wish, kind: str) -> Manifest:
    return _service(wish, f"{wish.app}-{kind}", kind, {}, routable=False)


def _service(wish: Wish, name: str, kind: str, notes: dict[str, str], *, routable: bool) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": wish.app,
            "labels": labels(wish, **{"router.deis.io/routable": "true" if routable else "false"}),
            "annotations": notes,
        },
        "spec": {
            "selector": {"app": wish.app, "type": kind},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": port_of(wish.release) or 5000}],
        },
    }


def environment(app: str, release: ReleaseWish) -> dict[str, str]:
    """The variables of every process of a release; the app's own win over the platform's."""
    platform = {
        "DEIS_APP": app,
        "WORKFLOW_RELEASE": f"v{release.version}",
        "WORKFLOW_RELEASE_SUMMARY": release.summary,
        "WORKFLOW_RELEASE_CREATED_AT": release.created,
    }
    if release.sha:
        platform["SOURCE_VERSION"] = release.sha
    if port := port_of(release):
        platform["PORT"] = str(port)
    return {**platform, **release.values}


def environment_name(app: str, version: int) -> str:
    return f"{app}-v{version}-env"


def render_environment(wish: Wish, release: ReleaseWish) -> Manifest:
    name = environment_name(wish.app, release.version)
    return _secret(wish, name, "Opaque", environment(wish.app, release), immutable=True)


def render_deployment(wish: Wish, kind: str, count: int, timeout: int = 120) -> Manifest:
    release = wish.release
    history = number_in(release.values.get("KUBERNETES_DEPLOYMENTS_REVISION_HISTORY_LIMIT", ""), MOST_HISTORY)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{wish.app}-{kind}",
            "namespace": wish.app,
            "labels": labels(wish, type=kind),
            "annotations": {"deis.io/release": f"v{release.version}"},
        },
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": {"app": wish.app, "type": kind}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge_of(wish), "maxUnavailable": wish.deploy.unavailable},
            },
            "minReadySeconds": settle_of(probes_of(release, kind, first_answer=wish.platform.first_answer)),
            "progressDeadlineSeconds": timeout_of(wish, timeout) + 10,
            "revisionHistoryLimit": HISTORY if history is None else history,
            "template": render_template(wish, kind),
        },
    }


def render_template(wish: Wish, kind: str) -> Manifest:
    """The pod template of a process type."""
    release = wish.release
    template = {
        "metadata": {"labels": labels(wish, type=kind, version=f"v{release.version}")},
        "spec": render_pod_spec(wish, kind, command_of(release, kind)),
    }
    if restarted := wish.restarts.get(kind):
        template["metadata"]["annotations"] = {"deis.io/restartedAt": restarted}
    container = template["spec"]["containers"][0]
    container |= probes_of(release, kind, first_answer=wish.platform.first_answer)
    if lifecycle := lifecycle_of(release, kind):
        container["lifecycle"] = lifecycle
    if kind in ("web", "cmd") and (port := port_of(release)):
        container["ports"] = [{"name": "http", "containerPort": port, "protocol": "TCP"}]
    return template


def render_pod_spec(wish: Wish, kind: str, command: dict[str, list[str]]) -> Manifest:
    """What every pod of a release has in common, one-off commands included."""
    release = wish.release
    security: Manifest = {"allowPrivilegeEscalation": False}
    if release.kind == "buildpack":
        security["capabilities"] = {"drop": ["ALL"]}
    container = {
        "name": f"{wish.app}-{kind}",
        "image": release.image,
        "imagePullPolicy": pull_policy(release),
        **command,
        "envFrom": [{"secretRef": {"name": environment_name(wish.app, release.version)}}],
        "resources": resources_of(release, kind),
        "securityContext": security,
    }
    if release.values.get("DEIS_EXPOSE_POD_IP", "").lower() in ("1", "true"):
        container["env"] = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": "registry-pull"}],
        "terminationGracePeriodSeconds": grace_of(release, kind),
        "containers": [container],
    }
    if release.tags:
        spec["nodeSelector"] = dict(release.tags)
    return spec


def pull_policy(release: ReleaseWish) -> str:
    wished = release.values.get("IMAGE_PULL_POLICY", "")
    return wished if wished in ("Always", "IfNotPresent", "Never") else "IfNotPresent"


def grace_of(release: ReleaseWish, kind: str) -> int:
    for wished in (
        release.termination_grace_period.get(kind, ""),
        release.values.get("KUBERNETES_POD_TERMINATION_GRACE_PERIOD_SECONDS", ""),
    ):
        if (seconds := number_in(str(wished), MOST_GRACE)) is not None:
            return seconds
    return GRACE


def lifecycle_of(release: ReleaseWish, kind: str) -> Manifest:
    """The app's own hooks; routed processes without one serve on for DRAIN seconds before TERM."""
    lifecycle: Manifest = {}
    if start := release.lifecycle_post_start.get(kind):
        lifecycle["postStart"] = {"exec": {"command": ["/bin/bash", "-c", start]}}
    if stop := release.lifecycle_pre_stop.get(kind):
        lifecycle["preStop"] = {"exec": {"command": ["/bin/bash", "-c", stop]}}
    elif kind in ("web", "cmd"):
        lifecycle["preStop"] = {"sleep": {"seconds": DRAIN}}
    return lifecycle


def render_autoscaler(wish: Wish, kind: str, rule: dict) -> Manifest:
    name = f"{wish.app}-{kind}"
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": wish.app, "labels": labels(wish, type=kind)},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": rule["min"],
            "maxReplicas": rule["max"],
            "metrics": [
                _use_of(name, rule[f"{name}_percent"]) for name in ("cpu", "memory") if f"{name}_percent" in rule
            ],
        },
    }


def _use_of(resource: str, percent: int) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def one_off_command(release: ReleaseWish, command: str) -> list[str]:
    """`command`, a shell line, as the words that run it in the release's image."""
    return [*(["/runner/init"] if release.kind == "buildpack" else ["/bin/bash", "-c"]), command]


def render_run(wish: Wish, name: str, command: str, deadline: int) -> Manifest:
    """The pod of a one-off command."""
    *init, line = one_off_command(wish.release, command)
    return _one_off(wish, name, {"command": init, "args": [literal(line)]}, deadline)


def render_session(wish: Wish, name: str, deadline: int) -> Manifest:
    """The pod of an interactive command, which is executed in it: output is then lost neither before the client is
    there nor to the log."""
    return _one_off(wish, name, {"command": ["sleep", str(deadline)]}, deadline)


def _one_off(wish: Wish, name: str, command: dict[str, list[str]], deadline: int) -> Manifest:
    spec = render_pod_spec(wish, "run", command)
    spec |= {"restartPolicy": "Never", "activeDeadlineSeconds": deadline}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": wish.app,
            "labels": labels(wish, type="run", version=f"v{wish.release.version}"),
        },
        "spec": spec,
    }


def render_cron(wish: Wish, entry: Entry) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": entry.name,
            "namespace": wish.app,
            "labels": labels(wish, type=type_of(entry.name)),
        },
        "spec": {
            "schedule": entry.schedule,
            "timeZone": entry.timezone,
            "concurrencyPolicy": POLICIES[entry.policy],
            "suspend": entry.paused,
            "startingDeadlineSeconds": MISSED,
            "successfulJobsHistoryLimit": KEPT,
            "failedJobsHistoryLimit": KEPT,
            "jobTemplate": _cron_job(wish, entry),
        },
    }


def render_cron_run(wish: Wish, entry: Entry, name: str) -> Manifest:
    """One run of an entry, at once."""
    job = _cron_job(wish, entry)
    job["spec"]["ttlSecondsAfterFinished"] = RUN_KEPT
    metadata = {**job["metadata"], "name": name, "namespace": wish.app}
    return {"apiVersion": "batch/v1", "kind": "Job", **job, "metadata": metadata}


def _cron_job(wish: Wish, entry: Entry) -> Manifest:
    *init, line = one_off_command(wish.release, entry.command)
    spec = render_pod_spec(wish, "cron", {"command": init, "args": [literal(line)]}) | {"restartPolicy": "Never"}
    marks = labels(wish, type=type_of(entry.name), version=f"v{wish.release.version}")
    return {
        "metadata": {"labels": marks},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": entry.deadline,
            "template": {"metadata": {"labels": marks}, "spec": spec},
        },
    }


def render_command(wish: Wish, kind: str, command: dict[str, list[str]], deadline: int) -> Manifest:
    """The Job of a command around a deploy, such as the release command: one try, `deadline` seconds."""
    release = wish.release
    spec = render_pod_spec(wish, kind, command) | {"restartPolicy": "Never"}
    marks = labels(wish, type=kind, version=f"v{release.version}")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": command_name(kind, release.version), "namespace": wish.app, "labels": marks},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "ttlSecondsAfterFinished": COMMAND_KEPT,
            "template": {"metadata": {"labels": marks}, "spec": spec},
        },
    }


def command_name(kind: str, version: int) -> str:
    """Without the app's name: with it, a long one wouldn't fit the label that Jobs put on their pods."""
    return f"{kind}-v{version}"
