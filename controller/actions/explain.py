"""Why anything of an app isn't as its owner wishes: what the records, the cluster and the domains say."""

from collections import Counter

from django.utils import timezone

from controller.actions import operations
from controller.actions.domain_problems import problems_of_domains
from controller.actions.failure import good_before
from controller.actions.operations import UNCLAIMED_AFTER
from controller.cluster.client import Cluster, cluster
from controller.cluster.deploy import OURS, examine
from controller.cluster.diagnose import Finding, now
from controller.cluster.observe import is_process, of_release
from controller.cluster.problems import (
    ERROR,
    INFO,
    WARNING,
    Problem,
    has_endpoints,
    problems_of_autoscalers,
    problems_of_deployments,
    problems_of_pods,
)
from controller.cluster.processes import routable_type
from controller.errors import ClusterTrouble
from controller.models import App, Operation, Release, Watch

ORDER = (ERROR, WARNING, INFO)


def explain_app(app: App) -> tuple[str, list[Problem]]:
    """A summary in a few words, and every problem, the worst first."""
    current = app.current_release()
    problems = [*problems_of_releases(app, current), *problems_of_settings(app)]
    if current is not None and current.build is not None:
        problems += problems_of_formation(app)
        try:
            problems += problems_of_cluster(cluster(), app, current)
        except ClusterTrouble as exc:
            text = "the orchestrator doesn't answer: processes run on, but how they do can't be told"
            problems.append(Problem(WARNING, "orchestrator", text, (str(exc),), "try again shortly"))
    problems += problems_of_domains(app)
    problems.sort(key=lambda problem: ORDER.index(problem.level))
    return summarize(problems), problems


def summarize(problems: list[Problem]) -> str:
    counts = Counter(problem.level for problem in problems)
    wrong = counts[ERROR] + counts[WARNING]
    if not wrong:
        return "everything is as you wish"
    return f"{wrong} thing{'s' if wrong > 1 else ''} may not be as you wish"


def problems_of_releases(app: App, current: Release | None) -> list[Problem]:
    """A deploy under way, one that failed, none at all."""
    problems = []
    if operation := operations.unfinished(app):
        problems.append(of_operation(app, operation))
    if current is None or current.build is None:
        fix = "`git push deis master`, or `paas pull IMAGE`"
        problems.append(Problem(ERROR, "no_release", "nothing has been deployed yet", (), fix))
    newest = app.releases.order_by("-version").first()
    if newest is not None and newest.failed:
        serving = f"v{current.version} still serves" if current and current.build_id else "nothing serves"
        reason = (newest.exception or "").removeprefix("error: ").split(" | ")
        fix = f"`paas releases:output v{newest.version} -a {app.name}` says more"
        text = f"v{newest.version} failed, {serving}: {reason[0]}"
        problems.append(Problem(WARNING, "release_failed", text, tuple(reason[1:][-5:]), fix))
    watch = Watch.objects.filter(release=current, state=Watch.FAILED).first() if current else None
    if watch is not None:
        text = f"v{current.version} is live but failed while it was watched"
        way_back = f"`paas rollback -a {app.name}` goes back to the release before"
        fix = way_back if good_before(current) else f"`paas logs -a {app.name}` says more; correct it and push"
        problems.append(Problem(ERROR, "release_failing", text, (watch.reason,), fix))
    if app.unsynced:
        text = "the cluster hasn't heard of the last change yet; it is told again every 15 s"
        problems.append(Problem(WARNING, "unsynced", text))
    return problems


def of_operation(app: App, operation: Operation) -> Problem:
    """What is under way, and whether anybody works on it."""
    what = f"v{operation.release.version} is being deployed"
    if operation.kind != Operation.DEPLOY:
        what = "the formation is being changed" if operation.kind == Operation.SCALE else "an older release takes over"
    by = f" by {operation.by.username}" if operation.by else ""
    text = f"{what}{by}, since {operation.created:%H:%M:%S} UTC"
    silent = (timezone.now() - operation.heartbeat).total_seconds()
    evidence = (operation.said,) if operation.said else ()
    if silent > UNCLAIMED_AFTER:
        fix = "ask the operator whether controller-worker runs (`make status`)"
        return Problem(ERROR, "no_worker", f"{text}, but no worker has touched it for {silent:.0f} s", evidence, fix)
    return Problem(INFO, "in_progress", text, evidence, f"`paas deploys:cancel -a {app.name}` stops it")


def problems_of_settings(app: App) -> list[Problem]:
    problems, own = [], app.settings
    if own.maintenance:
        text = "maintenance is on: visitors get the 503 page"
        problems.append(Problem(WARNING, "maintenance", text, (), f"`paas maintenance:off -a {app.name}`"))
    if not own.routable:
        text = "routing is disabled: the app gets no traffic"
        problems.append(Problem(WARNING, "not_routable", text, (), f"`paas routing:enable -a {app.name}`"))
    if own.whitelist:
        text = f"only {len(own.whitelist)} address{'es' if len(own.whitelist) > 1 else ''} may reach the app"
        fix = f"`paas whitelist:remove {','.join(own.whitelist)} -a {app.name}` lets everybody in again"
        problems.append(Problem(INFO, "whitelist", text, tuple(own.whitelist[:10]), fix))
    return problems


def problems_of_formation(app: App) -> list[Problem]:
    structure = app.structure
    if not any(structure.values()):
        text, fix = "every process type is scaled to 0: nothing runs", f"`paas scale web=1 -a {app.name}`"
        return [Problem(ERROR, "scaled_to_zero", text, (), fix)]
    kind = routable_type(structure)
    if kind in structure and not structure[kind] and app.settings.routable:
        text = f"{kind} is scaled to 0: visitors get 503"
        return [Problem(WARNING, "no_web", text, (), f"`paas scale {kind}=1 -a {app.name}`")]
    return []


def problems_of_cluster(api: Cluster, app: App, current: Release) -> list[Problem]:
    """What processes, Deployments and routes say. Raises: ClusterTrouble."""
    pods = [pod for pod in of_release(api.list("Pod", app.name, OURS)[0], current.version) if is_process(pod)]
    back = good_before(current) is not None

    def in_words(finding: Finding) -> tuple[str, list[str]]:
        return examine(api, app.name, finding, pods)

    problems = problems_of_pods(app.name, pods, in_words, now(), back)
    deployments = api.list("Deployment", app.name, OURS)[0]
    problems += problems_of_deployments(app.name, deployments, operations.unfinished(app) is not None)
    scalers = api.list("HorizontalPodAutoscaler", app.name, OURS)[0]
    problems += problems_of_autoscalers(app.name, scalers, app.settings.autoscale)
    kind = routable_type(app.structure)
    if app.structure.get(kind) and app.settings.routable:
        slices, _ = api.list("EndpointSlice", app.name, f"kubernetes.io/service-name={app.name}")
        if not has_endpoints(slices):
            text = f"no {kind} process is ready to take requests: visitors get 503"
            problems.append(Problem(ERROR, "no_endpoints", text, (), f"`paas ps -a {app.name}` shows their states"))
    return problems
