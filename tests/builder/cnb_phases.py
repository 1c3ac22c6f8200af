#!/usr/bin/python3
"""What the lifecycle's phases do, as little of it as a test needs: checking their inputs, pushing an image.

Source: buildpacks/spec platform.md (analyzer, detector, restorer, builder, exporter).
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

phase = Path(sys.argv[0]).name
flags = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:] if word.startswith("-"))
image = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
layers = Path(flags["layers"])
outside = phase in ("analyzer", "restorer", "exporter")
platform = Path("/platform/env")
assert os.environ["CNB_PLATFORM_API"] == "0.13" and os.getuid() == 1234 and os.getgid() == 1234
assert ("DOCKER_CONFIG" in os.environ) == outside and Path("/run/paas-registry").exists() == outside
assert platform.exists() != outside and not Path("/var/run/secrets/kubernetes.io").exists()
print(f"===> {phase}", flush=True)


def ask(method, name, path, body=None, kind="application/octet-stream"):
    """(status, content, headers) of the registry of the image `name`."""
    host, _, rest = name.partition("/")
    assert flags["insecure-registry"] == host
    login = json.loads(Path(os.environ["DOCKER_CONFIG"], "config.json").read_text())["auths"][host]
    headers = {"Authorization": f"Bearer {login['registrytoken']}", "Content-Type": kind}
    headers["Accept"] = (
        "application/vnd.docker.distribution.manifest.v2+json,application/vnd.oci.image.manifest.v1+json"
    )
    address = path if path.startswith("http") else f"http://{host}/v2/{rest.partition(':')[0]}/{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers, method=method)) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read(), refused.headers


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def upload(name, content):
    status, _, headers = ask("POST", name, "blobs/uploads/")
    assert status == 202, status
    mark = "&" if "?" in headers["Location"] else "?"
    status, told, _ = ask("PUT", name, f"{headers['Location']}{mark}digest={digest_of(content)}", content)
    assert status == 201, told
    return {"digest": digest_of(content), "size": len(content)}


def manifest_of(name):
    status, content, _ = ask("GET", name, f"manifests/{name.rpartition(':')[2]}")
    return json.loads(content) if status == 200 else None


def push(name, manifest):
    media = "application/vnd.oci.image.manifest.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": media, **manifest}).encode()
    status, told, _ = ask("PUT", name, f"manifests/{name.rpartition(':')[2]}", body, media)
    assert status == 201, told


def analyzer():
    assert manifest_of(flags["run-image"]), "the run image can't be read"
    other = flags["run-image"].partition("/")[0] + "/stranger:1"
    assert ask("GET", other, "tags/list")[0] in (401, 403), "the token opens another app's images"
    (layers / "analyzed.toml").write_text(json.dumps({"run": flags["run-image"]}))


def detector():
    if not (Path(flags["app"]) / "app.txt").exists():
        sys.exit(20)


def restorer():
    if "cache-image" in flags and manifest_of(flags["cache-image"]):
        (layers / "restored").write_text("x")


def builder():
    env = {path.name: path.read_text() for path in platform.iterdir()}
    assert all(path.is_file() and not path.is_symlink() for path in platform.iterdir())
    print(
        f"colour {env['COLOUR']}, secret {env['API_TOKEN']}, cached {int((layers / 'restored').exists())}", flush=True
    )
    if env.get("REFUSE", "").isdigit():
        sys.exit(int(env["REFUSE"]))
    (Path(flags["app"]) / "built").write_text("by a buildpack")


def exporter():
    run = json.loads((layers / "analyzed.toml").read_text())["run"]
    base = manifest_of(run)
    source = run.partition("/")[2].rpartition(":")[0]
    for layer in base["layers"]:
        status, told, _ = ask("POST", image, f"blobs/uploads/?mount={layer['digest']}&from={source}", b"")
        assert status == 201, (status, told)
    config = json.loads(ask("GET", run, f"blobs/{base['config']['digest']}")[1])
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as archive:
        archive.add(flags["app"], "workspace")
    layer = gzip.compress(tree.getvalue())
    config["rootfs"]["diff_ids"].append(digest_of(tree.getvalue()))
    config.pop("history", None)
    processes = [{"type": "web", "command": "x", "direct": True}, {"type": "worker", "command": "y"}]
    labels = config["config"].get("Labels") or {}
    config["config"]["Labels"] = {**labels, "io.buildpacks.build.metadata": json.dumps({"processes": processes})}
    config["config"]["ExposedPorts"] = {"8080/tcp": {}}
    media = "application/vnd.oci.image."
    described = {"mediaType": media + "config.v1+json", **upload(image, json.dumps(config).encode())}
    ours = {"mediaType": media + "layer.v1.tar+gzip", **upload(image, layer)}
    push(image, {"config": described, "layers": [*base["layers"], ours]})
    empty = {"mediaType": media + "config.v1+json", **upload(flags["cache-image"], b"{}")}
    push(flags["cache-image"], {"config": empty, "layers": []})


globals()[phase]()
