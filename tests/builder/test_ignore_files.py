import pytest

from builder import dockerignore, slugignore


@pytest.mark.parametrize(
    ("text", "name", "out"),
    [
        ("*.md", "a.md", True),
        ("*.md", "docs/a.md", False),
        ("**/*.md", "docs/deep/a.md", True),
        ("docs", "docs/a", True),
        ("*\n!keep", "keep", False),
        ("*\n!keep", "other", True),
        ("docs\n!docs/keep.md", "docs/keep.md", False),
        ("# comment\n\n/a?c", "abc", True),
        ("a[0-9]", "a5", True),
        (".", "anything", False),
    ],
)
def test_dockerignore_follows_dockers_rules(text, name, out):
    assert dockerignore.compile_patterns(text)(name) is out


@pytest.mark.parametrize(
    ("text", "name", "out"),
    [
        ("*.psd", "art/deep/x.psd", True),
        ("/top", "top", True),
        ("/top", "sub/top", False),
        ("test", "sub/test", True),
        ("docs/*.pdf", "docs/a.pdf", True),
        ("# a\n", "a", False),
    ],
)
def test_slugignore_follows_herokus_rules(text, name, out):
    assert slugignore.compile_patterns(text)(name) is out
