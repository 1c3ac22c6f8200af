"""Apps whose own code is among what is kept between pushes: workspaces, generated clients, compiled modules."""

import json
import subprocess

import pytest

from tests.builder.test_push import get, running

pytestmark = pytest.mark.engine
FAST_C = """#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(ANSWER); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "inner", 0, -1, methods};
PyMODINIT_FUNC PyInit_inner(void) { return PyModule_Create(&module); }
"""
SETUP = """from setuptools import Extension, setup
setup(name="fast", version="1", packages=["fast"], ext_modules=[Extension("fast.inner", ["fast/inner.c"])])
"""


def said(builder, registry, image):
    with running(builder, registry, image, "/runner/init", "start", "web") as (_, container):
        subprocess.run(["docker", "wait", container], capture_output=True, timeout=60)
        return subprocess.run(["docker", "logs", container], capture_output=True, text=True).stdout.strip()


def test_each_package_of_a_workspace_keeps_its_own_dependencies(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("workspaces",))
    root = {
        "name": "root", "private": True, "workspaces": ["packages/*"], "dependencies": {"ms": "2.1.3"},
        "scripts": {"build": "npm run build -w @me/lib", "start": "node index.js"},
    }  # fmt: skip
    inner = {"name": "@me/lib", "version": "1.0.0", "dependencies": {"ms": "1.0.0"}, "scripts": {"build": "node index"}}
    files = {
        "package.json": json.dumps(root),
        "packages/lib/package.json": json.dumps(inner),
        "packages/lib/index.js": "module.exports = require('ms/package.json').version",
        "index.js": "console.log(require('ms/package.json').version, require('@me/lib'))",
    }
    path = client.repository("workspaces", files)
    assert "Installing dependencies with npm" in client.push(path)
    client.commit(path, {"note.txt": "two"})
    out = client.push(path)
    assert "Dependencies are unchanged" in out and "dependencies unchanged" in out
    assert said(builder, registry, controller.builds[-1]["image"]).endswith("2.1.3 1.0.0")


def test_what_a_build_script_writes_among_the_dependencies_is_of_that_build(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("generated",))
    package = {
        "name": "generated", "dependencies": {"ms": "2.1.3"},
        "scripts": {"build": "cp schema.txt node_modules/ms/schema.txt", "start": "cat node_modules/ms/schema.txt"},
    }  # fmt: skip
    path = client.repository("generated", {"package.json": json.dumps(package), "schema.txt": "one"})
    client.push(path)
    client.commit(path, {"schema.txt": "two"})
    assert "Dependencies are unchanged" in client.push(path)
    assert said(builder, registry, controller.builds[-1]["image"]).endswith("two")


def test_processes_have_the_package_manager_that_the_lock_file_names(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("yarned",))
    package = {"name": "yarned", "engines": {"yarn": "1.x"}, "scripts": {"build": "yarn inner", "inner": "yarn -v >v"}}
    files = {"package.json": json.dumps(package), "yarn.lock": "# yarn lockfile v1\n", "Procfile": "web: yarn -v"}
    path = client.repository("yarned", files)
    assert "Building (yarn run build)" in client.push(path)
    assert said(builder, registry, controller.builds[-1]["image"]).startswith("1.")


def test_a_site_that_a_build_script_makes_is_served_without_a_start_script(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("bundle",))
    package = {"name": "bundle", "scripts": {"build": "mkdir -p dist && echo made >dist/index.html"}}
    path = client.repository("bundle", {"package.json": json.dumps(package), "index.html": "the source"})
    assert "Serving what the build made as a static site" in client.push(path)
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "/app/.static/start"}
    environment = {"PORT": "5000"}
    with running(builder, registry, build["image"], "/runner/init", "start", "web", env=environment) as (url, _):
        assert get(url + "/some/where")[2] == "made\n"


@pytest.mark.parametrize("requirement", [".", "-e ."])
def test_a_compiled_module_of_the_app_follows_its_source(builder, controller, registry, tmp_path, requirement):
    name = f"compiled{len(requirement)}"
    client = builder.client(tmp_path / "c", apps=(name,))
    files = {
        "requirements.txt": f"{requirement}\n", "setup.py": SETUP, "Procfile": "web: python main.py\n",
        "fast/__init__.py": "", "fast/inner.c": FAST_C.replace("ANSWER", "41"),
        "main.py": "import fast.inner\nprint(fast.inner.answer())\n",
    }  # fmt: skip
    path = client.repository(name, files)
    client.push(path)
    client.commit(path, {"fast/inner.c": FAST_C.replace("ANSWER", "42")})
    assert "Installing dependencies" in client.push(path)
    client.commit(path, {"note.txt": "three"})
    assert "Dependencies are unchanged" in client.push(path)
    assert said(builder, registry, controller.builds[-1]["image"]) == "42"
