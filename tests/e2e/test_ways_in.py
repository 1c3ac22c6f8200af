"""Ways to bring code besides a push over SSH: a push over HTTP, a folder, a build that is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.e2e.developer import Developer, until


def test_a_push_over_http_and_a_deploy_of_a_folder(admin: Developer, app_name: Callable[[str], str]) -> None:
    name = app_name("http")
    folder = admin.example(name)
    admin.paas("create", name, "--no-remote", cwd=folder)
    admin.paas("git:remote", "--http", "-a", name, cwd=folder)
    assert f"Done, {name}:v2" in admin.push(folder) and admin.ask(name).status == 200
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/pre_compile").write_text("#!/bin/sh\necho FROM THE FOLDER\n")
    (folder / "bin/pre_compile").chmod(0o755)
    deployed = admin.paas("deploy", ".", "-a", name, cwd=folder)
    assert "FROM THE FOLDER" in deployed.stdout and f"Done, {name}:v3" in deployed.stdout
    assert "FROM THE FOLDER" in admin.paas("builds:output", "2", "-a", name).stdout
    runs = admin.json("builds", "--all", "-a", name)
    told = [(run["source"], run["state"], run["release"], run["by"]) for run in runs]
    assert told == [("upload", "succeeded", 3, "admin"), ("git-http", "succeeded", 2, "admin")]


def test_a_build_is_stopped_from_elsewhere(admin: Developer, app_name: Callable[[str], str]) -> None:
    name = app_name("stop")
    slow = "#!/bin/sh\necho waiting\nsleep 300\n"
    folder = admin.repository(name, {"requirements.txt": "", "Procfile": "web: x\n", "bin/pre_compile": slow})
    admin.paas("create", name, cwd=folder)
    pushing = admin.start_git(folder, "push", "deis", "master")
    until(lambda: "waiting" in admin.paas("builds:output", "-a", name, ok=False).stdout, 60, "no build begins")
    asked = time.monotonic()
    admin.paas("builds:cancel", "-a", name)
    said, _ = pushing.communicate(timeout=60)
    assert time.monotonic() - asked < 30, "cancelling takes too long"
    assert "The build was cancelled by admin." in said and pushing.returncode != 0
    assert admin.json("builds:info", "-a", name)["state"] == "cancelled"
