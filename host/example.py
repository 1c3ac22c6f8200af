"""The example app: created with `paas create`, pushed by a real `git push` over SSH, asked over HTTP."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
from pathlib import Path

from host import health, operator, say
from host.errors import HostError
from host.programs import base_environment
from host.settings import CHECKOUT, Platform

APP = "example"
SOURCE = CHECKOUT / "examples" / "python-web"
PUSH_DEADLINE = 600.0  # seconds; the first build downloads its dependencies
ANSWER_DEADLINE = 180.0  # seconds until the app answers: after a restart its container may have to start


def ensure(platform: Platform) -> None:
    """Deploy the example once; afterwards only see that it answers, unless someone destroyed it."""
    done = platform.home / "operator" / "example-deployed"
    if not done.exists():
        deploy(platform)
        done.write_text("The example was deployed; it is not pushed again.\n")
    elif APP not in operator.paas(platform, ["apps:list"]).split():
        say.detail(f"The app `{APP}` was destroyed since; it is not made again.")
        return
    with say.timed(f"Asking {platform.app_url_template.format(app=APP)}"):
        health.wait_until(
            lambda: answers(platform),
            ANSWER_DEADLINE,
            lambda: (
                f"The example app does not answer within {ANSWER_DEADLINE:.0f} s: `paas explain -a {APP}` says why."
            ),
        )


def deploy(platform: Platform) -> None:
    folder = checkout(platform)
    key = ssh_key(platform)
    if APP not in operator.paas(platform, ["apps:list"]).split():
        say.step(f"paas create {APP}")
        operator.paas(platform, ["create", APP, "--no-remote"])
    if "operator" not in operator.paas(platform, ["keys:list"]):
        operator.paas(platform, ["keys:add", "operator", str(key.with_suffix(".pub"))])
    say.step("git push deis master")
    git(platform, folder, "push", "--force", f"{platform.git_ssh_url}/{APP}.git", "master", timeout=PUSH_DEADLINE)


def checkout(platform: Platform) -> Path:
    """A git repository with the example, made anew from this checkout."""
    folder = platform.home / "operator" / "example"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    git(platform, folder, "init", "-q", "-b", "master")
    git(platform, folder, "add", "-A")
    git(platform, folder, "commit", "-q", "-m", "The example app")
    return folder


def ssh_key(platform: Platform) -> Path:
    key = platform.home / "operator" / "id_ed25519"
    if not key.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", str(key)]
        subprocess.run(command, check=True, timeout=30)
    return key


def git(platform: Platform, folder: Path, *arguments: str, timeout: float = 60) -> None:
    """Run git in `folder`, its output going to the terminal. Raises: HostError."""
    operator_folder = platform.home / "operator"
    ssh = (
        f"ssh -i {operator_folder}/id_ed25519 -o IdentitiesOnly=yes -o BatchMode=yes "
        f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={operator_folder}/known_hosts"
    )
    identity = {
        "GIT_AUTHOR_NAME": "Operator", "GIT_AUTHOR_EMAIL": "operator@paas.localhost",
        "GIT_COMMITTER_NAME": "Operator", "GIT_COMMITTER_EMAIL": "operator@paas.localhost",
    }  # fmt: skip
    environment = {**base_environment(os.environ), **identity, "GIT_SSH_COMMAND": ssh, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, timeout=timeout, check=False)
    if done.returncode != 0:
        raise HostError(f"`git {arguments[0]}` of the example app failed; the lines above say why.")


def answers(platform: Platform) -> bool:
    """Whether the example answers 200 through the router, under its own name."""
    connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": f"{APP}.{platform.domain}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
