"""Whatever dies, clients go on being answered."""

import contextlib
import os
import signal
import threading

from router import launch
from router.launch import find_orphans, live_master
from router.proxy import call
from tests.router.harness import wait_for


def test_the_router_is_ready_once_it_was_given_routes(make_router):
    router = make_router()
    router.start()
    assert call(router.settings.admin_socket, "GET", "/ready", timeout=60)[0] == 503
    router.serve()
    assert call(router.settings.admin_socket, "GET", "/ready", timeout=60)[0] == 200


class Client(threading.Thread):
    """Asks again and again over one kept connection, connecting anew only when the server closed it properly."""

    def __init__(self, router):
        super().__init__(daemon=True)
        self.router, self.answers, self.failures, self.stopping = router, 0, [], threading.Event()

    def run(self):
        connection = self.router.connect()
        while not self.stopping.is_set():
            try:
                connection.request("GET", "/", headers={"Host": "hello.paas.localhost"})
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    self.failures.append(response.status)
                self.answers += 1
            except Exception as exc:
                self.failures.append(repr(exc))
                connection.close()
        connection.close()

    def stop(self):
        self.stopping.set()
        self.join(60)


@contextlib.contextmanager
def clients(router, count=8):
    running = [Client(router) for _ in range(count)]
    for client in running:
        client.start()
    yield running
    for client in running:
        client.stop()


def test_a_killed_master_fails_no_request_and_its_workers_end_once_replaced(make_router, backends, objects):
    router = make_router()
    router.start()
    router.serve([objects.service()], objects.pods(backends()))
    router.proxy.save_when_due()
    with clients(router) as running:
        wait_for(lambda: all(client.answers for client in running))
        workers = router.workers()
        os.kill(router.master, signal.SIGKILL)
        router.launcher.wait(60)
        before = [client.answers for client in running]
        wait_for(lambda: all(client.answers > count for client, count in zip(running, before, strict=True)))
        router.start()
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))
        before = [client.answers for client in running]
        wait_for(lambda: all(client.answers > count for client, count in zip(running, before, strict=True)))
    assert [client.failures for client in running] == [[]] * len(running)
    assert find_orphans(router.settings) == set()


def test_nginx_killed_whole_serves_its_last_routes_without_anybody(make_router, backends, objects):
    router = make_router()
    router.start()
    router.serve([objects.service()], objects.pods(backends()))
    router.proxy.save_when_due()
    doomed = [router.master, *router.workers()]
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    router.launcher.wait(60)
    router.start()
    assert router.ask()["by"] == "one"


def test_a_restarted_nginx_with_other_routes_gets_the_wanted_ones(make_router, backends, objects):
    router = make_router()
    router.start()
    served = objects.pods(backends())
    router.serve([objects.service()], served)
    router.proxy.save_when_due()
    router.serve([objects.service(domains="renamed")], served)
    for pid in (router.master, *router.workers()):
        os.kill(pid, signal.SIGKILL)
    router.launcher.wait(60)
    router.start()
    assert router.request("renamed")[0] == 404
    router.serve([objects.service(domains="renamed")], served)
    assert router.ask("renamed")["by"] == "one"


def test_a_new_launcher_watches_the_nginx_that_a_killed_one_left(make_router, backends, objects):
    router = make_router()
    router.start()
    router.serve([objects.service()], objects.pods(backends()))
    master = router.master
    router.launcher.kill()
    router.launcher.wait(60)
    assert live_master(router.settings) == master
    router.start()
    assert b"watching it" in router.launcher.stdout.readline()
    assert router.master == master
    assert router.ask()["by"] == "one"
    router.launcher.terminate()
    router.launcher.wait(60)
    assert live_master(router.settings) is None


def test_a_killed_worker_is_replaced(make_router, backends, objects):
    router = make_router()
    router.start()
    router.serve([objects.service()], objects.pods(backends()))
    victims = router.workers()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(router.workers() - victims) == 2)
    assert router.ask()["by"] == "one"


def test_workers_of_a_dead_master_are_found_without_looking_into_processes(make_router, monkeypatch):
    router = make_router()
    router.start()
    workers = router.workers()
    os.kill(router.master, signal.SIGKILL)
    router.launcher.wait(60)
    router.settings.admin_socket.rename(launch.old_socket(router.settings))
    monkeypatch.setattr(launch, "socket_holders", lambda path: set())
    assert find_orphans(router.settings) == workers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)


def test_a_running_nginx_takes_up_a_changed_configuration(make_router, backends, objects):
    router = make_router()
    router.start()
    router.serve([objects.service()], objects.pods(backends()))
    master, workers = router.master, router.workers()
    assert launch.refresh(router.settings) == master
    assert router.workers() == workers, "nothing changed"
    router.settings.config_file.write_text("# of an older version\n")
    assert launch.refresh(router.settings) == master
    wait_for(lambda: not router.workers() & workers and len(router.workers()) == 2)
    assert router.ask()["by"] == "one", "routes outlive a reload"


def test_connections_move_to_other_listeners_only_while_old_ones_close(tmp_path):
    switch = tmp_path / "tcp_migrate_req"
    switch.write_text("0\n")
    with launch.connections_moving(switch):
        assert switch.read_text() == "1"
    assert switch.read_text() == "0\n"
    with launch.connections_moving(tmp_path / "none"):
        assert not (tmp_path / "none").exists()
