from datetime import UTC, datetime

import pytest

from orchestrator.objects.cron import cron_problem, parse_schedule


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("schedule, zone, after, expected", [
    ("* * * * *", None, "2026-01-01 00:00:30", "2026-01-01 00:01"),
    ("*/15 * * * *", None, "2026-01-01 00:07", "2026-01-01 00:15"),
    ("*/15 * * * *", None, "2026-01-01 00:15", "2026-01-01 00:30"),
    ("5/20 * * * *", None, "2026-01-01 00:06", "2026-01-01 00:25"),
    ("5,10-12/2 * * * sun", None, "2026-01-04 23:11", "2026-01-04 23:12"),
    ("0 3 * * *", None, "2026-01-01 03:00", "2026-01-02 03:00"),
    ("0 0 31 * *", None, "2026-01-31 00:00", "2026-03-31 00:00"),
    ("30 2 29 2 *", None, "2026-01-01 00:00", "2028-02-29 02:30"),
    ("0 0 29 feb *", None, "2026-01-01 00:00", "2028-02-29 00:00"),
    ("30 6 * * 1-5", None, "2026-01-02 07:00", "2026-01-05 06:30"),
    ("0 9 * * mon-fri", None, "2026-01-02 09:00", "2026-01-05 09:00"),
    ("0 0 13 * 5", None, "2026-02-01 00:00", "2026-02-06 00:00"),
    ("0 0 * * 7", None, "2026-01-01 00:00", "2026-01-04 00:00"),
    ("@hourly", None, "2026-01-01 00:59:59", "2026-01-01 01:00"),
    ("@daily", "Europe/Berlin", "2026-07-01 12:00", "2026-07-01 22:00"),
    ("0 12 * * *", "America/New_York", "2026-01-01 00:00", "2026-01-01 17:00"),
    ("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", "2026-03-30 00:30"),
    ("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", "2026-10-25 00:30"),
    ("@every 90s", None, "2026-01-01 00:00", "2026-01-01 00:01:30"),
    ("@every 1h30m", None, "2026-01-01 00:00", "2026-01-01 01:30"),
    ("@every 1500ms", None, "2026-01-01 00:00", "2026-01-01 00:00:01"),
])  # fmt: skip
def test_the_next_time_is_right(schedule, zone, after, expected):
    assert parse_schedule(schedule, zone).after(at(after)) == at(expected)


def test_a_day_that_never_comes_has_no_next_time():
    assert parse_schedule("0 0 30 2 *").after(at("2026-01-01")) is None


@pytest.mark.parametrize("schedule", [
    "", "* * * *", "60 * * * *", "* 24 * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "* * * * mondays",
    "@never", "@every x", "@every soon",
])  # fmt: skip
def test_what_is_no_schedule_is_refused_with_a_reason(schedule):
    assert cron_problem(schedule)


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(ValueError, match="Atlantis/City"):
        parse_schedule("* * * * *", "Atlantis/City")
