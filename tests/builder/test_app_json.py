"""app.json on its way to the controller."""

import pytest

from builder.app_json import MAX_BYTES, load
from builder.errors import BuildFailed


def test_the_object_is_passed_on_as_it_is(tmp_path):
    (tmp_path / "app.json").write_text('{"cron": [{"command": "x"}], "unknown": 1}')
    assert load(tmp_path) == {"cron": [{"command": "x"}], "unknown": 1}


def test_an_app_without_one_has_none(tmp_path):
    assert load(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"cron": [}', "app.json is not JSON: .*line 1"),
        ("[1]", "app.json must hold an object"),
        ('"' + "x" * MAX_BYTES + '"', "larger than 64 KiB"),
        ("[" * 5000, "app.json is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_refuses_the_push(tmp_path, text, complaint):
    (tmp_path / "app.json").write_text(text)
    with pytest.raises(BuildFailed, match=complaint):
        load(tmp_path)
