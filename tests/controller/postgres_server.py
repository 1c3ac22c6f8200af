"""A PostgreSQL server for tests: over a fresh folder, on a free port, without fsync as only its SQL is tested."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path


def program(name):
    """A PostgreSQL program, from PATH or where Debian keeps it."""
    candidates = [
        shutil.which(name),
        *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True),
    ]
    return next(path for path in candidates if path)


def demoted():
    """Arguments to run as a user who isn't root, which PostgreSQL insists on."""
    if os.geteuid():
        return {}, os.geteuid(), os.getegid()
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}, user.pw_uid, user.pw_gid


@contextlib.contextmanager
def started():
    """The address of a server that ends with the block."""
    folder = Path("/tmp") / f"paas-postgres-{os.getpid()}"
    folder.mkdir(mode=0o700)
    arguments, uid, gid = demoted()
    os.chown(folder, uid, gid)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, server = folder / "data", None
    initdb = [program("initdb"), "-D", str(data), "-A", "trust", "-U", "paas", "-E", "UTF8", "--no-sync"]
    options = ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200"]
    options.append(f"unix_socket_directories={folder}")
    flags = [part for option in options for part in ("-c", option)]
    try:
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=60, **arguments)
        command = [program("postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", *flags]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, cwd=folder, **quiet, **arguments)
        wait_for(port, server)
        yield f"postgres://paas@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=60)
        shutil.rmtree(folder)


def wait_for(port, server):
    import psycopg

    deadline = time.monotonic() + 90
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="paas", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
