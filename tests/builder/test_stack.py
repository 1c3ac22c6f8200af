import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from builder.stack import bootstrap
from builder.stack.bootstrap import BootstrapFailed, Mirrors
from builder.stack.build import build_spec, render_apt, run_spec

DEB822 = "Types: deb\nURIs: http://deb.mirror.test/debian/\nSuites: bookworm\n\nURIs: http://sec.mirror.test/debian-security\n"


def test_a_debian_hosts_mirrors_are_used():
    assert bootstrap.find_mirrors([DEB822]) == Mirrors(
        "http://deb.mirror.test/debian", "http://sec.mirror.test/debian-security"
    )
    assert (
        bootstrap.find_mirrors(["deb [arch=amd64] http://a.test/debian bookworm main # x\n"]).main
        == "http://a.test/debian"
    )


def test_another_distributions_mirrors_are_not():
    assert bootstrap.find_mirrors(["deb http://archive.test/ubuntu noble main\n"]) == Mirrors()


def test_without_a_mirror_debootstrap_takes_its_own(tmp_path):
    assert bootstrap.debootstrap_command(Path("/t"), Mirrors(), tmp_path)[-1] == "/t"


def test_an_older_debootstrap_gets_the_script_it_has(tmp_path):
    command = bootstrap.debootstrap_command(Path("/t"), Mirrors("http://m.test/debian"), tmp_path)
    assert command[-2:] == ["http://m.test/debian", str(tmp_path / "sid")]
    (tmp_path / "trixie").touch()
    assert (
        bootstrap.debootstrap_command(Path("/t"), Mirrors("http://m.test/debian"), tmp_path)[-1]
        == "http://m.test/debian"
    )


def test_security_updates_come_from_beside_the_main_archive_unless_named():
    full, plain = bootstrap.render_sources(Mirrors(), "http://m.test/debian")
    assert "deb http://m.test/debian-security trixie-security main" in full and "security" not in plain
    full, _ = bootstrap.render_sources(
        Mirrors("http://a.test/debian", "http://s.test/debian-security"), "http://m.test/debian"
    )
    assert "deb http://s.test/debian-security trixie-security main" in full


def test_a_system_without_sources_is_an_error():
    with pytest.raises(BootstrapFailed):
        bootstrap.default_mirror("# nothing\n")


def test_apt_gets_the_hosts_proxy_and_the_mounted_certificates():
    conf = render_apt(
        'Acquire::http::Proxy "http://p:3128";\nAPT::Architecture "amd64";\nAcquire::https::CaInfo "/host/ca";\n'
    )
    assert 'Acquire::http::Proxy "http://p:3128";' in conf and "/mnt/ca.crt" in conf
    assert "Architecture" not in conf and "/host/ca" not in conf


def test_the_build_image_is_remade_when_the_run_image_is():
    assert build_spec().startswith(run_spec() + "-")


def test_an_interrupt_ends_it_even_when_what_started_it_ignores_them(tmp_path):
    path = tmp_path / "engine"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        engine.settimeout(60)
        command = [sys.executable, "-m", "builder", "stack", f"--docker-host=unix://{path}", f"--data={tmp_path}"]
        making = subprocess.Popen(["env", "--ignore-signal=INT", *command], stderr=subprocess.DEVNULL)
        try:
            engine.accept()[0].recv(1)  # it asks the engine, which never answers
            making.send_signal(signal.SIGINT)
            assert making.wait(60) != 0
        finally:
            making.kill()
