"""A cluster that isn't ours: which programs run, who they are there, and how apps move from one to another."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from host import backup, cluster, engine, restore, settings, up
from host.__main__ import main
from host.errors import HostError
from host.programs import plan_programs
from host.settings import Platform


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "theirs"
    path.write_text("apiVersion: v1\n")
    return path


@pytest.fixture
def platform(tmp_path: Path, kubeconfig: Path) -> Platform:
    return Platform(home=tmp_path / "home", domain="apps.test", http_port=80, kubeconfig=str(kubeconfig))


def test_our_orchestrator_stays_out_and_everyone_enters_the_named_cluster(platform):
    programs = {program.name: program.environment for program in plan_programs(platform, {})}
    assert not {"orchestrator-server", "orchestrator-agent"} & set(programs)
    entering = {name: env["KUBECONFIG"] for name, env in programs.items() if "KUBECONFIG" in env}
    assert set(entering.values()) == {platform.kubeconfig}
    assert {"controller", "controller-worker", "router-sync", "logger"} <= set(entering)


def test_builds_are_its_jobs_unless_the_operator_says_otherwise(platform):
    builder = {program.name: program.environment for program in plan_programs(platform, {})}["builder"]
    assert (builder["BUILDER_RUNTIME"], builder["BUILDER_KUBECONFIG"]) == ("kubernetes", platform.kubeconfig)
    chosen = {program.name: program.environment for program in plan_programs(platform, {"BUILDER_RUNTIME": "engine"})}
    assert chosen["builder"]["BUILDER_RUNTIME"] == "engine"
    own = replace(platform, kubeconfig="")
    assert "BUILDER_RUNTIME" not in {each.name: each.environment for each in plan_programs(own, {})}["builder"]


def test_its_nodes_pull_through_the_router_and_the_registry_stays_on_loopback(platform):
    programs = {program.name: program for program in plan_programs(platform, {})}
    for name in ("controller", "builder"):
        assert programs[name].environment["REGISTRY_HOST"] == "registry.apps.test"
    assert programs["registry"].environment["REGISTRY_LISTEN"] == "127.0.0.1:5000"
    assert programs["registry"].ready == "tcp://127.0.0.1:5000"
    assert '"registry.apps.test ^~ /v2/": "127.0.0.1:5000"' in programs["router-proxy"].environment["ROUTER_STATIC"]


def test_a_kubeconfig_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(HostError, match="PAAS_KUBECONFIG=/nowhere: there is no such file"):
        settings.create(tmp_path, {"PAAS_KUBECONFIG": "/nowhere"})


class Ended:
    """A process that is over."""

    def poll(self) -> int:
        return 0


@pytest.mark.parametrize("runtime", ["kubernetes", "engine"])
def test_the_stack_image_is_sent_where_only_nodes_run_it(platform, monkeypatch, runtime):
    started = []

    def start(command, *, env, **_):
        started.append((command, env))
        return Ended()

    monkeypatch.setattr(up.subprocess, "Popen", start)
    monkeypatch.setattr(up.health, "wait_all", lambda *_: None)
    monkeypatch.setenv("BUILDER_RUNTIME", runtime)
    (platform.home / "log").mkdir(parents=True)
    with up.stack_build(platform, []):
        ((command, environment),) = started
    assert ("--send" in command) == (runtime == "kubernetes")
    assert environment["REGISTRY_HOST"] == ("127.0.0.1:5000" if runtime == "kubernetes" else "registry.apps.test")


@pytest.fixture
def own(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform with an app on its own orchestrator, stopped; `manage.py` isn't really run."""
    own = replace(platform, kubeconfig="")
    (own.home / "controller").mkdir(parents=True)
    with sqlite3.connect(own.home / backup.DATABASE) as rows:
        rows.execute("CREATE TABLE controller_build (image TEXT)")
        rows.execute("INSERT INTO controller_build VALUES ('127.0.0.1:5000/blue@sha256:1')")
    own.save()
    monkeypatch.setattr(cluster, "module", lambda words, environment, **_: MANAGED.append((words[-1], environment)))
    MANAGED.clear()
    return own


MANAGED: list[tuple[str, dict[str, str]]] = []


def image_of(platform: Platform) -> str:
    with sqlite3.connect(platform.home / backup.DATABASE) as rows:
        return str(rows.execute("SELECT image FROM controller_build").fetchone()[0])


def test_apps_move_to_the_named_cluster_and_back(own, kubeconfig):
    there = cluster.move(own, {"PAAS_KUBECONFIG": str(kubeconfig)})
    assert settings.load(own.home) == there and there.kubeconfig == str(kubeconfig)
    assert image_of(own) == "registry.apps.test/blue@sha256:1"
    ((command, environment),) = MANAGED
    assert (command, environment["KUBECONFIG"]) == ("resync", str(kubeconfig))
    assert cluster.move(there, {}) == there  # it needn't be said again
    assert cluster.move(there, {"PAAS_KUBECONFIG": ""}) == own
    assert image_of(own) == "127.0.0.1:5000/blue@sha256:1" and len(MANAGED) == 2


def test_destroy_takes_images_along_from_before_a_move(platform):
    before, after = "127.0.0.1:5000/blue@sha256:1", "registry.apps.test/blue@sha256:1"
    assert engine.are_of(platform, [before]) and engine.are_of(platform, [before, after])
    assert not engine.are_of(platform, [before, "theirs:1"]) and not engine.are_of(platform, [])


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_restored_platform_tells_a_cluster_that_isnt_ours_what_it_was_backed_up_with(
    own, platform, monkeypatch, elsewhere
):
    restored = platform if elsewhere else own
    monkeypatch.setattr("host.restore.restore", lambda home, source: restored)
    monkeypatch.setattr("host.up.run", lambda **_: restored)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert main(["restore", "b.tar"]) == 0
    assert [command for command, _ in MANAGED] == (["resync"] if elsewhere else [])


def test_a_platform_that_runs_is_not_moved(own, kubeconfig, monkeypatch):
    monkeypatch.setattr(cluster.Supervisor, "pid", lambda _: 1)
    with pytest.raises(HostError, match="`make down`"):
        cluster.move(own, {"PAAS_KUBECONFIG": str(kubeconfig)})
    assert settings.load(own.home) == own and image_of(own).startswith("127.0.0.1:5000/") and not MANAGED


def test_its_backup_holds_no_store_of_ours(own, kubeconfig, tmp_path, monkeypatch):
    there = cluster.move(own, {"PAAS_KUBECONFIG": str(kubeconfig)})
    for folder in ("run", "secrets"):
        (there.home / folder).mkdir()
    backup.back_up(there, tmp_path / "b.tar")
    taken: set[int] = set()
    for name in settings.PORTS:
        taken.add(port := settings.next_free_port(22020, taken))
        monkeypatch.setenv(f"PAAS_{name.upper()}", str(port))
    monkeypatch.setattr(Platform, "node_name", "elsewhere")
    fresh = restore.restore(tmp_path / "fresh", tmp_path / "b.tar")
    assert fresh.kubeconfig == str(kubeconfig)
    assert image_of(fresh) == f"registry.apps.test:{fresh.http_port}/blue@sha256:1"
