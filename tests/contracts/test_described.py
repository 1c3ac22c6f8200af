"""Any request at all, made from the API's own description, to a live platform: no crash, no answer it doesn't have.

schemathesis makes the requests. Left out is what would end its own login, and what goes on for minutes.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.host.test_scratch import started

SECONDS = 25  # of requests
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
LEFT_OUT = "auth/(cancel|tokens|passwd|totp)|/gc/|/doctor"


def ask(url: str, path: str, body: dict[str, str], token: str = "") -> dict[str, str]:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=90)
    headers = {"Content-Type": "application/json", **({"Authorization": f"token {token}"} if token else {})}
    connection.request("POST", path, json.dumps(body), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@pytest.mark.timeout(400)
def test_no_request_crashes_it_or_gets_an_answer_that_is_not_described(tmp_path: Path) -> None:
    with started(tmp_path) as platform:
        account = {"username": "admin", "password": "correct horse battery"}
        ask(platform.url, "/v2/auth/register/", {**account, "email": "admin@example.test"})
        token = ask(platform.url, "/v2/auth/login/", account)["token"]
        ask(platform.url, "/v2/apps/", {"id": "blue"}, token)
        key = (platform.folder / "secrets" / "builder.key").read_text().strip()
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "run", f"{platform.url}/v2/schema",
            "-H", f"Authorization: token {token}", "-H", f"X-Deis-Builder-Auth: {key}",
            "--checks", CHECKS, "--phases", "fuzzing", "--max-time", str(SECONDS), "--no-shrink", "--workers", "2",
            "--exclude-path-regex", LEFT_OUT, "--suppress-health-check", "all", "--warnings", "off",
            "--request-timeout", "90", "--generation-database", "none",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-500:]
        assert "generated" in done.stdout, done.stdout[-500:]
