"""Buildpacks that an app brings itself, run by the classic interface."""

import functools
import http.server
import json
import subprocess
import tarfile
import threading

import pytest

from tests.builder.runtimes import gateway_of

pytestmark = pytest.mark.engine
DETECT = "#!/bin/sh\necho {name}\n"
COMPILE = """#!/bin/bash
echo "-----> {name} compiles"
[ "$1" = /app ] && [ -d "$2" ] && [ "$(cat "$3/COLOUR")" = blue ] || exit 7
echo "       count $(cat "$2/{name}" 2>/dev/null || echo 0), stack $STACK, version $SOURCE_VERSION"
echo 1 >"$2/{name}"
echo "made by {name}" >"$1/{name}.txt"
echo "export {name}=ready" >"$(dirname "$0")/../export"
{more}
"""
RELEASE = "#!/bin/sh\nprintf -- 'config_vars:\\n  PACK: {name}\\ndefault_process_types:\\n  web: cat {name}.txt\\n'\n"


def pack(name, more=""):
    return {
        f"vendor/{name}/bin/detect": DETECT.format(name=name),
        f"vendor/{name}/bin/compile": COMPILE.format(name=name, more=more),
        f"vendor/{name}/bin/release": RELEASE.format(name=name),
    }


def run_in(image, *command):
    words = ["docker", "run", "--rm", "--network", "none", image, *command]
    done = subprocess.run(words, capture_output=True, text=True)
    subprocess.run(["docker", "rmi", "-f", image], capture_output=True)
    return done.stdout


def login(registry):
    words = ["docker", "login", "-u", "paas", "--password-stdin", registry[0]]
    subprocess.run(words, input="secret-for-tests", text=True, capture_output=True, check=True)


def test_a_buildpack_url_gets_build_cache_and_config_and_sets_the_process(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("custom",))
    controller.config["custom"] = {"BUILDPACK_URL": "file:///app/vendor/one", "COLOUR": "blue"}
    path = client.repository("custom", pack("one"))
    commit = client.git("rev-parse", "HEAD", cwd=path).strip()
    out = client.push(path)
    assert "Fetching custom buildpack" in out and "one app detected" in out
    assert f"count 0, stack trixie, version {commit}" in out
    client.commit(path, {"x": "1"})
    assert "count 1" in client.push(path)
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "cat one.txt"}
    login(registry)
    assert run_in(build["image"], "/runner/init", "start", "web") == "made by one\n"
    controller.config["custom"]["DEIS_DISABLE_CACHE"] = "1"
    client.commit(path, {"x": "2"})
    assert "count 0" in client.push(path)
    assert "blue" not in run_in(controller.builds[-1]["image"], "/runner/init", "env; cat .profile.d/* 2>/dev/null")


def test_several_buildpacks_run_in_order_and_see_each_others_exports(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("several",))
    controller.config["several"] = {"COLOUR": "blue"}
    files = {
        **pack("one"),
        **pack("two", 'echo "       one is $one"'),
        "package.json": '{"name": "last"}',  # which says nothing of what starts
        ".buildpacks": "file:///app/vendor/one\nfile:///app/vendor/two\nnodejs\n",
    }
    out = client.push(client.repository("several", files))
    assert out.index("one compiles") < out.index("two compiles") and "one is ready" in out
    assert controller.builds[-1]["procfile"] == {"web": "cat two.txt"}


def test_a_buildpack_in_a_git_repository_is_taken_at_its_ref(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("bygit",))
    shelf = builder.data / "buildpacks"
    controller.config["bygit"] = {"COLOUR": "blue", "BUILDPACK_URL": f"file://{shelf}/pack.git#v1"}
    origin = client.repository("origin", {name.removeprefix("vendor/one/"): text for name, text in pack("one").items()})
    client.git("tag", "v1", cwd=origin)
    client.commit(origin, {"bin/compile": "#!/bin/sh\nexit 9\n"})
    path = client.repository("bygit", {"x": "1"})
    client.git("clone", "-q", "--bare", str(origin), str(shelf / "pack.git"))
    assert "one compiles" in client.push(path)


@pytest.fixture
def shelf(tmp_path):
    """A folder, and the address under which builds may ask for what is in it: the operator's index is there as well."""
    told = subprocess.run(["docker", "network", "inspect", "bridge"], capture_output=True, text=True, check=True)
    folder = tmp_path / "shelf"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://{gateway_of(json.loads(told.stdout)[0])}:{server.server_port}"
        server.shutdown()


def test_a_buildpack_of_a_git_host_is_taken_at_its_ref(start_builder, controller, shelf, tmp_path):
    folder, address = shelf
    builder = start_builder("githost", PIP_INDEX_URL=f"{address}/simple", BUILD_POOL="0")
    client = builder.client(tmp_path / "c", apps=("byhttp",))
    controller.config["byhttp"] = {"COLOUR": "blue", "BUILDPACK_URL": f"{address}/pack.git#v1"}
    origin = client.repository("origin", {name.removeprefix("vendor/one/"): text for name, text in pack("one").items()})
    client.git("tag", "v1", cwd=origin)
    client.commit(origin, {"bin/compile": "#!/bin/sh\nexit 9\n"})
    client.git("clone", "-q", "--bare", str(origin), str(folder / "pack.git"))
    client.git("update-server-info", cwd=folder / "pack.git")
    path = client.repository("byhttp", {"x": "1"})
    assert "one compiles" in client.push(path)
    controller.config["byhttp"]["BUILDPACK_URL"] = f"{address}/none.git#v1"
    client.commit(path, {"x": "2"})
    assert "can't be fetched: fatal: repository" in client.push(path, check=False)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("not a url", "is not a URL"),
        ("file:///etc", "can't be fetched"),
        ("https://buildpacks.invalid/x.git", "can't be fetched"),
    ],
)
def test_a_buildpack_that_cannot_be_had_is_told(builder, controller, tmp_path, url, words):
    client = builder.client(tmp_path / "c", apps=("lost",))
    controller.config["lost"] = {"BUILDPACK_URL": url}
    out = client.push(client.repository("lost", {"x": "1"}), check=False)
    errors = [line for line in out.splitlines() if " !     " in line]
    assert len(errors) == 1 and words in errors[0]


def test_a_tarball_is_a_buildpack_with_or_without_a_folder_around_it(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("packed",))
    controller.config["packed"] = {"COLOUR": "blue"}
    path = client.repository(
        "packed", {**pack("one"), **pack("two"), ".buildpacks": "file:///app/a.tgz\nfile:///app/b.tar.gz\n"}
    )
    for name, archive, around in (("one", "a.tgz", ""), ("two", "b.tar.gz", "pack-main/")):
        with tarfile.open(path / archive, "w:gz") as target:
            target.add(path / "vendor" / name / "bin", arcname=f"{around}bin")
    client.commit(path)
    out = client.push(path)
    assert "one compiles" in out and "two compiles" in out
    assert controller.builds[-1]["procfile"] == {"web": "cat two.txt"}


def test_what_slugignore_names_is_gone_before_buildpacks_run(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("slugs",))
    controller.config["slugs"] = {"COLOUR": "blue", "BUILDPACK_URL": "file:///app/vendor/one"}
    more = 'echo "       left: $(ls docs notes.md 2>&1 | tr "\\n" " ")"; mkdir -p docs; echo made >docs/page'
    files = {
        **pack("one", more),
        ".slugignore": "/docs\n*.md\n",
        "docs/a": "a",
        "notes.md": "n",
        "Procfile": "web: cat docs/page\n",
    }
    out = client.push(client.repository("slugs", files))
    assert "'docs': No such file" in out and "'notes.md': No such file" in out
    assert run_in(controller.builds[-1]["image"], "/runner/init", "start", "web") == "made\n"


def test_profile_scripts_export_and_hooks_reach_what_comes_after(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("hooked",))
    controller.config["hooked"] = {"COLOUR": "blue", "STACK": "heroku-24"}
    more = 'mkdir -p "$1/.profile.d"; echo "export FROM_PROFILE=yes" >"$1/.profile.d/one.sh"; cat "$1/before"'
    show = 'echo "hook sees $COLOUR, $(basename "$1") $(basename "$2") $(basename "$3")"'
    files = {
        **pack("one", more),
        ".buildpacks": "file:///app/vendor/one\n",
        "bin/pre_compile": f"#!/bin/bash\n{show}; echo before >before\n",
        "bin/post_compile": "#!/bin/bash\necho after: $(cat one.txt)\n",
        "Procfile": 'web: echo "$FROM_PROFILE $PACK"\n',
    }
    out = client.push(client.repository("hooked", files))
    assert "hook sees blue, app cache env" in out and "after: made by one" in out and "stack heroku-24" in out
    login(registry)
    assert run_in(controller.builds[-1]["image"], "/runner/init", "start", "web") == "yes one\n"


@pytest.mark.parametrize(
    ("part", "text", "words"),
    [
        ("compile", "#!/bin/sh\nexit 23\n", "one's bin/compile failed with exit code 23."),
        ("release", "#!/bin/sh\nexit 3\n", "one's bin/release failed with exit code 3."),
        ("detect", "#!/bin/sh\nexit 1\n", "says this app is not one of its kind (bin/detect)."),
    ],
)
def test_a_step_that_fails_ends_the_build_with_its_exit_code(builder, controller, tmp_path, part, text, words):
    client = builder.client(tmp_path / "c", apps=(f"broken{part}",))
    controller.config[f"broken{part}"] = {"COLOUR": "blue", "BUILDPACK_URL": "file:///app/vendor/one"}
    files = {**pack("one"), f"vendor/one/bin/{part}": text}
    assert words in client.push(client.repository(f"broken{part}", files), check=False)


def test_ours_run_by_name_before_one_of_the_apps(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("mixed",))
    controller.config["mixed"] = {"COLOUR": "blue"}
    files = {
        **pack("one"),
        ".buildpacks": "heroku/nodejs\nfile:///app/vendor/one\n",
        "package.json": '{"scripts": {"build": "echo built >built.txt"}}',
    }
    out = client.push(client.repository("mixed", files))
    assert out.index("npm run build") < out.index("one compiles")
    assert controller.builds[-1]["procfile"] == {"web": "cat one.txt"}
