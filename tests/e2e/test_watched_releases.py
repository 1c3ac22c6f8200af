"""A release command runs before the rollout, before the pusher's eyes; a release that fails once it is live is taken
back by itself, also when the worker that watched it is killed."""

from __future__ import annotations

import http.client
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress

from host.settings import Platform
from tests.e2e.developer import Developer, until
from tests.e2e.test_pulled_plugs import process_of

Names = Callable[[str], str]
APP = """\
import http.server, os

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/fail" and "FRAGILE" in os.environ:
            print("lost the database", flush=True)
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["WORKFLOW_RELEASE"].encode())

http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Hello).serve_forever()
"""
PROCFILE = "web: python app.py\nrelease: python migrate.py\n"
MIGRATE = "import os\nprint('migrated for', os.environ['WORKFLOW_RELEASE'])\n"


def is_taken_back(admin: Developer, name: str) -> bool:
    """Whether the release that falls at a touch has given way; else it falls, as often as it comes up again."""
    with suppress(OSError, http.client.HTTPException):
        admin.ask(name, "/fail")
    return "failed: rolled back to v2" in admin.paas("releases", "-a", name).stdout


def test_a_release_is_prepared_watched_and_taken_back(admin: Developer, platform: Platform, app_name: Names) -> None:
    name = app_name("watched")
    files = {"app.py": APP, "migrate.py": MIGRATE, "Procfile": PROCFILE, "requirements.txt": ""}
    folder = admin.repository(name, files)
    admin.paas("create", name, cwd=folder)
    pushed = admin.push(folder)
    step, said = pushed.index("-----> Running release: python migrate.py"), pushed.index("migrated for v2")
    assert step < said < pushed.index("web 1/1"), pushed

    admin.commit(folder, {"migrate.py": "raise SystemExit('no such table: users')\n"})
    refused = admin.push(folder, ok=False)
    assert "the release command failed with exit code 1: no such table: users" in refused
    assert admin.ask(name).body == "v2"

    admin.commit(folder, {"migrate.py": MIGRATE, "app.py": 'import os\nos.environ["FRAGILE"] = "1"\n' + APP})
    admin.push(folder)
    os.kill(process_of(platform, "controller-worker"), signal.SIGKILL)
    until(lambda: is_taken_back(admin, name), 120, "v4 was not taken back")
    until(lambda: admin.ask(name).body == "v2", 60, "v2 does not serve again")
    listed = admin.paas("releases", "-a", name).stdout
    assert re.search(r"^v4\t.*failed: rolled back to v2 after it went live: web crashed with exit code 3", listed, re.M)
    assert "v4 was rolled back to v2" in admin.paas("logs", "-a", name, "-n", "200").stdout
    explained = admin.paas("explain", "-a", name, ok=False).stdout
    assert "v4 failed, v2 still serves" in explained
