"""The audit trail: written around every deed, read by whom it concerns. No value of config or password enters it."""

import logging
import re
from collections.abc import Mapping

from django.db.models import QuerySet

from controller.models import App, AuditEntry, AuditOutcome, User

log = logging.getLogger("controller.audit")

TOLD = frozenset(
    "id username owner name team role manager version image sha stack git_ref domain maintenance routable "
    "https_enforced whitelist addresses procfile_type path_pattern type count on scopes app days events "
    "email source source_key secrets receive_repo group template".split()
)  # fields whose values are no secrets; of any other only the name is kept
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
NEVER_TOLD = frozenset("code password new_password secret token".split())  # not even as numbers
LONGEST = 200  # characters of a value


def begin(*, actor: str, via: str, address: str, action: str, app: str = "", detail: dict | None = None) -> AuditEntry:
    """The entry of a deed about to be done."""
    fields = {"actor": actor[:150], "via": via[:120], "address": address[:64], "action": action[:300], "app": app[:63]}
    entry = AuditEntry.objects.create(**fields, detail=detail or {})
    log.info("audit", extra={**fields, "entry": entry.pk, "detail": entry.detail})
    return entry


def end(entry: AuditEntry, status: int) -> None:
    AuditOutcome.objects.create(entry=entry, status=status)


def note(*, status: int = 200, **fields) -> None:
    """An entry of what is already decided, such as a refused login."""
    end(begin(**fields), status)


def summarize(body: object) -> dict:
    """What a request sent: values where they are harmless, names of keys where they aren't."""
    if not isinstance(body, Mapping):
        return {}
    return {plain(name)[:63]: summary_of(str(name), value) for name, value in body.items() if name != SKIPPED}


SKIPPED = "csrfmiddlewaretoken"
HIDDEN = "…"


def summary_of(name: str, value: object) -> object:
    if name == "key" and VARIABLE.fullmatch(str(value)):
        return str(value)  # a form's variable; a certificate's private key is none
    if isinstance(value, Mapping):
        return sorted(plain(key)[:100] for key in value)
    if isinstance(value, int) and name not in NEVER_TOLD:
        return value
    if name not in TOLD:
        return HIDDEN
    if isinstance(value, list):
        return [plain(item)[:LONGEST] for item in value[:50]]
    return plain(value)[:LONGEST]


def plain(value: object) -> str:
    """`value` as a text that every database can keep: PostgreSQL has no NUL."""
    return str(value).replace("\0", "\ufffd")


def entries_for(user: User) -> QuerySet[AuditEntry]:
    """Everything for an administrator, their own deeds for anybody else."""
    rows = AuditEntry.objects.select_related("outcome")
    return rows if user.is_superuser else rows.filter(actor=user.username)


def entries_of(app: App) -> QuerySet[AuditEntry]:
    """What was done to `app`; nothing of an app that had its name before."""
    return AuditEntry.objects.select_related("outcome").filter(app=app.name, time__gte=app.created)
