"""What commands do on a simulated node."""

from __future__ import annotations

import pytest

from orchestrator.kubelet.memory_process import pretend


@pytest.mark.parametrize(
    ("command", "output", "exit_code"),
    [
        (("/bin/bash", "-c", "echo one; exit 3"), b"one\n", 3),
        (("/runner/init", "echo $GREETING && false"), b"hello\n", 1),
        (("/runner/init", "start", "web"), b"simulated: /runner/init start web\n", None),
        (("python", "app.py"), b"simulated: python app.py\n", None),
        (("/bin/sh", "-c", "sleep 1000"), b"", None),
        ((), b"", None),
    ],
)
def test_commands_print_and_end_as_they_would(command, output, exit_code) -> None:
    act = pretend(command, {"GREETING": "hello"})
    assert (act.output, act.exit_code) == (output, exit_code)


@pytest.mark.parametrize("command", [("python", "manage.py", "migrate"), ("sh", "-c", "python manage.py migrate")])
def test_an_unknown_program_is_done_at_once_where_it_runs_once(command) -> None:
    act = pretend(command, {}, one_off=True)
    assert (act.output, act.exit_code) == (b"simulated: python manage.py migrate\n", 0)


@pytest.mark.parametrize("command", [(), ("sleep", "1000"), ("sh", "-c", "while :; do sleep 1; done")])
def test_what_would_stay_stays_even_where_it_runs_once(command) -> None:
    assert pretend(command, {}, one_off=True).exit_code is None
