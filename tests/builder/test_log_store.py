"""A build's lines reach the app's log as datagrams, and no build waits for the log store."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from builder.build_log import BuildLogs
from builder.log_store import StoreLines


def test_lines_of_a_build_are_sent_one_by_one_without_colours(tmp_path: Path) -> None:
    intake = tmp_path / "intake"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(intake))
        receiver.settimeout(5)
        writer = BuildLogs(tmp_path / "logs", str(intake)).open("shop", 1)
        writer.write(b"-----> \x1b[32mPython\x1b[0m app detected\n")
        writer.write(b"10%\r100% done\n\n")
        writer.close()
        got = [json.loads(receiver.recv(65536)) for _ in range(2)]
    assert [message["text"] for message in got] == ["-----> Python app detected", "100% done"]
    assert {(message["app"], message["source"]) for message in got} == {("shop", "builder")}


def test_a_store_that_is_away_or_behind_holds_no_build_up(tmp_path: Path) -> None:
    StoreLines("", "shop").write(b"nowhere\n")
    StoreLines(str(tmp_path / "nobody"), "shop").write(b"nobody\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "slow"))
        lines = StoreLines(str(tmp_path / "slow"), "shop")
        for number in range(5000):
            lines.write(b"line %d %s\n" % (number, b"x" * 500))
        receiver.setblocking(False)
        texts = []
        try:
            while True:
                texts.append(json.loads(receiver.recv(65536))["text"])
        except BlockingIOError:
            lines.write(b"and on\n")
        assert "lines of the build left out" in json.loads(receiver.recv(65536))["text"]
        assert json.loads(receiver.recv(65536))["text"] == "and on"
    assert texts[0].startswith("line 0 ")


def test_over_the_network_each_line_carries_the_key(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        intake = f"udp://localhost:{receiver.getsockname()[1]}"
        BuildLogs(tmp_path / "logs", intake, "the-key").open("shop", 1).write(b"built\n")
        assert json.loads(receiver.recv(65536)) == {
            "app": "shop", "source": "builder", "text": "built", "key": "the-key",
        }  # fmt: skip
    StoreLines("udp://no-such-host.invalid:1", "shop", "the-key").write(b"nobody\n")
