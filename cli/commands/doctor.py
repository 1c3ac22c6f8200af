"""Is the platform well?"""

from __future__ import annotations

import time
from datetime import datetime

from cli import output
from cli.session import Session
from cli.table import JSON, command

SKEW = 30  # seconds; certificates and tokens have times


@command(
    "doctor:run",
    "Look at everything the platform needs, and say what to do (administrators)",
    "paas doctor",
    options=(JSON,),
    details="Exits with 1 when something fails; a warning is no failure.",
    bare=True,
)
def examine(session: Session) -> int:
    answer = session.api.get("/v2/doctor")
    findings = [*answer["findings"], own_clock(answer["time"])]
    if not session.shown_as_json(findings):
        for each in findings:
            output.line(f"{each['level']:4}  {each['name']}: {each['text']}")
            if each["fix"]:
                output.line(f"      {each['fix']}")
    return 1 if any(each["level"] == "fail" for each in findings) else 0


def own_clock(told: str) -> dict[str, str]:
    away = abs(datetime.fromisoformat(told).timestamp() - time.time())
    far = away > SKEW
    fix = "let both machines keep time by NTP" if far else ""
    text = f"{away:.0f} s between it and the controller's"
    return {"name": "this machine's clock", "level": "warn" if far else "ok", "text": text, "fix": fix}
