"""Credentials of the operator's package indexes: builds use them, and no image, output or record keeps one."""

import base64
import gzip
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.registry_api import RegistryClient
from builder.settings import Registry
from tests.builder.runtimes import gateway_of
from tests.builder.test_push_refusals import APP
from tests.registry.harness import PASSWORD, USERNAME

pytestmark = pytest.mark.engine
PIP, NPM, PROXY = "canary-of-pip-4711", "canary-of-npm-4712", "canary-of-proxy-4713"
OWN_NPM, OWN_UV = "canary-of-the-apps-npm-4714", "canary-of-the-apps-uv-4715"  # in the app's config
CANARIES = [
    form
    for word in (PIP, NPM, PROXY, OWN_NPM, OWN_UV)
    for form in (word, base64.b64encode(word.encode()).decode().rstrip("="))
]
BASE = 5 << 20  # bytes; larger layers are the stack image's
STACK = "FROM paas/stack:trixie\nUSER root\n"


def wheel() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("kept.py", "KEPT = 1\n")
        archive.writestr("kept-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: kept\nVersion: 1.0\n")
        archive.writestr("kept-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("kept-1.0.dist-info/RECORD", "")
    return out.getvalue()


def package() -> bytes:
    out = io.BytesIO()
    content = json.dumps({"name": "kept", "version": "1.0.0"}).encode()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


WHEEL, PACKAGE = wheel(), package()
LOCKED = {
    "pyproject.toml": "[tool.poetry]\nname = 'x'\n[tool.poetry.dependencies]\npython = '^3'\nkept = '1.0'\n",
    "poetry.lock": '[[package]]\nname = "kept"\nversion = "1.0"\ngroups = ["main"]\n'
    f'files = [{{file = "kept-1.0-py3-none-any.whl", hash = "sha256:{hashlib.sha256(WHEEL).hexdigest()}"}}]\n',
    "Procfile": "web: x\n",
}
TELLING = "#!/bin/sh\ncat $PIP_CONFIG_FILE $NPM_CONFIG_GLOBALCONFIG; env\n"
TOOLS = {"yarn": "yarn@1", "pnpm": "pnpm@9", "uv": "uv"}  # package managers that builds fetch from the index, too


class Index(BaseHTTPRequestHandler):
    """A Python and an npm index behind passwords; `asked` is what was given away."""

    def do_GET(self) -> None:
        given, base = self.headers.get("Authorization", ""), f"http://{self.headers['Host']}"
        basic = ["Basic " + base64.b64encode(f"user:{word}".encode()).decode() for word in (PIP, OWN_UV)]
        npm = self.path.startswith("/npm/")
        if given not in ([f"Bearer {NPM}", f"Bearer {OWN_NPM}"] if npm else basic):
            return self.answer(401, b"", "text/plain")
        self.server.asked.append(self.path if given not in (f"Bearer {OWN_NPM}", basic[1]) else f"own {self.path}")
        if tool := next((name for name in TOOLS if f"/{name}" in self.path), ""):
            return self.pass_on(tool, base)
        if self.path == "/simple/kept/":
            return self.answer(200, b'<a href="/files/kept-1.0-py3-none-any.whl">kept-1.0-py3-none-any.whl</a>')
        if self.path.endswith(".whl"):
            return self.answer(200, WHEEL, "application/zip")
        if self.path.endswith(".tgz"):
            return self.answer(200, PACKAGE, "application/gzip")
        self.describe("kept", f"{base}/npm/kept/-/kept-1.0.0.tgz", PACKAGE, {"name": "kept", "version": "1.0.0"})

    def describe(self, name: str, address: str, content: bytes, package: dict) -> None:
        """An npm package of one version."""
        one = {**package, "dist": {"tarball": address, "shasum": hashlib.sha1(content).hexdigest()}}
        version = package["version"]
        document = {"name": name, "dist-tags": {"latest": version}, "versions": {version: one}}
        self.answer(200, json.dumps(document).encode(), "application/json")

    def pass_on(self, name: str, base: str) -> None:
        """A package manager, as this machine's own index has it."""
        path = fetched(name)
        if name == "uv" and not self.path.endswith(".whl"):
            return self.answer(200, f'<a href="/files/{path.name}">{path.name}</a>'.encode())
        if name == "uv" or self.path.endswith(".tgz"):
            return self.answer(200, path.read_bytes(), "application/octet-stream")
        with tarfile.open(path) as archive:
            package = json.load(archive.extractfile("package/package.json"))
        kept = {key: package[key] for key in ("name", "version", "bin") if key in package}
        self.describe(name, f"{base}/npm/{name}/-/{path.name}", path.read_bytes(), kept)

    def answer(self, status: int, content: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Quiet."""


FOLDERS: list[Path] = []


@cache
def fetched(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="paas-test-tool-"))
    FOLDERS.append(folder)
    words = ["npm", "pack", "--silent", TOOLS[name]]
    if name == "uv":
        words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", name]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=200)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def index():
    server = ThreadingHTTPServer(("0.0.0.0", 0), Index)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def builder(start_builder, index, tmp_path_factory):
    """One whose operator's home and environment name indexes and a proxy with passwords."""
    listed = subprocess.run(["docker", "network", "inspect", "bridge"], capture_output=True, text=True, check=True)
    host = index.host = gateway_of(json.loads(listed.stdout)[0])
    home, port = tmp_path_factory.mktemp("operator"), index.server_port
    (home / ".npmrc").write_text(
        f"registry=http://{host}:{port}/npm/\n//{host}:{port}/npm/:_authToken={NPM}\nfetch-retries=0\n"
    )
    (home / "sitecustomize.py").write_text(
        "import pwd\nwho = pwd.getpwuid(0)\n"
        f"pwd.getpwuid = lambda _: pwd.struct_passwd((*who[:5], {str(home)!r}, who[6]))\n"
    )
    return start_builder(
        "canaries",
        PYTHONPATH=str(home),
        PIP_INDEX_URL=f"http://user:{PIP}@{host}:{port}/simple/",
        PIP_TRUSTED_HOST=host,
        ftp_proxy=f"http://user:{PROXY}@192.0.2.200:3128",
        BUILD_POOL="0",
    )


@pytest.mark.parametrize(
    ("app", "files", "asks"),
    [
        ("key-pip", {**APP, "requirements.txt": "kept==1.0\n", "bin/pre_compile": TELLING}, "/simple/kept/"),
        ("key-poetry", LOCKED, "/simple/kept/"),
        ("key-npm", {"package.json": json.dumps({"name": "x", "version": "1.0.0", "dependencies": {"kept": "1.0.0"}}),
                     "Procfile": "web: x\n", "bin/pre_compile": TELLING}, "/npm/kept"),
        ("key-classic", {"Dockerfile": f"{STACK}RUN env; echo $ftp_proxy; date >/made\nCMD x\n"}, ""),
        ("key-buildkit", {"Dockerfile": f"{STACK}RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf env; cat "
                                        "/etc/pip.conf; date >/made\nCMD x\n"},
         ""),
    ],
)  # fmt: skip
async def test_a_build_uses_them_and_nothing_of_them_stays(
    builder, controller, registry, index, tmp_path, app, files, asks
):
    index.asked.clear()
    client = builder.client(tmp_path / "c", apps=(app,))
    out = client.push(client.repository(app, files), check=False)
    assert f"Done, {app}:v" in out, out
    assert not asks or asks in index.asked, "the index isn't asked with its password"
    await assert_nothing_stays(builder, controller, registry, app, out)


async def assert_nothing_stays(builder, controller, registry, app, out):
    """No canary in what was said, kept, recorded or put into the image."""
    run = next(run for run in controller.runs.values() if run["app"] == app)
    kept = "".join(path.read_text(errors="replace") for path in (builder.data / "logs" / app).iterdir())
    records = json.dumps([controller.end_of(app), run, controller.builds[-1]])
    async with RegistryClient(Registry(registry[0], USERNAME, PASSWORD)) as to:
        manifest = (await to.manifest(app, controller.builds[-1]["image"].rpartition("@")[2])).content
        parts = [part for part in (manifest["config"], *manifest["layers"]) if part["size"] < BASE]
        image = b"".join([await read(to, app, part["digest"]) for part in parts])
    assert len(parts) > 1 and len(image) > 500
    for word in CANARIES:
        assert word not in out and word not in kept and word not in records
        assert word.encode() not in image


SHOUTING = '#!/bin/sh\necho "it is $NPM_TOKEN $UV_INDEX_PRIVATE_PASSWORD"; env\n'
SHA512 = base64.b64encode(hashlib.sha512(PACKAGE).digest()).decode()
NODE = {"package.json": json.dumps({"name": "x", "version": "1.0.0", "dependencies": {"kept": "1.0.0"}}),
        ".npmrc": "registry=@INDEX@/npm/\nPLACE/npm/:_authToken=${NPM_TOKEN}\nalways-auth=true\n",
        "Procfile": "web: x\n", "bin/pre_compile": SHOUTING}  # fmt: skip
WITH_TOOLS = {
    "own-yarn": {**NODE, "yarn.lock": '# yarn lockfile v1\n\n\nkept@1.0.0:\n  version "1.0.0"\n'
                 f'  resolved "@INDEX@/npm/kept/-/kept-1.0.0.tgz#{hashlib.sha1(PACKAGE).hexdigest()}"\n'},
    "own-pnpm": {**NODE, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n\nsettings:\n  autoInstallPeers: true\n"
                 "  excludeLinksFromLockfile: false\n\nimporters:\n\n  .:\n    dependencies:\n      kept:\n"
                 "        specifier: 1.0.0\n        version: 1.0.0\n\npackages:\n\n  kept@1.0.0:\n"
                 f"    resolution: {{integrity: sha512-{SHA512}}}\n\nsnapshots:\n\n  kept@1.0.0: {{}}\n"},
    "own-uv": {"Procfile": "web: x\n", "bin/pre_compile": SHOUTING,
               "pyproject.toml": '[project]\nname = "x"\nversion = "0.1.0"\nrequires-python = ">=3.9"\n'
               'dependencies = ["kept==1.0"]\n\n[[tool.uv.index]]\nname = "private"\nurl = "@INDEX@/simple"\n'
               "default = true\n",
               "uv.lock": 'version = 1\nrequires-python = ">=3.9"\n\n[[package]]\nname = "kept"\nversion = "1.0"\n'
               'source = { registry = "@INDEX@/simple" }\nwheels = [{ url = "@INDEX@/files/kept-1.0-py3-none-any.whl", '
               f'hash = "sha256:{hashlib.sha256(WHEEL).hexdigest()}" }}]\n\n[[package]]\nname = "x"\n'
               'version = "0.1.0"\nsource = { virtual = "." }\ndependencies = [{ name = "kept" }]\n\n'
               '[package.metadata]\nrequires-dist = [{ name = "kept", specifier = "==1.0" }]\n'},
}  # fmt: skip


@pytest.mark.parametrize("app", WITH_TOOLS)
async def test_an_apps_own_index_tokens_stay_out_too(builder, controller, registry, index, tmp_path, app):
    """Of uv, yarn and pnpm, which come from the operator's index with the operator's password."""
    index.asked.clear()
    own = {"UV_INDEX_PRIVATE_USERNAME": "user", "UV_INDEX_PRIVATE_PASSWORD": OWN_UV}
    controller.config[app] = own if app == "own-uv" else {"NPM_TOKEN": OWN_NPM}
    address = f"http://{index.host}:{index.server_port}"
    files = {
        name: text.replace("@INDEX@", address).replace("PLACE", address.removeprefix("http:"))
        for name, text in WITH_TOOLS[app].items()
    }
    client = builder.client(tmp_path / "c", apps=(app,))
    out = client.push(client.repository(app, files), check=False)
    assert f"Done, {app}:v" in out, (out, index.asked)
    assert any(one.startswith("own ") and "kept" in one for one in index.asked), index.asked
    assert any(not one.startswith("own ") for one in index.asked), "the package manager isn't the operator's"
    await assert_nothing_stays(builder, controller, registry, app, out)


async def read(to, app, digest):
    """A blob as it is, and unpacked."""
    content = await to.blob(app, digest)
    return content + (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else b"")


def test_the_cause_of_a_failure_names_none(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("key-failing",))
    files = {
        **APP,
        "bin/pre_compile": "#!/bin/sh\ncat $PIP_CONFIG_FILE\nexit 3\n",
        "requirements.txt": "none-such==1\n",
    }
    path = client.repository("key-failing", files)
    assert PIP not in client.push(path, check=False)
    dockerfile = f"{STACK}RUN --mount=type=secret,id=pip.conf,target=/c false {PIP}\nCMD x\n"
    client.commit(path, {"Dockerfile": dockerfile})
    assert PIP not in client.push(path, check=False)
    assert PIP not in json.dumps(controller.end_of("key-failing")), "the record that everybody of the app can read"
