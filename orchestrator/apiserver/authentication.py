"""Who is asking: a client certificate, a bearer token (static, ServiceAccount, bootstrap), or nobody.

Static tokens are lines `token,user,uid,"group1,group2"` of `ORCHESTRATOR_DATA/tokens.csv`, read at the start.
"""

from __future__ import annotations

import base64
import csv
import hmac
import logging
from pathlib import Path

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import ANONYMOUS, User
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.tokens import authenticate_token
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key
from orchestrator.objects.times import seconds_of

log = logging.getLogger(__name__)

_AUTHENTICATED = "system:authenticated"
_BOOTSTRAP_GROUP = "system:bootstrappers"


class Authenticator:
    def __init__(self, api: Api) -> None:
        self.api = api
        self._static = read_token_file(api.settings.data / "tokens.csv")

    def authenticate(self, exchange: Exchange) -> User:
        """Raises: Unauthorized for a token that is not good; without any credentials the user is anonymous."""
        header = exchange.header(b"authorization")
        if header:
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer":
                raise errors.Unauthorized("Unauthorized")
            if (user := self.by_token(token.strip())) is None:
                raise errors.Unauthorized("Unauthorized")
            return user
        certificate = exchange.scope["state"].get("certificate")
        if certificate is None:
            return ANONYMOUS
        name, groups = certificate
        return User(name, (*groups, _AUTHENTICATED))

    def by_token(self, token: str) -> User | None:
        if token.count(".") == 2:
            found = authenticate_token(self.api, token)
            return found[0] if found else None
        for known, user in self._static.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        return self._bootstrap_user(token)

    def _bootstrap_user(self, token: str) -> User | None:
        token_id, dot, secret = token.partition(".")
        if not dot:
            return None
        record = self.api.store.get(kinds.SECRETS.storage_key, Key("kube-system", f"bootstrap-token-{token_id}"))
        if record is None or record.obj.get("type") != "bootstrap.kubernetes.io/token":
            return None
        data = {key: base64.b64decode(value).decode() for key, value in (record.obj.get("data") or {}).items()}
        good = hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode())
        expiration = seconds_of(data.get("expiration", ""))
        if not good or not data.get("token-secret") or data.get("usage-bootstrap-authentication") != "true":
            return None
        if expiration is not None and expiration <= self.api.now():
            return None
        extra = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        return User(f"system:bootstrap:{token_id}", (_BOOTSTRAP_GROUP, *extra, _AUTHENTICATED))


def read_token_file(path: Path) -> dict[str, User]:
    if not path.exists():
        return {}
    users = {}
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if len(row) < 2 or not row[0]:
                log.warning("%s line %s is not token,user,uid,groups: it is left out", path, number)
                continue
            groups = [group.strip() for group in row[3].split(",") if group.strip()] if len(row) > 3 else []
            users[row[0]] = User(row[1], (*groups, _AUTHENTICATED), row[2] if len(row) > 2 else "")
    return users
