from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.objects.cron import cron_problem, parse_schedule


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("* * * * *", "2026-01-01 00:00:30", "2026-01-01 00:01"),
        ("*/15 * * * *", "2026-01-01 00:15:00", "2026-01-01 00:30"),
        ("0 3 * * *", "2026-01-01 03:00:00", "2026-01-02 03:00"),
        ("0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00"),
        ("30 6 * * 1-5", "2026-01-02 07:00:00", "2026-01-05 06:30"),
        ("0 0 13 * 5", "2026-01-01 00:00:00", "2026-01-02 00:00"),
        ("0 0 29 feb *", "2026-01-01 00:00:00", "2028-02-29 00:00"),
        ("@hourly", "2026-01-01 00:59:59", "2026-01-01 01:00"),
        ("5,10-12/2 * * * sun", "2026-01-04 23:11:00", "2026-01-04 23:12"),
        ("0 12 * * 7", "2026-01-01 00:00:00", "2026-01-04 12:00"),
    ],
)
def test_the_next_run_is_crons(schedule, after, expected):
    when = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    assert parse_schedule(schedule).next_after(when).strftime("%Y-%m-%d %H:%M") == expected


def test_a_day_that_never_comes_has_no_next_run():
    assert parse_schedule("0 0 30 2 *").next_after(datetime(2026, 1, 1)) is None


def test_every_counts_from_the_last_run():
    assert parse_schedule("@every 1h30m").next_after(datetime(2026, 1, 1)) == datetime(2026, 1, 1, 1, 30)


@pytest.mark.parametrize(
    "schedule",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "@never", "@every x"],
)
def test_what_is_no_schedule_is_refused_with_a_reason(schedule):
    assert cron_problem(schedule)
