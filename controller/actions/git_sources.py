"""Connections to a git host: made with a deploy key and a webhook secret of their own, and ended."""

import re
import secrets
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from controller.actions import build_runs, operations
from controller.actions.events import record
from controller.errors import Invalid, NotFound
from controller.models import App, BuildRun, GitSource, User

SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/\s:][^\s:]*)")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}")


def connect(*, app: App, url: str, branch: str, by: User) -> GitSource:
    """The new connection; one that was there before ends, with its key and secret. Raises: Invalid."""
    url, branch = checked_url(url), checked_branch(branch)
    private, public = new_key(f"{app.name}@{settings.PLATFORM_DOMAIN}")
    with transaction.atomic():
        operations.lock(app)
        GitSource.objects.filter(app=app).delete()
        source = GitSource.objects.create(
            app=app, owner=by, url=url, branch=branch, secret=secrets.token_hex(24),
            private_key=private, public_key=public,
        )  # fmt: skip
        record(app, f"{by.username} connected {url}, branch {branch}")
    return source


def queue_build(*, app: App, ref: str, by: User) -> BuildRun:
    """The queued build of `ref` at the connected host; of its branch when `ref` is empty. The builder takes it up.

    Raises: NotFound, Invalid.
    """
    source = source_of(app)
    ref = ref.strip() or source.branch
    if not BRANCH.fullmatch(ref) or ".." in ref:
        raise Invalid(ref=f"{ref!r} is no branch, tag or commit.")
    return build_runs.begin(
        app=app, by=by, source="git-host", origin=source.url, ref=ref, state=BuildRun.QUEUED, wish={"ref": ref}
    )


def disconnect(*, app: App, by: User) -> None:
    """Raises: NotFound."""
    url = source_of(app).url
    GitSource.objects.filter(app=app).delete()
    record(app, f"{by.username} disconnected {url}")


def source_of(app: App) -> GitSource:
    """Raises: NotFound."""
    source = GitSource.objects.select_related("owner").filter(app=app).first()
    if source is None:
        raise NotFound(f"{app.name} is connected to no git host. Connect it: paas git:connect URL -a {app.name}")
    return source


def webhook_url(app: App) -> str:
    return f"{settings.PLATFORM_URL}/builder/hooks/{app.name}"


def checked_url(text: str) -> str:
    """An https, http or ssh URL without a password; `git@host:path` is written as ssh. Raises: Invalid."""
    url = text.strip()
    if found := SCP.fullmatch(url):
        url = f"ssh://{found['user']}@{found['host']}/{found['path']}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid(url=f"{text[:200]!r} is no URL.") from None
    if parts.scheme not in ("https", "http", "ssh") or not HOST.fullmatch(parts.hostname or ""):
        raise Invalid(url="Give an https:// or ssh:// URL, or git@host:path.")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise Invalid(url="Leave name and password out of the URL: a private repository is read with the deploy key.")
    if parts.username and not re.fullmatch(r"[A-Za-z0-9._][A-Za-z0-9._-]*", parts.username):
        raise Invalid(url="The user in the URL can't be read.")
    path_is_odd = not re.fullmatch(r"/[\w~.@+/%-]+", parts.path) or ".." in parts.path.split("/")
    if path_is_odd or parts.query or parts.fragment or len(url) > 1024 or port == 0:
        raise Invalid(url=f"{parts.path[:200]!r} is no path of a repository.")
    return url


def checked_branch(text: str) -> str:
    branch = text.strip().removeprefix("refs/heads/")
    odd = ".." in branch or "//" in branch or branch.endswith(("/", ".", ".lock"))
    if not BRANCH.fullmatch(branch) or odd:
        raise Invalid(branch=f"{text[:100]!r} is no branch name.")
    return branch


def new_key(comment: str) -> tuple[str, str]:
    """(private key in OpenSSH's form, public key as one line)."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"
