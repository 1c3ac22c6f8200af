"""Why anything of an app isn't as its owner wishes, in plain words."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import APP, JSON, command

COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}


@command(
    "explain:app",
    "Say why anything of an app isn't as you wish, with the evidence and the command that helps",
    "paas explain",
    options=(APP, JSON),
    details="The exit code is 0 when nothing is wrong, else 1.",
    bare=True,
)
def explain(session: Session) -> int:
    data = session.api.get(session.app_path("explain", ""))
    broken = any(finding["level"] == "error" for finding in data["findings"])
    if session.shown_as_json(data):
        return int(broken)
    output.heading(f"{session.app}: {data['summary']}")
    for finding in data["findings"]:
        output.line(f"{output.paint('-', COLOURS[finding['level']])} {finding['text']}")
        for line in finding["evidence"]:
            output.line(f"    {line}")
        if finding["fix"]:
            output.line(f"    What helps: {finding['fix']}")
    return int(broken)
