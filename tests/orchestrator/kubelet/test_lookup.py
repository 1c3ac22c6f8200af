"""What pods refer to is asked for once by those that start together, and again by those that came later."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

from orchestrator.kubelet.lookup import Lookup

KEY = ("ConfigMap", "c")


class Asked:
    """An API that counts its questions and answers with their number."""

    def __init__(self) -> None:
        self.count = 0

    async def get(self, resource: Any, name: str, namespace: str) -> dict[str, Any]:
        self.count += 1
        answer = {"data": {"n": str(self.count)}}
        await asyncio.sleep(0.01)
        return answer


async def number(lookup: Lookup, since: float) -> str:
    found = await lookup.sources("default", [KEY], since=since)
    return str((found[KEY] or {})["data"]["n"])


async def test_pods_that_were_there_before_the_question_share_its_answer() -> None:
    api = Asked()
    lookup, seen = Lookup(api), time.monotonic()  # type: ignore[arg-type]
    assert await asyncio.gather(*(number(lookup, seen) for _ in range(5))) == ["1"] * 5
    assert await number(lookup, seen) == "1" and api.count == 1


async def test_a_pod_created_after_the_answer_sees_what_changed_before_it() -> None:
    lookup = Lookup(Asked())  # type: ignore[arg-type]
    assert await number(lookup, time.monotonic()) == "1"
    assert await number(lookup, time.monotonic()) == "2"


async def test_a_question_under_way_is_not_good_enough_for_a_later_pod() -> None:
    lookup = Lookup(Asked())  # type: ignore[arg-type]
    first = asyncio.create_task(number(lookup, time.monotonic()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await number(lookup, time.monotonic()) == "2"
    assert await first == "1"


class ServicesApi:
    """The API server's own Service in `default`, and one of the namespace `shop`."""

    async def get(self, resource: Any, name: str, namespace: str) -> dict[str, Any]:
        return service(name, namespace, "10.96.0.1")

    async def list(self, resource: Any, namespace: str) -> Any:
        return SimpleNamespace(items=[service("db", namespace, "10.96.0.2")])


def service(name: str, namespace: str, address: str) -> dict[str, Any]:
    spec = {"clusterIP": address, "ports": [{"port": 443}]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


async def test_a_pod_without_service_links_still_knows_the_api_server() -> None:
    lookup = Lookup(ServicesApi())  # type: ignore[arg-type]
    linked = await lookup.services("shop", since=0)
    assert (linked["KUBERNETES_SERVICE_HOST"], linked["DB_SERVICE_HOST"]) == ("10.96.0.1", "10.96.0.2")
    alone = await lookup.services("shop", since=0, links=False)
    assert alone["KUBERNETES_SERVICE_HOST"] == "10.96.0.1" and "DB_SERVICE_HOST" not in alone
