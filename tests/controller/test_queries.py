"""No list asks the database more when it grows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from controller.models import App, Domain, Event, Key, OutputLine, Pipeline, PipelineApp, Release, User


def fill(count):
    """`count` more of everything that lists show, in bob's app blue."""
    bob, app = User.objects.get(username="bob"), App.objects.get(name="blue")
    release, highest = app.current_release(), app.releases.count()
    for number in range(count):
        stamp = f"{highest}-{number}"
        other = User.objects.create(username=f"user-{stamp}")
        App.objects.create(name=f"app-{stamp}", owner=other if number % 2 else bob)
        app.collaborators.create(user=other)
        Release.objects.create(
            app=app, owner=other, version=highest + 1 + number, config=release.config, build=release.build
        )
        app.builds.create(owner=other, image="x")
        Domain.objects.create(app=app, owner=other, domain=f"{stamp}.test", canonical=f"{stamp}.test")
        Key.objects.create(owner=bob, name=stamp, public=stamp, fingerprint=stamp)
        Event.objects.create(app=app, message=stamp)
        OutputLine.objects.create(release=release, text=stamp)
        Pipeline.objects.create(name=f"pipeline-{stamp}", owner=bob)
        place = App.objects.create(name=f"placed-{stamp}", owner=bob)
        PipelineApp.objects.create(pipeline=Pipeline.objects.get_or_create(name="shop", owner=bob)[0], app=place)


@pytest.mark.parametrize(
    "path",
    [
        "apps/",
        "users/",
        "admin/perms/",
        "keys/",
        "certs/",
        "apps/blue/releases/",
        "apps/blue/releases/?detail=true",
        "apps/blue/releases/v2/output/",
        "pipelines/",
        "pipelines/shop/",
        "apps/blue/builds/",
        "apps/blue/domains/",
        "apps/blue/perms/",
        "apps/blue/pods/",
        "apps/blue/logs",
    ],
)
def test_a_longer_list_costs_no_more_queries(live, admin, path):
    counts = []
    for more in (2, 10):
        fill(more)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin.get(f"/v2/{path}").status_code == 200
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 6


def test_the_builders_questions_cost_no_more_either(live, builder):
    counts = []
    for more in (2, 10):
        fill(more)
        with CaptureQueriesContext(connection) as captured:
            builder.get("/v2/hooks/keys/blue")
        counts.append(len(captured))
    assert counts[0] == counts[1]
