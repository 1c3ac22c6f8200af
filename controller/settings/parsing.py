"""Connection strings as operators write them, in the form each library wants."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class BadSetting(ValueError):
    """A setting that can't work; the text names it and says what it may be."""


def database(url: str) -> dict:
    """Django's DATABASES entry for `sqlite:///absolute/path` or `postgres://user:password@host:port/name`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return sqlite(unquote(parts.path))
    if parts.scheme not in ("postgres", "postgresql"):
        raise BadSetting(f"DATABASE_URL begins with {parts.scheme!r}; it may be sqlite:///PATH or postgres://…")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or query.pop("port", "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": query,
    }


def sqlite(path: str) -> dict:
    """SQLite as a server's database: readers never wait (WAL), writers queue, an answer given is on disk."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",  # a transaction that will write queues at BEGIN, not at its first write
            "timeout": 20,  # seconds a writer waits for the writer before it
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-4000",
        },
    }


def redis_client_url(url: str) -> str:
    """`url` as redis-py reads it: sockets are `unix://PATH`."""
    return "unix" + url.removeprefix("redis+socket") if url.startswith("redis+socket://") else url


def redis_broker_url(url: str) -> str:
    """`url` as Celery reads it: sockets are `redis+socket://PATH`."""
    return "redis+socket" + url.removeprefix("unix") if url.startswith("unix://") else url


def whole_number(setting: str, text: str, default: int, *, least: int, most: int | None = None) -> int:
    """`text` as a number within bounds; `default` when it is empty."""
    try:
        number = int(text) if text else default
    except ValueError:
        number = least - 1
    if number < least or (most is not None and number > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise BadSetting(f"{setting}={text!r} is not a whole number, {bounds}")
    return number


def secret_line(path: str, setting: str) -> str:
    """The one line of the key file at `path`."""
    try:
        line = Path(path).read_text().strip()
    except OSError as exc:
        raise BadSetting(
            f"{setting} names {path!r}, which can't be read ({exc.strerror}); write one line there"
        ) from exc
    if len(line) < 16:
        raise BadSetting(f"{setting}: the key in {path!r} is shorter than 16 characters; write a random one")
    return line


def mail(url: str) -> dict:
    """Django's mail settings for `smtp://user:password@host:port?tls=starttls`; `tls` may be starttls, on or off.

    Raises: BadSetting.
    """
    if not url:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    parts = urlsplit(url)
    tls = parse_qs(parts.query).get("tls", ["on" if parts.scheme == "smtps" else "off"])[-1]
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or tls not in ("starttls", "on", "off"):
        raise BadSetting("SMTP_URL is to be smtp://USER:PASSWORD@HOST:PORT?tls=starttls, or tls=on, or tls=off")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or {"starttls": 587, "on": 465, "off": 25}[tls],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": tls == "starttls",
        "EMAIL_USE_SSL": tls == "on",
        "EMAIL_TIMEOUT": 20,
    }
