#!/usr/bin/python3
"""What the lifecycle's `creator` does, as little of it as a test needs: checks its inputs, leaves a layout.

Source: buildpacks/spec platform.md (creator), buildpacks/rfcs 0119 (layout).
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

flags = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:-1])
image, layout = sys.argv[-1], Path(flags["layout-dir"])
env = {path.name: path.read_text() for path in Path(flags["platform"], "env").iterdir()}
assert "layout" in flags and os.environ["CNB_EXPERIMENTAL_MODE"] == "warn" and "COLOUR" not in os.environ
assert (flags["uid"], flags["gid"]) == (str(os.getuid()), str(os.getgid()))
cache = Path(flags["cache-dir"], "mark")
api, colour = os.environ["CNB_PLATFORM_API"], env["COLOUR"]
print(f"===> BUILDING api {api}, user {os.getuid()}, colour {colour}, cached {int(cache.exists())}", flush=True)
print(f"secret {env.get('API_TOKEN')}", flush=True)
cache.write_text("x")
Path(flags["layers"], "written").write_text("x")
if env.get("REFUSE", "").isdigit():
    sys.exit(int(env["REFUSE"]))


def place(name):
    head, _, tag = name.rpartition(":")
    return layout / "index.docker.io" / (head if "/" in head else f"library/{head}") / tag


def blob(root, content):
    digest = hashlib.sha256(content).hexdigest()
    (root / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (root / "blobs/sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def read(root, described):
    return json.loads((root / "blobs/sha256" / described["digest"].removeprefix("sha256:")).read_text())


run = place(flags["run-image"])
manifest = read(run, json.loads((run / "index.json").read_text())["manifests"][0])
config = read(run, manifest["config"])
tree = io.BytesIO()
with tarfile.open(fileobj=tree, mode="w") as archive:
    archive.add(flags["app"], "workspace")
    for name in ("web", "worker"):
        script = f"#!/bin/sh\necho launched {name}: $(cat /workspace/app.txt)\n".encode()
        entry = tarfile.TarInfo(f"cnb/process/{name}")
        entry.size, entry.mode = len(script), 0o755
        archive.addfile(entry, io.BytesIO(script))
target = place(image)
layer = blob(target, gzip.compress(tree.getvalue()))
if env.get("REFUSE") == "steal":
    layer["digest"] = "sha256:" + "0" * 64
config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(tree.getvalue()).hexdigest())
config.pop("history", None)
processes = [{"type": "web", "command": "x", "direct": True}, {"type": "worker", "command": "y"}]
labels = config["config"].setdefault("Labels", None) or {}
config["config"]["Labels"] = {**labels, "io.buildpacks.build.metadata": json.dumps({"processes": processes})}
config["config"]["Entrypoint"] = ["/cnb/process/web"]
media = "application/vnd.oci.image."
made = {
    "schemaVersion": 2,
    "config": {"mediaType": media + "config.v1+json", **blob(target, json.dumps(config).encode())},
    "layers": [*manifest["layers"], {"mediaType": media + "layer.v1.tar+gzip", **layer}],
}
entry = {"mediaType": media + "manifest.v1+json", **blob(target, json.dumps(made).encode())}
(target / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
