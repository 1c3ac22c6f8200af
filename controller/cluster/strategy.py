"""How many processes are replaced at a time, and how long that may take. Pure."""

from controller.cluster.rules import LONGEST_BATCH, MOST, Share, number_in, resolved
from controller.cluster.wish import Wish


def surge_of(wish: Wish) -> Share:
    """What may run beyond the wished number: the app's rule, DEIS_DEPLOY_BATCHES, else one process per node."""
    if wish.deploy.surge is not None:
        return wish.deploy.surge
    wished = wish.release.values.get("DEIS_DEPLOY_BATCHES", "") if wish.release else ""
    batches = number_in(wished, MOST)
    return max(wish.platform.nodes if batches is None else batches, 1)


def batch_of(wish: Wish, count: int) -> int:
    """How many of `count` processes move at a time; at least one, as Kubernetes sees to."""
    surge = resolved(surge_of(wish), count, up=True)
    return max(surge + resolved(wish.deploy.unavailable, count, up=False), 1)


def timeout_of(wish: Wish, default: int) -> int:
    """Seconds a batch of processes may take to come up, the app's own initial probe delays included."""
    delays = [
        probe.get("initialDelaySeconds", 0)
        for checks in wish.release.healthcheck.values()
        for probe in (checks or {}).values()
        if probe
    ]
    return _wished_timeout(wish, default) + max([0, *delays])


def _wished_timeout(wish: Wish, default: int) -> int:
    if wish.deploy.timeout is not None:
        return wish.deploy.timeout
    return number_in(wish.release.values.get("DEIS_DEPLOY_TIMEOUT", ""), LONGEST_BATCH) or default


def total_timeout(wish: Wish, default: int) -> float:
    """A batch's time for every batch of the process type that has the most of them."""
    return max(
        timeout_of(wish, default) * -(-count // batch_of(wish, count))
        for count in (*wish.structure.values(), 1)
        if count
    )
