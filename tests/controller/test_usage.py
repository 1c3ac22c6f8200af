"""What apps answer and use, kept minute by minute."""

from datetime import UTC, datetime, timedelta

import pytest

from controller.actions import usage
from controller.models import App, Usage, User
from controller.router_metrics import Traffic

pytestmark = pytest.mark.django_db
START = datetime(2026, 5, 4, 10, 1, tzinfo=UTC)


class Measured:
    """A cluster that measures two pods of web, one worker and a one-off command; and a router that counts."""

    def __init__(self, monkeypatch):
        self.traffic, self.minute, self.pods = {}, 0, []
        monkeypatch.setattr(usage, "cluster", lambda: self)
        monkeypatch.setattr(usage, "read_traffic", lambda: self.traffic)
        monkeypatch.setattr(usage.timezone, "now", lambda: START + timedelta(minutes=self.minute, seconds=3))

    def list(self, kind, namespace, labels):
        assert (kind, namespace, labels) == ("PodMetrics", None, "heritage=deis")
        return self.pods, "1"

    def runs(self, app, kind, cpu, memory):
        containers = [{"name": "app", "usage": {"cpu": cpu, "memory": memory}}]
        self.pods.append({"metadata": {"namespace": app, "labels": {"type": kind}}, "containers": containers})

    def look(self, requests=0, errors=0, at=None):
        self.minute = self.minute + 1 if at is None else at
        buckets = {0.1: requests - errors, 0.5: requests, float("inf"): requests}
        self.traffic = {"shop": Traffic({"2xx": requests - errors, "5xx": errors}, buckets)}
        usage.measure()


@pytest.fixture
def measured(monkeypatch):
    owner = User.objects.create(username="bob")
    for name in ("shop", "idle"):
        App.objects.create(name=name, owner=owner)
    return Measured(monkeypatch)


def rows(minutes=1):
    found = Usage.objects.filter(minutes=minutes).order_by("time")
    return [(row.app.name, row.requests, row.errors, row.types) for row in found]


def test_a_minute_counts_what_came_since_the_last(measured):
    measured.runs("shop", "web", "250m", "64Mi")
    measured.runs("shop", "web", "500000000n", "65536Ki")
    measured.runs("shop", "worker", "1", "1Gi")
    measured.runs("shop", "run", "1", "1Gi")
    measured.look(100)
    measured.look(160, errors=12)
    used = {"web": [2, 0.75, 2**26], "worker": [1, 1.0, 2**30]}
    assert rows() == [("shop", 0, 0, used), ("shop", 60, 12, used)]
    newest = Usage.objects.latest("time")
    assert newest.time == START + timedelta(minutes=2)
    assert 0.1 < newest.latency < 0.5


def test_a_second_look_in_a_minute_changes_nothing(measured):
    measured.look(100)
    measured.look(160)
    measured.look(170, at=2)
    measured.look(180, at=3)
    assert [row[1] for row in rows()] == [60, 20]


def test_counters_that_began_anew_or_are_old_say_nothing(measured):
    measured.look(100)
    measured.look(3)
    measured.look(9)
    measured.look(90, at=30)
    assert [row[1] for row in rows()] == [6]


def test_a_cluster_that_does_not_measure_leaves_the_requests(measured, monkeypatch):
    def refuse(*args):
        raise usage.ClusterTrouble("no such resource")

    monkeypatch.setattr(measured, "list", refuse)
    measured.look(100)
    measured.look(101)
    assert rows() == [("shop", 1, 0, {})]


def test_ten_minutes_become_one_row_and_old_ones_go(measured):
    measured.runs("shop", "web", "100m", "1Mi")
    measured.look(0, at=0)
    for number in range(1, 10):
        measured.pods[0]["containers"][0]["usage"] = {"cpu": f"{number}00m", "memory": f"{number}Mi"}
        measured.look(number * 10)
    [(app, requests, errors, types)] = rows(minutes=10)
    assert (app, requests, errors, types["web"][0], types["web"][2]) == ("shop", 90, 0, 1, 9 * 2**20)
    assert types["web"][1] == pytest.approx(0.46)
    shop = App.objects.get(name="shop")
    assert [row.requests for row in usage.usage_of(shop, timedelta(days=1))] == [90]
    measured.minute += 200
    usage.forget_old_usage()
    assert (len(rows()), len(rows(minutes=10))) == (0, 1)
    measured.minute += 60 * 24 * 3
    usage.forget_old_usage()
    assert rows(minutes=10) == []
