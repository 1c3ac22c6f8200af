"""Every page and form of the dashboard, and who may use it. A route without a row here fails test_permissions.py.

`least` is the least role on the app `blue` that it needs, SIGNED_IN, or OPEN. `denied` is what signed-in people
without it get; nobody known is sent to sign in. Rows stand in the order they are tried: what takes away comes last.
The team `painters` is managed by the owner and has the viewer as a member, the config group `shared` is theirs, and
the pipeline `line` is the owner's, with `green` (of which all but the stranger are viewers) before `blue`.
"""

from dataclasses import dataclass, field
from typing import Any

from controller.models.roles import COLLABORATOR, DEVELOPER, OPERATOR, OWNER, VIEWER

OPEN, SIGNED_IN = "open", "signed in"
MEMBER = "member"  # of the team: viewer and owner
OWNER_ALONE = "owner alone"  # not even an administrator


@dataclass(frozen=True)
class Row:
    method: str
    name: str
    least: str
    path: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] = field(default_factory=dict)
    success: tuple[int, ...] = (200,)
    denied: tuple[int, ...] = (403,)

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


def page(name: str, least: str, denied: int = 403, /, **path: Any) -> Row:
    return Row("GET", name, least, path, denied=(denied,))


def of_app(name: str, least: str = VIEWER, /, **path: Any) -> Row:
    return page(name, least, app="blue", **path)


def form(name: str, least: str, path: Any, success: tuple[int, ...] = (302,), /, **fields: Any) -> Row:
    return Row("POST", name, least, path, fields, success, (403, 404))


def app_form(name: str, least: str, success: tuple[int, ...] = (302,), more: Any = None, /, **fields: Any) -> Row:
    return form(name, least, {"app": "blue", **(more or {})}, success, **fields)


PAGES = [
    Row("GET", "login", OPEN, success=(200, 302)),
    Row("GET", "join", OPEN),
    *(page(name, SIGNED_IN) for name in (
        "apps", "apps-live", "account", "keys", "command-line", "teams", "invitations", "groups", "pipelines",
        "all-activity", "certificates",
    )),
    page("team", MEMBER, 404, team="painters"),
    page("group", MEMBER, 404, group="shared"),
    page("group-value", MEMBER, 404, group="shared", key="REGION"),
    page("pipeline", VIEWER, 404, pipeline="line"),
    *(of_app(name) for name in (
        "app", "metrics", "metrics-live", "head-live", "processes-live", "builds", "builds-live", "releases",
        "releases-live", "explain", "domains", "logs", "drains", "schedule", "autoscale", "access", "settings",
        "deploys", "source",
    )),
    *(of_app(name, DEVELOPER) for name in ("limits", "health", "hooks")),
    page("certificate", OWNER_ALONE, 404, certificate="www"),
    of_app("release", version=1),
    of_app("build", number=1),
    of_app("build-live", number=1),
    of_app("build-output", DEVELOPER, number=1),
    of_app("cron", name="nightly"),
    of_app("config", DEVELOPER),
    of_app("config-value", DEVELOPER, key="GREETING"),
    of_app("webhooks", COLLABORATOR),
    of_app("webhook", COLLABORATOR, number=1),
    of_app("activity", COLLABORATOR),
]  # fmt: skip

CERTIFICATE = {"certificate": "www"}
PROBE = {
    "type": "web/cmd", "probe": "readinessProbe", "action": "httpGet", "port": 5000, "initialDelaySeconds": 0,
    "timeoutSeconds": 1, "periodSeconds": 1, "successThreshold": 1, "failureThreshold": 1,
}  # fmt: skip
HOOK, CRON, LINE = {"number": 1}, {"name": "nightly"}, {"pipeline": "line"}
WRONG = (302, 400, 404, 409, 503)  # somebody who may, whatever became of it

FORMS = [
    app_form("scale", DEVELOPER, type="web", count=1),
    app_form("restart", DEVELOPER),
    app_form("rollback", DEVELOPER, version=2),
    app_form("cancel", DEVELOPER, WRONG),
    app_form("config-set", DEVELOPER, key="A", value="1"),
    app_form("config-unset", DEVELOPER, key="A"),
    app_form("attach", DEVELOPER, (400, 302), group="shared"),
    app_form("detach", DEVELOPER, (404, 302), group="shared"),
    app_form("link", DEVELOPER, (400,), key="B", source="green", source_key="X"),
    app_form("unlink", DEVELOPER, (404,), key="B"),
    app_form("build-cancel", DEVELOPER, WRONG, HOOK),
    form("promote", DEVELOPER, {"app": "green"}, version=2, to="blue"),
    app_form("domain-add", COLLABORATOR, domain="x.example.test"),
    app_form("maintenance", COLLABORATOR, on="true"),
    app_form("routing", COLLABORATOR, on="false"),
    app_form("https", COLLABORATOR, on="true"),
    app_form("addresses-add", COLLABORATOR, addresses="192.0.2.1"),
    app_form("path-add", COLLABORATOR, type="web", patterns="/api/.*"),
    app_form("label-set", COLLABORATOR, key="team", value="blue"),
    app_form("label-remove", COLLABORATOR, key="team"),
    app_form("rules-set", COLLABORATOR, watch=60),
    app_form("limits-set", DEVELOPER, (302,), {"kind": "web"}, memory="64M"),
    app_form("tag-set", DEVELOPER, key="disk", value="ssd"),
    app_form("tag-remove", DEVELOPER, key="disk"),
    app_form("health-set", DEVELOPER, **PROBE),
    app_form("health-remove", DEVELOPER, type="web/cmd", probe="readinessProbe"),
    app_form("hook-set", DEVELOPER, type="web", hook="lifecycle_pre_stop", command="true"),
    app_form("hook-remove", DEVELOPER, type="web", hook="lifecycle_pre_stop"),
    app_form("source-set", DEVELOPER, root="services/api"),
    app_form("registry-set", DEVELOPER, (400,), username="bob", password="x"),
    app_form("registry-remove", DEVELOPER, (400,)),
    app_form("connect", COLLABORATOR, (200,), url="https://git.example.test/blue.git"),
    app_form("deploy-ref", DEVELOPER, ref="main"),
    app_form("disconnect", COLLABORATOR),
    app_form("deploy-image", DEVELOPER, image="registry.example.test/blue:1"),
    form("certificate-attach", OWNER_ALONE, CERTIFICATE, (400,), domain="nobody.example.test"),
    form("certificate-detach", OWNER_ALONE, CERTIFICATE, (400,), domain="nobody.example.test"),
    app_form("drain-add", COLLABORATOR, url="syslog://logs.invalid:514"),
    app_form("drain-remove", COLLABORATOR, (404,), drain="nothing"),
    app_form("retention", COLLABORATOR, days=3),
    app_form("cron-add", COLLABORATOR, command="ls", schedule="@daily", policy="forbid"),
    app_form("cron-run", COLLABORATOR, (302,), CRON),
    app_form("cron-pause", COLLABORATOR, (302,), CRON, on="true"),
    app_form("autoscale-set", COLLABORATOR, type="web", min=1, max=3, by="cpu_percent", target=70),
    app_form("autoscale-remove", COLLABORATOR, type="web"),
    app_form("webhook-add", COLLABORATOR, (200,), url="https://hooks.test/x"),
    app_form("webhook-test", COLLABORATOR, (400,), HOOK),
    app_form("redeliver", COLLABORATOR, (302,), {**HOOK, "delivery": 1}),
    form("member-add", OWNER, {"team": "painters"}, username="extra"),
    form("member-remove", OWNER, {"team": "painters"}, username="extra"),
    form("group-set", MEMBER, {"group": "shared"}, key="Z", value="1"),
    form("group-unset", MEMBER, {"group": "shared"}, key="Z"),
    form("place-add", OWNER, LINE, app="blue", stage="production"),
    app_form("access-give", OWNER, username="extra", role="viewer"),
    app_form("access-take", OWNER, username="extra"),
    app_form("cron-remove", COLLABORATOR, (302,), CRON),
    app_form("webhook-remove", COLLABORATOR, (302,), HOOK),
    app_form("domain-remove", OPERATOR, domain="x.example.test"),
    app_form("addresses-remove", OPERATOR, addresses="192.0.2.1"),
    app_form("path-remove", OPERATOR, type="web"),
    form("certificate-remove", OWNER_ALONE, CERTIFICATE),
    app_form("transfer", OWNER, owner="owner"),
    form("place-remove", DEVELOPER, LINE, app="blue"),
    form("pipeline-destroy", OWNER, LINE),
    form("team-destroy", OWNER, {"team": "painters"}, confirm="painters"),
    form("group-destroy", OWNER, {"group": "shared"}),
    app_form("destroy", OWNER, confirm="blue"),
]

OWN = [  # forms that touch what is the sender's own
    form("team-create", SIGNED_IN, {}, WRONG, name="Bad Name"),
    form("group-create", SIGNED_IN, {}, WRONG, name="Bad Name"),
    form("pipeline-create", SIGNED_IN, {}, WRONG, name="Bad Name"),
    form("create", SIGNED_IN, {}, WRONG, name="Bad Name"),
    form("certificate-add", SIGNED_IN, {}, WRONG, name="Bad Name", certificate="x", key="x"),
    form("take-back", SIGNED_IN, {}, WRONG, number=99),
    form("key-add", SIGNED_IN, {}, WRONG),
    form("key-remove", SIGNED_IN, {}, WRONG),
    form("token-add", SIGNED_IN, {}, WRONG),
    form("token-revoke", SIGNED_IN, {}, WRONG),
    form("password", SIGNED_IN, {}, WRONG),
    form("factor-begin", SIGNED_IN, {}, (200, *WRONG)),
    form("factor-confirm", SIGNED_IN, {}, WRONG),
    form("factor-off", SIGNED_IN, {}, WRONG),
    form("mail", SIGNED_IN, {}, WRONG),
    form("session-end", SIGNED_IN, {}, WRONG, number=99),
    form("sessions-end", SIGNED_IN, {}, WRONG),
    form("mail-address", SIGNED_IN, {}, WRONG, email="nowhere"),
]
ELSEWHERE = {  # tested where their rules are: test_sign_on.py, test_people.py, test_pages.py, test_pipelines.py
    "sign-on", "sign-on-back", "sign-on-code", "logout", "logs-stream", "invite", "pipeline-diff",
}  # fmt: skip
