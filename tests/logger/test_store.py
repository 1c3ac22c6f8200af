"""Lines on disk: kept, found again after a kill, packed, and gone when their time is over."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from logger import store
from logger.lines import compose, stamp_of
from logger.search import Filter, filter_of, is_of, lines_of, newest
from logger.store import AppLog, Position, Retention, pack

BEGAN = 1_700_000_000 * 1_000_000_000


def line(second: float, text: str, source: str = "shop[web.v3.x7k2p]") -> bytes:
    return compose(stamp_of(BEGAN + int(second * 1_000_000_000)), source.encode(), text.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "apps" / "shop"


def texts(folder: Path, count: int = 1000, **wanted: str) -> list[str]:
    return [one.decode().partition("]: ")[2] for one in newest(folder, filter_of(wanted), count)]


def test_what_was_written_is_read_in_the_order_of_time(folder: Path) -> None:
    log = AppLog.open(folder)
    log.append([line(2, "two"), line(1, "one")])
    log.append([line(3, "three")])
    assert texts(folder) == ["one", "two", "three"]
    assert texts(folder, 2) == ["two", "three"]


def test_a_killed_writers_half_line_is_dropped_and_its_position_known(folder: Path) -> None:
    log = AppLog.open(folder)
    log.append([line(1, "one"), line(2, "two"), line(2, "two again")])
    with next(folder.glob("*.log")).open("ab") as file:
        file.write(line(3, "thr")[:40])
    again = AppLog.open(folder)
    assert again.positions[b"shop[web.v3.x7k2p]"] == Position(line(2, "")[:30], 2)
    again.append([line(3, "three")])
    assert texts(folder) == ["one", "two", "two again", "three"]


def test_positions_survive_in_a_new_segment_that_does_not_mention_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SEGMENT", 100)
    monkeypatch.setattr(store, "OLD_POSITION", 10 * 365 * 86400)
    log = AppLog.open(folder)
    quiet = line(1, "once", "shop[worker.v3.aaaaa]")
    log.append([quiet, line(1, "x" * 100)])
    log.positions[b"shop[worker.v3.aaaaa]"] = Position(quiet[:30])
    full = log.append([line(2, "in the next segment")])
    assert full is not None
    pack(full)
    assert AppLog.open(folder).positions[b"shop[worker.v3.aaaaa]"] == Position(quiet[:30], 1)
    assert texts(folder) == ["once", "x" * 100, "in the next segment"], "positions are no lines"


def test_retention_by_size_and_age_leaves_what_is_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SEGMENT", 1000)
    log = AppLog.open(folder)
    for number in range(6):
        log.append([line(number, f"{number} " + os.urandom(450).hex())])
    log.tidy(Retention(days=7, bytes=4000), time.time())
    assert len(log.segments()) == 2
    for path in log.segments():
        os.utime(path, (0, 0))
    log.tidy(Retention(days=7, bytes=10**9), time.time())
    assert len(log.segments()) == 1


def test_an_app_made_again_begins_with_an_empty_log(folder: Path) -> None:
    log = AppLog.open(folder)
    log.append([line(1, "of the old app")])
    log.clear()
    log.append([line(2, "of the new one")])
    assert texts(folder) == ["of the new one"]


def test_filters(folder: Path) -> None:
    AppLog.open(folder).append(
        [
            line(1, "GET /", "deis[router]"),
            line(2, "Listening"),
            line(3, "Working", "shop[worker.v3.bbbbb]"),
            line(4, "INFO bob deployed", "deis[controller]"),
        ]
    )
    assert texts(folder, source="router") == ["GET /"]
    assert texts(folder, source="release") == ["INFO bob deployed"]
    assert texts(folder, source="app") == ["Listening", "Working"]
    assert texts(folder, ps="worker") == ["Working"]
    assert texts(folder, grep="listening") == ["Listening"]
    assert texts(folder, grep="LISTENING") == [], "a capital letter means itself"
    since, until = (stamp_of(BEGAN + second * 1_000_000_000).decode() for second in (2, 3))
    assert texts(folder, since=since, until=until) == ["Listening", "Working"]


def test_a_pattern_is_looked_for_in_the_text_alone() -> None:
    assert not Filter(pattern=b"web").wants(line(1, "hello"))


@pytest.mark.parametrize("wished", ["web", "web.v3", "web.x7k2p", "web.v3.x7k2p", "web-x7k2p", "x7k2p"])
def test_a_process_has_the_names_people_use(wished: str) -> None:
    assert is_of(b"shop[web.v3.x7k2p]", wished)
    assert not is_of(b"shop[worker.v4.zzzzz]", wished)


def test_how_many_lines() -> None:
    assert lines_of({}) == 100
    assert lines_of({"lines": "7"}) == 7
    assert lines_of({"since": "x"}) == 10_000
    assert lines_of({"lines": "99999999"}) == 10_000
