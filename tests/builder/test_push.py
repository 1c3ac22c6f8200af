"""Real git clients push to a real builder, registry and engine; only the controller is a double."""

import json
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.engine


@contextmanager
def running(builder, registry, image, *command, env=None, port=5000):
    """The image as a container; its base URL."""
    host, credentials = registry
    login = json.loads(credentials.read_text())
    words = ["docker", "login", "-u", login["username"], "--password-stdin", host]
    subprocess.run(words, input=login["password"], text=True, capture_output=True, check=True)
    flags = [word for key, value in (env or {}).items() for word in ("-e", f"{key}={value}")]
    words = ["docker", "run", "-d", "--network", f"{builder.env['BUILDER_INSTANCE']}-builds", *flags, image, *command]
    container = subprocess.run(words, text=True, capture_output=True, check=True).stdout.strip()
    try:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        words = ["docker", "inspect", "-f", form, container]
        address = subprocess.run(words, text=True, capture_output=True, check=True).stdout.strip()
        yield f"http://{address}:{port}", container
    finally:
        logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
        print(logs.stdout, logs.stderr)
        subprocess.run(["docker", "rm", "-f", container], capture_output=True)
        subprocess.run(["docker", "rmi", "-f", image], capture_output=True)


def get(url, seconds=60.0, **headers):
    """Status, headers and body, tried until the process listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as exc:
            return exc.code, exc.headers, exc.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_a_python_app_becomes_an_image_and_a_release(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("hello",))
    path = client.repository("hello", EXAMPLES / "python-web")
    commit = client.git("rev-parse", "HEAD", cwd=path).strip()
    out = client.push(path)
    assert "-----> Python app detected" in out
    assert "Procfile declares types -> web, worker" in out
    assert "Done, hello:v" in out and "deployed to http://hello.paas.test" in out
    build = controller.builds[-1]
    assert build["sha"] == commit[:8] and build["receive_user"] == "alice" and build["receive_repo"] == "hello"
    assert build["procfile"].keys() == {"web", "worker"} and build["dockerfile"] == ""
    assert build["image"].startswith(f"{registry[0]}/hello@sha256:")

    first = build["image"]
    client.commit(path, {"app.py": (path / "app.py").read_text().replace('VERSION = "1"', 'VERSION = "2"')})
    out = client.push(path)
    assert "Dependencies are unchanged" in out and "Installing" not in out
    second = controller.builds[-1]["image"]
    assert first != second
    with running(
        builder, registry, second, "/runner/init", "start", "web", env={"PORT": "5000", "GREETING": "Servus"}
    ) as (
        url,
        _,
    ):
        status, _, body = get(url + "/api")
        assert status == 200 and json.loads(body)["version"] == "2" and json.loads(body)["greeting"] == "Servus"


def test_code_that_is_installed_is_installed_anew_when_it_changes(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("packaged",))
    project = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    project += '[project]\nname = "packaged"\nversion = "1"\ndependencies = []\n'
    files = {"pyproject.toml": project, "src/packaged/__init__.py": "print('first')\n"}
    path = client.repository("packaged", files | {"Procfile": "web: python -m packaged.__init__"})
    assert "Installing dependencies" in client.push(path)
    client.commit(path, {"src/packaged/__init__.py": "print('second')\n"})
    client.push(path)
    image = controller.builds[-1]["image"]
    with running(builder, registry, image, "/runner/init", "start", "web") as (_, container):
        subprocess.run(["docker", "wait", container], capture_output=True, timeout=60)
        logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True).stdout
    assert "second" in logs and "first" not in logs


def test_requirements_that_others_include_are_looked_at_too(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("nested",))
    files = {
        "requirements.txt": "-r requirements/web.txt  # and what that includes\n",
        "requirements/web.txt": "-r common.txt\n",
        "requirements/common.txt": "iniconfig==2.0.0\n",
        "app.py": "print('here')\n",
    }
    path = client.repository("nested", files | {"Procfile": "web: python app.py"})
    assert "Installing dependencies" in client.push(path)
    client.commit(path, {"app.py": "print('there')\n"})
    assert "Dependencies are unchanged" in client.push(path)
    client.commit(path, {"requirements/common.txt": "iniconfig==2.1.0\n"})
    assert "iniconfig-2.1.0" in client.push(path)


def test_a_node_app_keeps_its_dependencies_between_pushes(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("nodely",))
    path = client.repository("nodely", EXAMPLES / "node-web")
    assert "-----> Node.js app detected" in client.push(path)
    client.commit(path, {"note.txt": "two"})
    assert "Dependencies are unchanged" in client.push(path)
    image = controller.builds[-1]["image"]
    with running(builder, registry, image, "/runner/init", "start", "web", env={"PORT": "5000"}) as (url, _):
        assert json.loads(get(url)[2])["greeting"] == "Hello"


def test_a_node_build_script_runs_with_everything_and_ships_without(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("bundled",))
    package = {
        "name": "bundled", "version": "1.0.0",
        "scripts": {"build": "node build.js", "start": "node out.js"},
        "dependencies": {"ms": "2.1.3"}, "devDependencies": {"is-odd": "3.0.1"},
    }  # fmt: skip
    program = "console.log('built', typeof require('ms'), require('fs').existsSync('node_modules/is-odd'))"
    source = f"require('is-odd'); require('fs').writeFileSync('out.js', {json.dumps(program)})"
    path = client.repository("bundled", {"package.json": json.dumps(package), "build.js": source})
    for _ in range(2):
        out = client.push(path)
        assert "Building (npm run build)" in out
        client.commit(path, {"note.txt": out[:10]})
    assert controller.builds[-1]["procfile"] == {"web": "npm start"}
    with running(builder, registry, controller.builds[-1]["image"], "/runner/init", "start", "web") as (_, container):
        subprocess.run(["docker", "wait", container], capture_output=True, timeout=60)
        logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True).stdout
        assert "built function false" in logs


def test_a_static_site_is_served_with_fallback_headers_and_compression(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("site",))
    path = client.repository("site", EXAMPLES / "static-site")
    assert "-----> Static site app detected" in client.push(path)
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "/app/.static/start"}
    with running(
        builder, registry, build["image"], "/runner/init", "start", "web", env={"PORT": "8123"}, port=8123
    ) as (url, _):
        status, _, body = get(url + "/some/where")
        assert status == 200 and "A static site" in body
        assert get(url + "/")[0] == 200
        status, headers, _ = get(url + "/style.css", **{"Accept-Encoding": "gzip"})
        assert status == 200 and headers["Cache-Control"] == "public, max-age=3600"
        assert get(url + "/.static/start")[0] == 404


def test_steps_of_a_dockerfile_that_did_not_change_are_not_run_again(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("cached",))
    text = f"FROM paas/stack:trixie\nRUN echo {secrets.token_hex(8)} > /tmp/once\nCOPY x /app/x\nCMD cat /app/x\n"
    path = client.repository("cached", {"Dockerfile": text, "x": "1"})
    assert "Using cache" not in client.push(path)
    client.commit(path, {"x": "2"})
    assert client.push(path).count("Using cache") == 1


def test_a_dockerfile_is_built_and_its_port_is_told(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("boxed",))
    path = client.repository("boxed", EXAMPLES / "dockerfile")
    out = client.push(path)
    build = controller.builds[-1]
    assert "Dockerfile app detected" in out
    assert build["dockerfile"] == "true" and build["ports"] == [8000] and build["procfile"] == {}
    with running(builder, registry, build["image"], port=8000) as (url, _):
        assert json.loads(get(url)[2])["version"] == "1"
