"""A candidate of the official client's leader election: `candidate.py KUBECONFIG NAMESPACE IDENTITY`. Says when it
leads, in ticks, until it is killed."""

from __future__ import annotations

import sys
import time

from kubernetes import config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock


def lead(identity: str) -> None:
    while True:
        print(f"{identity} leads", flush=True)
        time.sleep(0.1)


def main(kubeconfig: str, namespace: str, identity: str) -> None:
    config.load_kube_config(kubeconfig)
    settings = electionconfig.Config(
        LeaseLock("leader", namespace, identity), lease_duration=3, renew_deadline=2, retry_period=1,
        onstarted_leading=lambda: lead(identity), onstopped_leading=None,
    )  # fmt: skip
    leaderelection.LeaderElection(settings).run()


main(*sys.argv[1:])
