from pathlib import Path

from cli.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_says_what_the_table_says():
    assert PAGE.read_text() == render() + "\n", "run: python -m cli.reference > docs/cli.md"
