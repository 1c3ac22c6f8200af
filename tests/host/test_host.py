"""The pure parts of setting a machine up."""

from __future__ import annotations

import configparser
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from host import cgroups, health, init_system, programs, secret_files, settings, up
from host.errors import HostError
from host.settings import Platform
from host.supervisor import render


def platform(tmp_path: Path, **changes: object) -> Platform:
    return Platform(home=tmp_path, docker_host=f"unix://{tmp_path}/run/docker.sock", **changes)  # type: ignore[arg-type]


def test_an_interrupted_process_takes_what_it_started_with_it() -> None:
    script = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout
    child = Path("/proc", process.stdout.readline().decode().strip())
    up.end_group(process)
    assert process.poll() is not None
    health.wait_until(lambda: has_ended(child), 60, lambda: "what the process started outlives it")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_set_up_that_is_ended_ends_what_it_started(number: signal.Signals, code: int) -> None:
    script = """if True:
        import subprocess, sys
        from host import __main__ as host, up
        def build(platform, **options):
            child = subprocess.Popen(["sleep", "60"], start_new_session=True)
            try:
                print(child.pid, flush=True)
                child.wait()
            finally:
                up.end_group(child)
        up.run = lambda **options: build(None)
        host.os.geteuid = lambda: 0
        sys.exit(host.main(["up"]))
    """
    command = ["env", "--default-signal=INT", sys.executable, "-c", script]  # ignored in what a script has behind it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    child = Path("/proc", process.stdout.readline().decode().strip())
    process.send_signal(number)
    assert process.wait(60) == code
    assert b"Interrupted. What was done stays: `make up` goes on from here." in process.stderr.read()
    assert has_ended(child)


def has_ended(process: Path) -> bool:
    try:
        return "zombie" in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_ports_in_use_are_stepped_over(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert settings.next_free_port(port, set()) > port


def test_a_chosen_port_that_is_taken_is_refused_by_name(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(HostError, match="PAAS_HTTP_PORT"):
            settings.create(tmp_path, {"PAAS_HTTP_PORT": str(taken.getsockname()[1])})


def test_a_port_that_another_program_took_while_the_platform_was_down_is_refused_by_its_name(tmp_path: Path) -> None:
    platform = settings.create(tmp_path, {})
    up.refuse_taken_ports(platform)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections don't hold a port
        taken.bind(("127.0.0.1", platform.registry_port))
        taken.listen()
        with pytest.raises(
            HostError, match=rf"Port {platform.registry_port} .*\(registry\).* \(process {os.getpid()}\)"
        ):
            up.refuse_taken_ports(platform)


def test_a_port_that_is_no_number_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="PAAS_SSH_PORT=abc"):
        settings.create(tmp_path, {"PAAS_SSH_PORT": "abc"})


def test_what_was_decided_once_is_read_back(tmp_path: Path) -> None:
    made = platform(tmp_path, http_port=9999)
    made.save()
    assert settings.load(tmp_path) == made


def test_a_folder_without_a_platform_loads_as_none(tmp_path: Path) -> None:
    assert settings.load(tmp_path) is None


def test_a_damaged_platform_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text("{")
    with pytest.raises(HostError, match=r"platform\.json is damaged"):
        settings.load(tmp_path)


def test_a_home_whose_sockets_could_not_be_made_is_refused(tmp_path: Path) -> None:
    settings.refuse_long_home(Path("/srv/" + "p" * 59))
    with pytest.raises(HostError, match="PAAS_HOME=.*is too long a name, 65 bytes.*Choose a shorter one"):
        settings.refuse_long_home(Path("/srv/" + "p" * 60))


def test_two_homes_have_two_instance_names(tmp_path: Path) -> None:
    assert platform(tmp_path / "a").instance != platform(tmp_path / "b").instance


def test_the_engine_is_supervised_only_when_it_is_ours(tmp_path: Path) -> None:
    own = platform(tmp_path)
    names = [program.name for program in programs.plan_programs(own, {})]
    assert names[0] == "docker-engine"
    shared = Platform(home=tmp_path, docker_host="unix:///var/run/docker.sock")
    assert "docker-engine" not in [program.name for program in programs.plan_programs(shared, {})]


def test_only_the_builder_sees_how_packages_are_reached(tmp_path: Path) -> None:
    environ = {"PIP_INDEX_URL": "x", "SECRET": "y"}
    seen = {p.name for p in programs.plan_programs(platform(tmp_path), environ) if "PIP_INDEX_URL" in p.environment}
    assert seen == {"builder"}
    assert not any("SECRET" in p.environment for p in programs.plan_programs(platform(tmp_path), environ))


def test_the_supervisors_file_keeps_json_and_percent_signs(tmp_path: Path) -> None:
    planned = programs.plan_programs(platform(tmp_path), {"PIP_TIMEOUT": "50%"})
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(render(platform(tmp_path), planned, {"PATH": "/bin"}))
    assert set(parser.sections()) >= {f"program:{program.name}" for program in planned}
    assert "PIP_TIMEOUT='50%%'" in parser["program:builder"]["environment"]
    router = next(program for program in planned if program.name == "router-sync")
    assert json.loads(router.environment["ROUTER_STATIC"])["paas.localhost"].startswith("127.0.0.1:")
    assert f"ROUTER_STATIC='{router.environment['ROUTER_STATIC']}'" in parser["program:router-sync"]["environment"]


def test_a_value_the_supervisor_cannot_carry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="PIP_ODD"):
        render(platform(tmp_path), programs.plan_programs(platform(tmp_path), {"PIP_ODD": "'\""}), {})


def test_secrets_are_made_once_and_for_root_only(tmp_path: Path) -> None:
    secret_files.ensure(tmp_path / "secrets")
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    secret_files.ensure(tmp_path / "secrets")
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "secrets").iterdir())


CONTROLLERS = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t5\t1\nmemory\t4\t5\t1\nrdma\t0\t1\t1\n"


def test_mounted_control_groups_are_left_alone() -> None:
    assert cgroups.plan_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", CONTROLLERS) == []


def test_version_one_hierarchies_are_mounted_where_the_kernel_uses_them() -> None:
    mounted = [command[-1] for command in cgroups.plan_mounts("proc /proc proc rw 0 0\n", CONTROLLERS)]
    assert {"/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"} <= set(mounted) and "/sys/fs/cgroup/rdma" not in mounted


def test_the_unified_hierarchy_is_mounted_where_nothing_uses_version_one() -> None:
    unused = "cpu\t0\t5\t1\nmemory\t0\t5\t1\n"
    assert cgroups.plan_mounts("", unused) == [["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"]]


def test_systemd_starts_and_stops_but_leaves_supervision_to_the_supervisor(tmp_path: Path) -> None:
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(init_system.render_unit(platform(tmp_path), "/x/python"))
    service = parser["Service"]
    assert service["ExecStart"] == "/x/python -m host start" and service["ExecStop"] == "/x/python -m host down"
    assert (service["Type"], service["KillMode"]) == ("oneshot", "process")
    assert service["Environment"] == f"PAAS_HOME={tmp_path}"
