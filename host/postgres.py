"""The controller's database when it is PostgreSQL's: into a dump and back, by PostgreSQL's own client programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host.errors import HostError

VARIABLES = {  # psql and its like take no password in their arguments, where every user of the machine could read it
    "host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
    "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY", "options": "PGOPTIONS", "connect_timeout": "PGCONNECT_TIMEOUT",
}  # fmt: skip
INSTALLED = Path("/usr/lib/postgresql")  # where Debian keeps one folder a version
CONNECT_TIMEOUT = 10  # seconds


def url_of(environ: Mapping[str, str]) -> str:
    """The operator's PostgreSQL; empty when the database is SQLite's."""
    url = environ.get("PAAS_DATABASE_URL", "")
    return url if url.startswith(("postgres://", "postgresql://")) else ""


def server_version(url: str) -> int:
    """The server's major version. Raises: HostError when it can't be reached."""
    with connected(url) as connection:
        return int(connection.info.server_version) // 10000


def dump(url: str, target: Path) -> int:
    """Write the whole database as it is at one moment; the server's major version. Raises: HostError."""
    version = server_version(url)
    run(url, [program("pg_dump", version), "-Fc", "--no-owner", "--no-privileges", "-f", str(target)], "backed up")
    return version


def load(url: str, source: Path, made_by: int) -> None:
    """Fill an empty database from a dump, wholly or not at all. Raises: HostError."""
    version = server_version(url)
    if made_by > version:
        raise HostError(
            f"The backup is of PostgreSQL {made_by}, and the server of PAAS_DATABASE_URL is {version}: restore into "
            f"version {made_by} or later."
        )
    refuse_a_full_one(url)
    command = [program("pg_restore", made_by), "--no-owner", "--no-privileges", "--exit-on-error"]
    run(url, [*command, "--single-transaction", "-d", database_of(url), str(source)], "restored")


def refuse_a_full_one(url: str) -> None:
    """Raises: HostError."""
    asked = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    with connected(url) as connection:
        (tables,) = connection.execute(asked).fetchone()
    if tables:
        raise HostError(
            f"The database of PAAS_DATABASE_URL has {tables} tables already: name an empty one (`createdb NAME`), so "
            "that nothing is written over."
        )


def rename_images(url: str, old: str, new: str) -> None:
    """Images named `old/…` are `new/…` from now on. Raises: HostError."""
    from psycopg import sql

    asked = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE column_name = 'image' AND table_schema = "
        "current_schema() AND data_type IN ('text', 'character varying')"
    )
    with connected(url) as connection:
        for table, column in connection.execute(asked).fetchall():
            change = sql.SQL("UPDATE {table} SET {column} = replace({column}, %s, %s) WHERE {column} LIKE %s")
            named = change.format(table=sql.Identifier(table), column=sql.Identifier(column))
            connection.execute(named, (f"{old}/", f"{new}/", f"%{old}/%"))


def connected(url: str) -> Any:
    """A psycopg connection; as a context it commits and closes. Raises: HostError."""
    import psycopg

    try:
        return psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT)
    except psycopg.Error as exc:
        said = " ".join(str(exc).split())
        raise HostError(f"The database of PAAS_DATABASE_URL can't be reached ({said}); start it, then again.") from exc


def program(name: str, least: int) -> str:
    """The newest `name` of this machine. Raises: HostError when there is none of version `least` or later."""
    found = [shutil.which(name), *map(str, INSTALLED.glob(f"*/bin/{name}"))]
    versions = {version_of(path): path for path in found if path}
    if not versions:
        raise HostError(
            f"`{name}` is missing: install PostgreSQL's client programs, version {least} or later "
            f"(`apt-get install postgresql-client`), then again."
        )
    newest = max(versions)
    if newest < least:
        raise HostError(
            f"`{name}` here is of version {newest}, and the database of {least}: an older program can't be trusted "
            f"with a newer database. Install the client programs of version {least} (`postgresql-client-{least}`)."
        )
    return versions[newest]


def version_of(path: str) -> int:
    """`pg_dump (PostgreSQL) 15.7` → 15; 0 when it doesn't say."""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"\b(\d+)(\.\d+|devel|beta\d+|rc\d+)", done.stdout)
    return int(found[1]) if found else 0


def run(url: str, command: list[str], what: str) -> None:
    """Raises: HostError with the program's own words."""
    done = subprocess.run(command, env={**os.environ, **environment(url)}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise HostError(f"The database was not {what}: {Path(command[0]).name} says: {said}")


def environment(url: str) -> dict[str, str]:
    """The connection as the client programs read it."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    return {VARIABLES[key]: str(value) for key, value in parts.items() if key in VARIABLES and value is not None}


def database_of(url: str) -> str:
    return environment(url).get("PGDATABASE", "")
