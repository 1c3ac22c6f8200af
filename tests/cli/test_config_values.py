"""SSH_KEY as people give it: a text, a file, or base64 of a text."""

from base64 import b64decode, b64encode

import pytest

from cli.commands.config_values import parse_pair
from cli.errors import UsageError

TEXT = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXk" * 30 + "\n-----END OPENSSH PRIVATE KEY-----\n"


def sent(value):
    return b64decode(parse_pair(f"SSH_KEY={value}")[1]).decode()


def test_a_private_key_may_be_a_text_a_file_or_base64(tmp_path):
    (tmp_path / "id").write_text(TEXT)
    assert sent(TEXT) == sent(tmp_path / "id") == sent(b64encode(TEXT.encode()).decode()) == TEXT


@pytest.mark.parametrize("value", ["x" * 600, "~nobody-there/id", "/none", ""])
def test_what_is_no_private_key_is_refused_in_words(value):
    with pytest.raises(UsageError, match="SSH_KEY takes a private key, its text or the path"):
        parse_pair(f"SSH_KEY={value}")
