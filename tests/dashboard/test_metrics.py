"""An app's graphs."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from controller.dashboard import graphs
from controller.models import Usage
from tests.dashboard.conftest import text_of

END = datetime(2026, 5, 4, 11, 0, 30, tzinfo=UTC)
SPAN = graphs.Span(END, timedelta(hours=1), 1)


def row(minutes_ago, **figures):
    return Usage(time=SPAN.end - timedelta(minutes=minutes_ago), minutes=1, **figures)


def test_a_line_has_a_step_a_row_and_gaps_where_nothing_is_known():
    rows = [row(59), row(58), row(50), row(0)]
    assert graphs.step_path(rows, [5.0, 10.0, 0.0, None], SPAN, 10) == "M0.0 50.0H10.0L10.0 0.0H20.0M90.0 100.0H100.0"


def test_bars_stand_where_there_is_something():
    rows = [row(59), row(0)]
    assert graphs.bar_path(rows, [0.0, 4.0], SPAN, 5) == "M590.0 100V20.0H600.0V100Z"


@pytest.mark.parametrize(("most", "top"), [(0, 1), (0.03, 0.05), (1, 1), (7, 10), (11, 20), (999, 1000)])
def test_the_scale_ends_at_a_round_number(most, top):
    assert graphs.decimal_ceiling(most) == pytest.approx(top)


@pytest.mark.parametrize(
    ("told", "value", "text"),
    [
        (graphs.size, 3 * 2**20, "3 MiB"), (graphs.size, 400 * 2**20, "400 MiB"),
        (graphs.size, 12, "12 bytes"),
        (graphs.duration, 0.0123, "12 ms"), (graphs.duration, 2.5, "2.5 s"),
        (graphs.short_number, 0.0312, "0.031"), (graphs.short_number, 1e-5, "0"),
        (graphs.short_number, 3.0, "3"), (graphs.short_number, 3.44, "3.4"),
    ],
)  # fmt: skip
def test_figures_are_short(told, value, text):
    assert told(value) == text


def test_a_graph_says_in_words_what_it_shows():
    figures = [row(3, requests=40), row(0, requests=12, errors=2, latency=0.08, types={"web": [2, 0.5, 2**26]})]
    requests, latency, cpu, memory = graphs.charts_of(figures, SPAN)
    assert requests["label"] == "Requests, a minute: requests now 12; 5xx now 2; at most 40"
    assert requests["moments"][1]["text"] == "11:00 UTC: requests 12, 5xx 2"
    assert (memory["top"], cpu["top"]) == ("64 MiB", "0.5")
    assert [line["now"] for chart in (latency, cpu, memory) for line in chart["lines"]] == ["80 ms", "0.5", "64 MiB"]


def test_the_page_draws_what_was_measured_and_where_releases_were_made(admin, deployed):
    assert "Nothing measured in this time" in text_of(admin.get("/apps/shop/metrics/"))
    now = timezone.now().replace(second=0, microsecond=0)
    deployed.releases.update(created=now - timedelta(minutes=5))
    deployed.usage.create(time=now, minutes=1, requests=7, types={"web": [1, 0.25, 2**26], "worker": [1, 0.1, 2**25]})
    deployed.usage.create(time=now - timedelta(hours=2), minutes=1, requests=90)
    page = text_of(admin.get("/apps/shop/metrics/"))
    assert page.count("<svg") == 4
    assert "requests now 7" in page and "at most 7" in page and "worker now 32 MiB" in page
    assert "<title>v2: admin deployed 4f2a91c</title>" in page
    assert "at most 90" in text_of(admin.get("/apps/shop/metrics/?span=3h"))
    assert "Nothing measured" in text_of(admin.get("/apps/shop/metrics/?span=3d"))
    assert "1 hour ago" in text_of(admin.get("/apps/shop/metrics/?span=nonsense"))


def test_the_live_part_answers_only_when_it_changed(admin, deployed):
    first = admin.get("/apps/shop/live/metrics/?span=1h")
    seen = {"X-Seen": first.headers["X-Version"]}
    assert admin.get("/apps/shop/live/metrics/?span=1h", headers=seen).status_code == 204
