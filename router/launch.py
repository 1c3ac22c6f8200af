"""Starts nginx so that neither the supervisor's death nor that of nginx's master stops traffic.

Three cases, told apart by what runs:
- a master of this ROUTER_DATA lives (its supervisor died): nothing is started; the launcher watches it;
- a master died and left workers, which still serve: a new nginx starts beside them (`reuseport` lets it bind), then the
  old workers close each connection after its next answer, and end;
- nothing runs: nginx starts.
"""

from __future__ import annotations

import datetime
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from router.errors import RouterError
from router.proxy import ProxyUnreachable, call
from router.render import SOURCE, Host, parse_version, render_config, write_private
from router.settings import Settings

log = logging.getLogger("router.launch")

MODULES = (Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules"), Path("/usr/lib64/nginx/modules"))
START_TIMEOUT = 15.0  # seconds for nginx to answer
MIGRATE = Path("/proc/sys/net/ipv4/tcp_migrate_req")  # Linux 5.14 and later
QUIT_TIMEOUT = 2.0  # seconds for old workers to close their listeners
DRAIN_TIMEOUT = 10.0  # seconds for old workers' connections to make their next request


class CannotStart(RouterError):
    pass


def look_at_host() -> Host:
    """Raises: CannotStart, which says what to install."""
    try:
        shown = subprocess.run(["nginx", "-v"], capture_output=True, text=True, timeout=10, check=True).stderr
    except (OSError, subprocess.SubprocessError) as exc:
        raise CannotStart(f"nginx cannot be run ({exc}); install the package nginx") from exc
    modules = next((path for path in MODULES if (path / "ngx_http_lua_module.so").exists()), None)
    if modules is None:
        raise CannotStart("nginx's Lua module is not installed; install libnginx-mod-http-lua and lua-cjson")
    return Host(parse_version(shown), modules, _has_ipv6(), os.geteuid() == 0, _open_files())


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _open_files() -> int:
    import resource  # only here: the other commands need not load it

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)


def prepare(settings: Settings, host: Host) -> bool:
    """Writes what nginx needs; whether its configuration changed."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    (settings.data / "temporary").mkdir(exist_ok=True)
    if settings.https_listen:
        ensure_default_certificate(settings)
    text = render_config(settings, host)
    changed = not settings.config_file.exists() or settings.config_file.read_text() != text
    if changed:
        write_private(settings.config_file, text)
    return changed


def ensure_default_certificate(settings: Settings) -> None:
    """For names without a certificate of their own; self-signed, so browsers warn, which is right."""
    certificate_file, key_file = settings.data / "default.crt", settings.data / "default.key"
    if certificate_file.exists() and key_file.exists():
        return
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, settings.platform_domain[:64])])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(settings.platform_domain), x509.DNSName(f"*.{settings.platform_domain}")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(key_file, private.decode())
    write_private(certificate_file, certificate.public_bytes(pem).decode())


def live_master(settings: Settings) -> int | None:
    """The pid of this folder's nginx master, if it lives (a pid alone may be somebody else's by now)."""
    try:
        pid = int(settings.pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"nginx: master" in command and str(settings.config_file).encode() in command else None


def socket_holders(path: Path) -> set[int]:
    """Processes with a socket that was bound to `path`, even if the file is gone or renamed since."""
    inodes = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[7] == str(path):
            inodes.add(f"socket:[{fields[6]}]")
    holders = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and inodes:
            try:
                links = {os.readlink(entry) for entry in (process / "fd").iterdir()}
            except OSError:
                continue
            if links & inodes:
                holders.add(int(process.name))
    return holders


def refresh(settings: Settings) -> int | None:
    """The pid of the nginx that runs, if any; it takes up what changed of settings, Lua or pages since it started."""
    changed = prepare(settings, look_at_host())
    pid = live_master(settings)
    if pid and changed:
        log.info("nginx %d takes a new configuration", pid)
        os.kill(pid, signal.SIGHUP)
    return pid


def run_proxy(settings: Settings) -> None:
    """Becomes the launcher (proxy_run.sh), which stays in the foreground as long as nginx runs."""
    arguments = [str(settings.data), sys.executable, str(SOURCE.parent)]
    if pid := refresh(settings):
        arguments.append(str(pid))
    elif settings.admin_socket.exists():
        settings.admin_socket.rename(old_socket(settings))  # old workers still listen on it, under its new name
    os.execv("/bin/sh", ["/bin/sh", str(SOURCE / "proxy_run.sh"), *arguments])


def old_socket(settings: Settings) -> Path:
    return settings.data / "admin.old.sock"


def settle(settings: Settings) -> None:
    """After a start: once the new nginx answers, workers that a dead master left finish and end.

    Raises: CannotStart.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(settings.admin_socket):
        if time.monotonic() > deadline:
            raise CannotStart(f"nginx did not answer within {START_TIMEOUT:.0f} s; see {settings.data}/error.log")
        time.sleep(0.02)
    orphans = find_orphans(settings)
    if not orphans:
        old_socket(settings).unlink(missing_ok=True)
        return
    log.info("draining %d workers of an nginx whose master died", len(orphans))
    _drain(settings)
    with connections_moving():
        for pid in orphans:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + QUIT_TIMEOUT
        while any(map(_is_nginx, orphans)) and time.monotonic() < deadline:
            time.sleep(0.02)
    old_socket(settings).unlink(missing_ok=True)


@contextmanager
def connections_moving(switch: Path = MIGRATE) -> Iterator[None]:
    """While this lasts, connections that a closing listener has not accepted yet go to the others on its port; else
    the kernel resets them. Where there is no such switch, or no right to it, as in a pod, it stays as it is.
    """
    before = ""
    with suppress(OSError):
        before = switch.read_text()
        switch.write_text("1")
    try:
        yield
    finally:
        with suppress(OSError):
            if before:
                switch.write_text(before)


def find_orphans(settings: Settings) -> set[int]:
    """Workers whose master died: those that say so on the old socket, and whoever holds a socket of ours."""
    master = live_master(settings)
    found = socket_holders(settings.admin_socket) | _reported_workers(settings)
    return {pid for pid in found if pid != master and parent_of(pid) != master and _is_nginx(pid)}


def _reported_workers(settings: Settings) -> set[int]:
    """Without the right to look into other users' processes, as in a pod, this is the only way to know them."""
    try:
        status, answer = call(old_socket(settings), "GET", "/workers", timeout=2)
    except ProxyUnreachable:
        return set()
    pids = answer.get("pids") if status == 200 else None
    return {int(pid) for pid in pids} if isinstance(pids, list) else set()


def _is_nginx(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"nginx: ")
    except OSError:
        return False


def parent_of(pid: int) -> int:
    try:
        # The command's name may hold spaces and brackets; what follows its last bracket does not.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _answers(admin_socket: Path) -> bool:
    try:
        return call(admin_socket, "GET", "/version", timeout=1)[0] == 200
    except ProxyUnreachable:
        return False


def _drain(settings: Settings) -> None:
    deadline = time.monotonic() + DRAIN_TIMEOUT
    try:
        call(old_socket(settings), "PUT", "/drain", timeout=2)
        while time.monotonic() < deadline:
            if call(old_socket(settings), "GET", "/connections", timeout=2)[1].get("active", 0) <= 1:
                return
            time.sleep(0.1)
    except ProxyUnreachable as exc:
        log.warning("old workers are told to end without draining: %s", exc)
