"""No page asks the database more when what it lists grows."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from controller.actions import audit
from controller.builder_api import BuildOutput
from controller.models import App, Certificate, ConfigGroup, Domain, Invitation, Pipeline, PipelineApp, Team, User
from controller.models.notice import Notice

MOST = 24  # of one page, the session, the reader's rights and the head of the app's page among them
PAGES = (
    "teams/", "teams/team-0/", "invitations/", "config-groups/", "config-groups/group-0/", "pipelines/",
    "pipelines/line-0/", "activity/", "account/", "apps/shop/builds/", "apps/shop/config/",
    "apps/shop/webhooks/", "apps/shop/webhooks/{hook}/", "apps/shop/schedule/", "apps/shop/autoscale/",
    "apps/shop/logs/drains/", "apps/shop/access/", "apps/shop/activity/", "apps/shop/domains/",
    "", "keys/", "apps/shop/", "apps/shop/releases/", "apps/shop/schedule/of/job-0/", "certificates/",
    "certificates/certificate-0/", "apps/shop/settings/", "apps/shop/settings/limits/", "apps/shop/settings/health/",
    "apps/shop/settings/hooks/", "apps/shop/settings/deploys/", "apps/shop/settings/source/", "apps/shop/metrics/",
)  # fmt: skip


def fill(count):
    """`count` more of everything that the pages list."""
    admin, shop = User.objects.get(username="admin"), App.objects.get(name="shop")
    begun = Team.objects.count()
    for number in range(begun, begun + count):
        other = User.objects.create(username=f"other-{number}")
        team = Team.objects.create(name=f"team-{number}")
        Team.objects.get(name="team-0").members.create(user=other)
        shop.teams.create(team=team, role="viewer")
        shop.collaborators.create(user=other)
        app = App.objects.create(name=f"app-{number}", owner=other)
        app.teams.create(team=Team.objects.get(name="team-0"), role="viewer")
        group = ConfigGroup.objects.create(name=f"group-{number}", owner=other, team=team)
        group.attachments.create(app=shop)
        ConfigGroup.objects.get(name="group-0").attachments.get_or_create(app=app)
        shop.config_links.create(key=f"K{number}", source_name="gone", source_key="X")
        pipeline = Pipeline.objects.create(name=f"line-{number}", owner=other)
        PipelineApp.objects.create(pipeline=Pipeline.objects.get(name="line-0"), app=app, stage=pipeline.stages[0])
        shop.build_runs.create(number=number + 1, by=other, source="webhook", state="queued")
        shop.webhooks.create(owner=other, url="https://hooks.test/", secret="secret")
        notice = Notice.objects.create(app=shop, event="deploy.failed", text="x")
        shop.webhooks.order_by("pk").first().deliveries.create(notice=notice)
        shop.cron_entries.create(name=f"job-{number}", command="ls", schedule="@daily", by=other)
        moment = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=2 * number)
        shop.usage.create(time=moment, minutes=1, requests=number, types={f"kind-{number}": [1, 0.1, 2**20]})
        shop.events.create(message=f"autoscale scaled web to {number}")
        end = timezone.now()
        certificate = Certificate.objects.create(
            owner=admin, name=f"certificate-{number}", certificate="x", key="x", expires=end, starts=end
        )
        for place, chosen in (("own", certificate), ("first", Certificate.objects.get(name="certificate-0"))):
            name = f"{number}.{place}.test"
            Domain.objects.create(app=app, owner=other, domain=name, canonical=name, certificate=chosen)
        for of, name in ((shop, f"{number}.shop.test"), (app, f"{number}.bare.test")):
            Domain.objects.create(app=of, owner=other, domain=name, canonical=name)
        release = shop.current_release()
        shop.releases.create(
            owner=other, version=number + 10, config=release.config, build=release.build, cause=release.cause
        )
        shop.services.create(procfile_type=f"kind-{number}", path_pattern="/x")
        admin.keys.create(name=f"key-{number}", public=f"ssh-ed25519 {number}", fingerprint="")
        shop.log_drains.create(url=f"syslog://{number}.test:514", by=other)
        shop.settings.whitelist.append(f"192.0.2.{number}")
        shop.settings.label[f"label-{number}"] = "x"
        shop.settings.save()
        admin.tokens.create(name=f"t{number}", digest=f"d{number}", app=app)
        audit.note(actor="admin", via="test", address="", action="deed", app="shop")
        made = {"team": team, "role": "viewer", "app": app, "digest": f"i{number}", "accepted_by": other}
        Invitation.objects.create(by=admin, expires=timezone.now(), **made)


@pytest.mark.parametrize("path", PAGES)
def test_a_longer_list_costs_no_more_queries(admin, deployed, monkeypatch, path):
    monkeypatch.setattr("controller.dashboard.build_pages.output_of_build", lambda run, most=0: BuildOutput("x"))
    counts = []
    for more in (2, 8):
        fill(more)
        first = App.objects.get(name="shop").webhooks.order_by("pk").first().pk
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(f"/{path.format(hook=first)}").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1] <= MOST
