"""No list that Deis doesn't have asks the database more when it grows either."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from controller.actions import audit
from controller.models import App, ConfigGroup, Delivery, Invitation, Notice, Team, User

MOST = 16  # of one listing; explain reads the records of everything


def fill(count):
    """`count` more of everything that these lists show, bob's or in his app blue."""
    bob, app = User.objects.get(username="bob"), App.objects.get(name="blue")
    begun = Team.objects.count()
    for number in range(begun, begun + count):
        other = User.objects.create(username=f"other-{number}")
        team = Team.objects.create(name=f"team-{number}")
        team.members.create(user=bob)
        team.members.create(user=other)
        app.teams.create(team=team, role="viewer")
        bob.tokens.create(name=f"t{number}", digest=f"d{number}", app=app)
        hook = app.webhooks.create(owner=other, url="https://hook.test/", secret="secret")
        notice = Notice.objects.create(app=app, event="deploy.succeeded", text="x")
        app.webhooks.order_by("pk").first().deliveries.create(notice=notice)
        bob.mail_subscriptions.create(app=App.objects.create(name=f"app-{number}", owner=bob), events=[])
        audit.note(actor="bob", via="test", address="", action=f"POST {hook.pk}", app="blue")
        app.build_runs.create(number=number + 100, by=other, source="image")
        notice = Notice.objects.create(app=app, event="ping", text="x")
        Delivery.objects.create(notice=notice, user=bob)
        app.log_drains.create(url=f"syslog://{number}.test:514", by=other)
        app.one_offs.create(name=f"blue-run-{number}", by=other, command="true", version=2, deadline=timezone.now())
        group = ConfigGroup.objects.create(name=f"group-{number}", owner=bob, team=team)
        group.attachments.create(app=app)
        app.config_links.create(key=f"K{number}", source_name="blue", source_key="X")
        made = {"email": "x@x.test", "team": team, "role": "viewer", "digest": f"i{number}"}
        Invitation.objects.create(by=bob, expires=timezone.now(), **made)


@pytest.mark.parametrize(
    "path",
    [
        "apps/blue/access/", "apps/blue/audit/", "apps/blue/build-runs/", "apps/blue/config-groups/",
        "apps/blue/config-links/", "apps/blue/cron/", "apps/blue/explain/", "apps/blue/logs/drains/",
        "apps/blue/ps/sizes/", "apps/blue/runs/", "apps/blue/services/", "apps/blue/webhooks/",
        "apps/blue/webhooks/{hook}/deliveries/", "audit/", "config-groups/", "config-groups/group-0/", "invitations/",
        "notifications/", "notifications/deliveries/", "teams/", "teams/team-0/", "tokens/",
    ],
)  # fmt: skip
def test_a_longer_list_costs_no_more_queries(live, path):
    counts = []
    for more in (2, 10):
        fill(more)
        first = App.objects.get(name="blue").webhooks.order_by("pk").first().pk
        with CaptureQueriesContext(connection) as captured:
            assert live.get(f"/v2/{path.format(hook=first)}").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1] <= MOST
