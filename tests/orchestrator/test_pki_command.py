"""`python -m orchestrator pki`: certificates and kubeconfigs are there before any program starts, and agree."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def authority_of(kubeconfig: Path) -> bytes:
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return base64.b64decode(cluster["certificate-authority-data"])


def test_an_authority_that_was_moved_away_is_made_anew_with_all_that_name_it(tmp_path: Path) -> None:
    environment = {**os.environ, "ORCHESTRATOR_DATA": str(tmp_path), "ORCHESTRATOR_LISTEN": "127.0.0.1:6443"}
    command = [sys.executable, "-m", "orchestrator", "pki"]

    def made() -> bytes:
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60)
        configs = sorted(tmp_path.glob("*.kubeconfig"))
        assert {"admin", "agent", "controller", "network", "router"} <= {path.stem for path in configs}
        (authority,) = {authority_of(path) for path in configs}
        return authority

    first = made()
    assert made() == first
    shutil.rmtree(tmp_path / "pki")
    assert made() != first
