import threading

from router.errors import RouterError
from router.sync import Syncer
from tests.router.harness import pods, service


class Objects:
    synced = False

    def __init__(self):
        self.changed = threading.Event()
        self.held = {"services": [service()], "slices": pods(5000), "secrets": []}

    def objects(self, name):
        return self.held[name]


class Proxy:
    def __init__(self):
        self.tables, self.failing, self.saves = [], False, 0

    def sync(self, entries):
        if self.failing:
            raise RouterError("nginx does not answer")
        self.tables.append(entries)
        return 1

    def save_when_due(self):
        self.saves += 1


def make(router_settings):
    objects, proxy = Objects(), Proxy()
    return Syncer(router_settings, objects, proxy), objects, proxy


def test_nothing_is_pushed_before_every_resource_was_listed(tmp_path):
    syncer, objects, proxy = make(settings(tmp_path))
    syncer.rebuild()
    syncer.push()
    assert proxy.tables == []
    objects.synced = True
    syncer.rebuild()
    syncer.push()
    assert "host:hello.paas.localhost" in proxy.tables[0]


def test_an_nginx_that_does_not_answer_is_told_later_and_the_snapshot_is_kept(tmp_path, caplog):
    syncer, objects, proxy = make(settings(tmp_path))
    objects.synced, proxy.failing = True, True
    syncer.rebuild()
    for _ in range(3):
        syncer.push()
    assert caplog.text.count("does not answer") == 1 and proxy.saves == 3
    proxy.failing = False
    syncer.push()
    assert len(proxy.tables) == 1


def settings(tmp_path):
    from router.settings import load_settings

    return load_settings({"ROUTER_DATA": str(tmp_path)})
