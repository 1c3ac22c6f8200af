import pytest

from builder.errors import BuildFailed
from builder.procfile import parse_procfile, parse_release, parse_release_config


def test_types_keep_their_order_and_commands():
    assert list(parse_procfile("web: gunicorn app\n# no\nworker: python w.py --x\n").items()) == [
        ("web", "gunicorn app"),
        ("worker", "python w.py --x"),
    ]


def test_quotes_are_read_as_yaml_does():
    assert parse_procfile('web: "run this"\n') == {"web": "run this"}


def test_a_line_that_yaml_cannot_read_is_taken_as_heroku_does():
    assert parse_procfile('web: node x --opt="a: b"\n') == {"web": 'node x --opt="a: b"'}


def test_words_that_yaml_takes_for_values_stay_words():
    assert parse_procfile("web: yes\nclock: 12:30\n") == {"web": "yes", "clock": "12:30"}


def test_windows_line_ends_are_no_part_of_a_command():
    assert parse_procfile("web: run\r\nworker: walk\r\n") == {"web": "run", "worker": "walk"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web\n", "Procfile line 1"),
        ("web: x\nnonsense here\n", "Procfile line 2"),
        ("Web: x\n", "'Web'"),
        ("web_1: x\n", "'web_1'"),
        ("web:\n", "no command"),
        ("a: x\n" * 0 + "web: x\n" + "#" * 70000, "larger"),
    ],
)
def test_a_broken_procfile_names_what_is_wrong(text, words):
    with pytest.raises(BuildFailed, match=words):
        parse_procfile(text)


def test_an_empty_procfile_declares_nothing():
    assert parse_procfile("\n# later\n") == {}


def test_release_yaml_gives_default_types_and_config():
    text = "---\ndefault_process_types:\n  web: npm start\nconfig_vars:\n  A: 1\n  'b-c': x\n"
    assert parse_release(text) == {"web": "npm start"}
    assert parse_release_config(text) == {"A": "1"}


def test_a_release_step_without_types_is_fine():
    assert parse_release("--- {}\n") == {} and parse_release("") == {}
