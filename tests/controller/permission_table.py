"""Every route of the API and who may use it. A route without a row here fails test_permissions.py.

`least` is the least role on the app that a request needs (`controller/models/roles.py`), or one of
OPEN (nobody needs to be known), SIGNED_IN, ADMIN, BUILDER (the builder's key), or a set of roles.
`denied` is what signed-in people without it get; nobody known gets 401.
"""

from dataclasses import dataclass
from typing import Any

from controller.models.roles import COLLABORATOR, DEVELOPER, OPERATOR, OWNER, VIEWER

OPEN, SIGNED_IN, ADMIN, BUILDER = "open", "signed in", "admin", "builder"
BUILD = {"image": "registry.test/x:1", "sha": "abc12345", "procfile": {"web": "x"}}
NOTHING = "00000000-0000-0000-0000-000000000000"
RECEIVED = {"receive_user": "owner", "receive_repo": "blue"}


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    least: str
    success: int = 200
    body: Any = None
    denied: int = 403

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def app(method: str, path: str, least: str, success: int = 200, body: Any = None) -> Row:
    return Row(method, f"apps/blue/{path}", least, success, body)


ACCOUNT = [
    Row("GET", "", SIGNED_IN),
    Row("GET", "info", OPEN),
    Row("GET", "schema", OPEN),
    Row("GET", "doctor", ADMIN),
    Row("GET", "docs", OPEN),
    Row("GET", "sizes", OPEN),
    Row("GET", "registry/token", OPEN, 400),
    Row("POST", "gc/", ADMIN),
    Row("POST", "auth/register/", OPEN, 400, {}),
    Row("POST", "auth/login/", OPEN, 400, {}),
    Row("POST", "auth/tokens/", SIGNED_IN),
    Row("POST", "auth/passwd/", SIGNED_IN, 400, {}),
    Row("GET", "auth/whoami/", SIGNED_IN),
    Row("DELETE", "auth/cancel/", ADMIN, 404, {"username": "nobody"}),
    Row("GET", "users/", ADMIN),
    Row("GET", "admin/perms/", ADMIN),
    Row("POST", "admin/perms/", ADMIN, 404, {"username": "nobody"}),
    Row("DELETE", "admin/perms/nobody", ADMIN, 404),
    Row("GET", "keys/", SIGNED_IN),
    Row("POST", "keys/", SIGNED_IN, 400, {}),
    Row("GET", "keys/nothing", SIGNED_IN, 404),
    Row("DELETE", "keys/nothing", SIGNED_IN, 404),
    Row("GET", "certs/", SIGNED_IN),
    Row("POST", "certs/", SIGNED_IN, 400, {}),
    Row("GET", "certs/nothing", SIGNED_IN, 404),
    Row("DELETE", "certs/nothing", SIGNED_IN, 404),
    Row("POST", "certs/nothing/domain/", SIGNED_IN, 404, {"domain": "blue"}),
    Row("DELETE", "certs/nothing/domain/blue", SIGNED_IN, 404),
    Row("POST", "auth/cli/", OPEN, 400, {}),
    Row("GET", "auth/totp/", SIGNED_IN),
    Row("POST", "auth/totp/", SIGNED_IN, 201),
    Row("DELETE", "auth/totp/", SIGNED_IN, 204),
    Row("DELETE", "auth/totp/?of=another", ADMIN, 404, {"username": "nobody"}),
    Row("POST", "auth/totp/confirm/", SIGNED_IN, 409, {"code": "000000"}),
    Row("GET", "invitations/", SIGNED_IN),
    Row("POST", "invitations/", SIGNED_IN, 400, {"days": 0}),
    Row("DELETE", "invitations/1", SIGNED_IN, 404),
    Row("POST", "invitations/accept/", OPEN, 400, {}),
    Row("GET", "tokens/", SIGNED_IN),
    Row("POST", "tokens/", SIGNED_IN, 400, {}),
    Row("GET", "tokens/nothing", SIGNED_IN, 404),
    Row("DELETE", "tokens/nothing", SIGNED_IN, 404),
    Row("GET", "notifications/", SIGNED_IN),
    Row("POST", "notifications/", SIGNED_IN, 400, {"events": ["nothing"]}),
    Row("DELETE", "notifications/", SIGNED_IN, 404),
    Row("POST", "notifications/address/", SIGNED_IN, 400, {"email": "nowhere"}),
    Row("POST", "notifications/test/", SIGNED_IN, 201),
    Row("GET", "notifications/deliveries/", SIGNED_IN),
    Row("GET", "audit/", SIGNED_IN),
    Row("GET", "config-groups/", SIGNED_IN),
    Row("POST", "config-groups/", SIGNED_IN, 400, {}),
    Row("GET", "config-groups/shared/", ADMIN, denied=404),
    Row("POST", "config-groups/shared/", ADMIN, 201, {"values": {"A": "1"}}, denied=404),
    Row("DELETE", "config-groups/shared/", ADMIN, 204, denied=404),
    Row("GET", "pipelines/", SIGNED_IN),
    Row("POST", "pipelines/", SIGNED_IN, 400, {}),
    Row("GET", "pipelines/nothing/", SIGNED_IN, 404),
    Row("DELETE", "pipelines/nothing/", SIGNED_IN, 404),
    Row("GET", "pipelines/nothing/diff/", SIGNED_IN, 404),
    Row("POST", "pipelines/nothing/apps/", SIGNED_IN, 404, {"app": "blue", "stage": "x"}),
    Row("DELETE", "pipelines/nothing/apps/blue/", SIGNED_IN, 404),
    Row("GET", "teams/", SIGNED_IN),
    Row("POST", "teams/", SIGNED_IN, 400, {}),
    Row("GET", "teams/painters/", ADMIN, denied=404),
    Row("DELETE", "teams/painters/", ADMIN, 204, denied=404),
    Row("POST", "teams/painters/members/", ADMIN, 201, {"username": "viewer"}, denied=404),
    Row("DELETE", "teams/painters/members/viewer", ADMIN, 404, denied=404),
]

APPS = [
    Row("GET", "apps/", SIGNED_IN),
    Row("POST", "apps/", SIGNED_IN, 400, {"id": "-"}),
    app("GET", "", VIEWER),
    app("POST", "", OWNER, 200, {"owner": "operator"}),
    app("DELETE", "", OWNER, 204),
    app("POST", "scale/", DEVELOPER, 204, {"worker": 1}),
    app("POST", "run/", COLLABORATOR, 200, {"command": "ls"}),
    app("GET", "run/attach", COLLABORATOR, 400),
    app("GET", "runs/", VIEWER),
    app("POST", "runs/", COLLABORATOR, 400, {}),
    app("GET", "runs/nothing", VIEWER, 404),
    app("DELETE", "runs/nothing", COLLABORATOR, 404),
    app("GET", "exec/", COLLABORATOR, 400),
    app("GET", "portforward/", COLLABORATOR, 400),
    app("GET", "logs/", VIEWER),
    app("GET", "logs/drains", VIEWER),
    app("POST", "logs/drains", COLLABORATOR, 400, {}),
    app("DELETE", "logs/drains/nothing", COLLABORATOR, 404),
    app("GET", "logs/retention", VIEWER),
    app("POST", "logs/retention", COLLABORATOR, 400, {"days": "x"}),
    app("GET", "config/", DEVELOPER),
    app("POST", "config/", DEVELOPER, 201, {"values": {"X": "1"}}),
    app("GET", "config-groups/", DEVELOPER),
    app("POST", "config-groups/", DEVELOPER, 404, {"group": "nothing"}),
    app("DELETE", "config-groups/nothing", DEVELOPER, 404),
    app("GET", "config-links/", DEVELOPER),
    app("POST", "config-links/", DEVELOPER, 422, {"key": "A", "source": "blue", "source_key": "B"}),
    app("DELETE", "config-links/NOTHING", DEVELOPER, 404),
    app("GET", "builds/", VIEWER),
    app("POST", "builds/", DEVELOPER, 201, BUILD),
    app("GET", f"builds/{NOTHING}", VIEWER, 404),
    app("GET", "build-runs/", VIEWER),
    app("POST", "build-runs/", DEVELOPER, 404),
    app("GET", "build-runs/9", VIEWER, 404),
    app("POST", "build-runs/9/cancel", DEVELOPER, 404),
    app("GET", "build-settings/", VIEWER),
    app("POST", "build-settings/", DEVELOPER, 400, {"nothing": 1}),
    app("GET", "git/", VIEWER, 404),
    app("POST", "git/", COLLABORATOR, 400, {}),
    app("DELETE", "git/", COLLABORATOR, 404),
    app("GET", "releases/", VIEWER),
    app("GET", "releases/v1/", VIEWER),
    app("GET", "releases/v1/output/", VIEWER),
    app("GET", "releases/v1/diff/v2/", DEVELOPER),
    app("POST", "releases/rollback/", DEVELOPER, 201, {"version": 2}),
    app("GET", "deploy/", VIEWER),
    app("POST", "deploy/", COLLABORATOR, 201, {"watch": 60}),
    app("POST", "deploy/cancel/", DEVELOPER, 409),
    app("GET", "explain/", VIEWER),
    app("POST", "promote/", VIEWER, 400, {"to": ["blue"]}),
    app("GET", "pods/", VIEWER),
    app("GET", "pods/web/", VIEWER),
    app("GET", "pods/web/blue-web-1/", VIEWER),
    app("POST", "pods/restart/", DEVELOPER),
    app("POST", "pods/web/restart/", DEVELOPER),
    app("POST", "pods/web/blue-web-1/restart/", DEVELOPER),
    app("GET", "domains/", VIEWER),
    app("POST", "domains/", COLLABORATOR, 201, {"domain": "x.example.test"}),
    app("DELETE", "domains/blue", OPERATOR, 204),
    app("GET", "settings/", VIEWER),
    app("POST", "settings/", COLLABORATOR, 201, {"maintenance": True}),
    app("GET", "whitelist/", VIEWER),
    app("POST", "whitelist/", COLLABORATOR, 201, {"addresses": ["1.2.3.4"]}),
    app("DELETE", "whitelist/", OPERATOR, 422, {"addresses": ["9.9.9.9"]}),
    app("GET", "tls/", VIEWER),
    app("POST", "tls/", COLLABORATOR, 201, {"https_enforced": True}),
    app("GET", "services/", VIEWER),
    app("POST", "services/", COLLABORATOR, 201, {"procfile_type": "worker", "path_pattern": "/api"}),
    app("DELETE", "services/", OPERATOR, 404, {"procfile_type": "web"}),
    app("GET", "perms/", VIEWER),
    app("POST", "perms/", OWNER, 201, {"username": "stranger"}),
    app("DELETE", "perms/somebody", OWNER, 404),
    app("GET", "webhooks/", COLLABORATOR),
    app("POST", "webhooks/", COLLABORATOR, 400, {}),
    app("GET", "webhooks/1", COLLABORATOR, 404),
    app("DELETE", "webhooks/1", COLLABORATOR, 404),
    app("POST", "webhooks/1/test", COLLABORATOR, 404),
    app("GET", "webhooks/1/deliveries", COLLABORATOR, 404),
    app("POST", "webhooks/1/deliveries/1/redeliver", COLLABORATOR, 404),
    app("GET", "audit/", COLLABORATOR),
    app("POST", "ps/stop", DEVELOPER),
    app("POST", "ps/start", DEVELOPER),
    app("GET", "ps/sizes", VIEWER),
    app("POST", "ps/sizes", DEVELOPER, 400, {"nothing": 1}),
    app("GET", "cron/", VIEWER),
    app("POST", "cron/", COLLABORATOR, 400, {}),
    app("GET", "cron/nothing", VIEWER, 404),
    app("DELETE", "cron/nothing", COLLABORATOR, 404),
    app("GET", "cron/nothing/history", VIEWER, 404),
    app("POST", "cron/nothing/run", COLLABORATOR, 404),
    app("GET", "access/", VIEWER),
    app("POST", "access/", OWNER, 201, {"username": "stranger", "role": "viewer"}),
    app("DELETE", "access/users/somebody", OWNER, 404),
    app("DELETE", "access/teams/nothing", OWNER, 404),
]

HOOKS = [
    Row("GET", "hooks/key/nothing", BUILDER, 404),
    Row("GET", "hooks/keys/blue", BUILDER),
    Row("GET", "hooks/keys/blue/owner", BUILDER, 404),
    Row("POST", "hooks/build/", BUILDER, 200, {**RECEIVED, **BUILD}),
    Row("POST", "hooks/config/", BUILDER, 200, RECEIVED),
    Row("GET", "hooks/logs", BUILDER),
    Row("GET", "hooks/push/blue", BUILDER, 401),
    Row("POST", "hooks/build-runs/", BUILDER, 201, {**RECEIVED, "source": "git-ssh"}),
    Row("POST", "hooks/build-runs/claim", BUILDER),
    Row("POST", "hooks/build-runs/abandoned", BUILDER),
    Row("POST", f"hooks/build-runs/{NOTHING}", BUILDER, 404, {"state": "failed"}),
    Row("POST", "hooks/webhook/nothing", BUILDER, 404),
    Row("POST", "hooks/registry", BUILDER, 200, {"events": []}),
]

ROWS = [*ACCOUNT, *APPS, *HOOKS]
