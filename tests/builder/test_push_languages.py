"""Languages that are installed when the first app needs them, from a push to an answer."""

import os
import shutil
import subprocess

import pytest

from tests.builder import language_apps
from tests.builder.test_push import get, running

pytestmark = pytest.mark.engine


def answer(builder, registry, image, path="/", **headers):
    with running(builder, registry, image, "/runner/init", "start", "web", env={"PORT": "5000"}) as (url, _):
        return get(url + path, **headers)


def test_a_ruby_app_is_built_with_its_gems_and_keeps_them(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("gems",))
    path = client.repository("gems", language_apps.RUBY)
    language_apps.write_gem(path / "vendor/cache/greeting-1.0.0.gem")
    client.commit(path)
    out = client.push(path)
    assert "-----> Ruby app detected" in out and "Installing dependencies with bundler" in out
    client.commit(path, {"note.txt": "x"})
    out = client.push(path)
    assert "Dependencies are unchanged (Gemfile.lock)" in out and "dependencies unchanged" in out
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "bundle exec ruby app.rb"} and build["stack"].endswith("-ruby")
    assert answer(builder, registry, build["image"])[2] == "Hello from Ruby production"


@pytest.mark.languages
def test_a_go_app_becomes_a_program_on_the_plain_stack(start_builder, controller, registry, tmp_path):
    builder = start_builder("gopher", BUILD_MEMORY=str(1 << 30))  # all of net/http is compiled the first time
    client = builder.client(tmp_path / "c", apps=("gopher",))
    out = client.push(client.repository("gopher", language_apps.GO))
    assert "-----> Go app detected" in out and "Modules come from vendor/" in out
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "/app/bin/hello"} and build["stack"] == builder.env["STACK_IMAGE"]
    assert answer(builder, registry, build["image"])[2] == "Hello from Go"


@pytest.mark.languages
def test_a_php_app_runs_behind_nginx_with_its_packages(builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("phpapp",))
    path = client.repository("phpapp", language_apps.PHP)
    language_apps.write_composer_package(path)
    client.commit(path)
    out = client.push(path)
    assert "-----> PHP app detected" in out
    client.commit(path, {"note.txt": "x"})
    assert "Dependencies are unchanged (composer.lock)" in client.push(path)
    image = controller.builds[-1]["image"]
    with running(builder, registry, image, "/runner/init", "start", "web", env={"PORT": "5000"}) as (url, container):
        assert get(url + "/some/where?x=1")[2] == "Hello from PHP /some/where?x=1 1"
        assert get(url + "/style.css")[1]["Content-Type"] == "text/css"
        assert get(url + "/.secret")[0] == 404
        subprocess.run(["docker", "stop", "-t", "10", container], capture_output=True, timeout=20)
        words = ["docker", "inspect", "-f", "{{.State.ExitCode}}", container]
        assert subprocess.run(words, capture_output=True, text=True).stdout.strip() == "0"


@pytest.mark.languages
@pytest.mark.skipif("TEST_MAVEN_REPOSITORY" not in os.environ, reason="TEST_MAVEN_REPOSITORY: a folder to build from")
def test_a_java_app_is_built_by_maven_and_runs_its_jar(builder, controller, registry, tmp_path):
    repository = builder.data / "buildpacks" / "maven"  # what builds can see of this host
    shutil.copytree(os.environ["TEST_MAVEN_REPOSITORY"], repository)
    client = builder.client(tmp_path / "c", apps=("javanese",))
    settings = language_apps.MAVEN_SETTINGS.format(repository=repository)
    controller.config["javanese"] = {"JAVA_OPTS": "-Xmx64m"}
    path = client.repository("javanese", {**language_apps.JAVA, "settings.xml": settings})
    assert "-----> Java app detected" in client.push(path)
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "java $JAVA_OPTS -jar target/hello-1.jar"}
    assert answer(builder, registry, build["image"])[2] == "Hello from Java"
    client.commit(path, {"src/main/java/Hello.java": "class Hello { int x = nothing; }\n"})
    assert "The program doesn't compile: src/main/java/Hello.java:[1,23]" in client.push(path, check=False)
