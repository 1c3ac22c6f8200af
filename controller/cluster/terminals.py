"""What to ask of a pod's exec and port-forward subresources. Pure but for finding the pod."""

from controller.cluster.client import Cluster
from controller.cluster.deploy import OURS
from controller.cluster.diagnose import Pod, is_ready
from controller.cluster.render import one_off_command
from controller.cluster.wish import ReleaseWish
from controller.errors import NotFound

Query = list[tuple[str, str]]


def exec_query(release: ReleaseWish, container: str, command: str, *, tty: bool) -> Query:
    """The query that executes the shell line `command` as the release's processes are run.

    With a terminal both output streams are one.
    """
    flags = [("stdin", "true"), ("stdout", "true"), *([("tty", "true")] if tty else [("stderr", "true")])]
    return [("container", container), *(("command", word) for word in one_off_command(release, command)), *flags]


def find_process(api: Cluster, app: str, wished: str, version: int) -> Pod:
    """The pod that `wished` means: a name with or without the app before it, `type-suffix`, or any ready one of a
    type, of release `version` when there is one.

    Raises: NotFound.
    """
    pods, _ = api.list("Pod", app, OURS)
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
    for pod in running:
        name, kind = pod["metadata"]["name"], pod["metadata"]["labels"].get("type", "")
        if wished in (name, name.removeprefix(f"{app}-"), f"{kind}-{name.rpartition('-')[2]}"):
            return pod
    of_type = [pod for pod in running if pod["metadata"]["labels"].get("type") == wished]
    if not of_type:
        raise NotFound(f"{app} has no running process {wished}; `paas ps` lists them")
    return max(of_type, key=lambda pod: (pod["metadata"]["labels"].get("version") == f"v{version}", is_ready(pod)))
