"""Which languages a tree needs, and what installing them means."""

import subprocess
from pathlib import Path

import pytest
import yaml

from builder.detect import named_buildpacks, needed_languages, our_buildpack
from builder.host_config import HostConfig
from builder.stack import toolchains

PACKS = Path(__file__).resolve().parents[2] / "builder" / "buildpacks"
LIBRARY = PACKS / "lib.sh"


@pytest.mark.parametrize(
    ("files", "language"),
    [
        (["requirements.txt"], ""),
        (["requirements.txt", "Gemfile"], ""),
        (["package.json"], ""),
        (["package.json", "index.php"], ""),
        (["package.json", "Gemfile"], "ruby"),
        (["package.json", "composer.json"], "php"),
        (["Gemfile"], "ruby"),
        (["go.mod"], "go"),
        (["composer.json"], "php"),
        (["index.php"], "php"),
        (["pom.xml"], "java"),
        (["index.html"], ""),
        ([], ""),
    ],
)
def test_the_languages_installed_are_those_the_buildpacks_detect(tmp_path, files, language):
    for name in files:
        (tmp_path / name).write_text("{}")
    assert needed_languages(files, []) == ({language} if language else set())
    if language:
        assert subprocess.run([PACKS / language / "bin/detect", tmp_path], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("files", "programs", "web"),
    [
        ({"app.py": "app = Flask(__name__)\n"}, ["gunicorn"], "gunicorn app:app --bind 0.0.0.0:$PORT"),
        ({"main.py": "api: Any = flask.Flask('x')\n"}, ["gunicorn"], "gunicorn main:api --bind 0.0.0.0:$PORT"),
        ({"main.py": "app = FastAPI()\n"}, ["uvicorn"], "uvicorn main:app --host 0.0.0.0 --port $PORT"),
        ({"main.py": "app = FastAPI()\n"}, ["gunicorn"], "python main.py"),
        ({"app.py": "app = Flask(__name__)\n"}, [], "python app.py"),
        ({"app.py": "app = Flask(__name__)\napp.run(port=environ['PORT'])\n"}, ["gunicorn"], "python app.py"),
        ({"app.py": "import bot\n", "main.py": "app = Flask(__name__)\n"}, ["gunicorn"], "python app.py"),
        ({"wsgi.py": "", "app.py": ""}, ["gunicorn"], "gunicorn wsgi --bind 0.0.0.0:$PORT"),
        ({"shop/wsgi.py": "", "manage.py": ""}, ["gunicorn"], "gunicorn shop.wsgi --bind 0.0.0.0:$PORT"),
        ({"tasks.py": ""}, ["gunicorn"], ""),
    ],
)
def test_the_usual_process_of_a_python_app(tmp_path, files, programs, web):
    for name, text in (files | {f".heroku/python/bin/{program}": "" for program in programs}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    said = subprocess.run([PACKS / "python/bin/release", tmp_path], capture_output=True, text=True, check=True).stdout
    assert yaml.safe_load(said) == ({"default_process_types": {"web": web}} if web else {})


def test_named_buildpacks_decide_instead_of_files():
    assert needed_languages(["index.html"], ["heroku/nodejs", "heroku/ruby", "heroku/jvm"]) == {"ruby", "java"}
    assert needed_languages(["Gemfile"], ["https://git.test/pack.git"]) == set()
    assert named_buildpacks({}, "# ours\nheroku/nodejs\n\nruby\n") == ["heroku/nodejs", "ruby"]
    assert named_buildpacks({"BUILDPACK_URL": "https://git.test/x"}, "ruby") == ["https://git.test/x"]
    assert [our_buildpack(name) for name in ("paas/go", "cobol", "heroku/../x")] == ["go", "", ""]


def test_images_are_named_by_what_they_add():
    images = toolchains.name_images("paas/stack:trixie", "paas/stack-build:trixie", {"ruby", "java"})
    assert images == toolchains.Images("paas/stack:trixie-java-ruby", "paas/stack-build:trixie-java-ruby")
    images = toolchains.name_images("paas/stack:trixie", "paas/stack-build:trixie", {"go"})
    assert images == toolchains.Images("paas/stack:trixie", "paas/stack-build:trixie-go")


def test_every_language_has_packages_to_build_with():
    assert toolchains.known() == set(toolchains.TOLD)
    assert all(toolchains.packages([name], "build") for name in toolchains.known())


@pytest.fixture
def explain(tmp_path):
    """What a buildpack makes of an installer's log."""

    def told(language: str, log: str) -> str:
        (tmp_path / "log").write_text(log)
        script = f'LOG={tmp_path}/log; . "{LIBRARY}"; cause_of <"{PACKS}/{language}/causes"'
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20).stdout.strip()

    return told


@pytest.mark.parametrize(
    ("language", "log", "words"),
    [
        (
            "ruby",
            "Your Ruby version is 3.3.8, but your Gemfile specified 3.2.2",
            "asks for Ruby 3.2.2; this stack has 3.3.8",
        ),
        ("ruby", "An error occurred while installing pg (1.5.4), and Bundler cannot continue.", "The gem pg 1.5.4"),
        ("ruby", "Could not reach host gems.example.test. Check your network", "bundle package --all"),
        ("ruby", "Bundler::GemNotFound\nCould not find rack-3.1.0 in cached gems", "asks for rack-3.1.0, which"),
        ("go", "go: inconsistent vendoring in /app:\n\tx is explicitly required", "Run: go mod vendor"),
        ("go", "./main.go:3:8: undefined: foo", "doesn't compile: ./main.go:3:8: undefined: foo"),
        (
            "go",
            "main.go:4:2: no required module provides package github.com/a/b; to add it:",
            "Run: go get github.com/a/b,",
        ),
        ("go", "dial tcp: lookup proxy.example.test: no such host", "GOPROXY"),
        (
            "php",
            "- x requires php ^7.4 but your php version (8.4.2) does not satisfy it.",
            "asks for PHP ^7.4; this stack has 8.4.2",
        ),
        ("php", "  - acme/x 1.0 requires ext-mongodb * -> it is missing from your system.", "extension mongodb"),
        ("php", 'Required package "a/b" is not present in the lock file.', "composer update --lock"),
        (
            "java",
            "[ERROR] /app/src/main/java/A.java:[3,5] cannot find symbol",
            "src/main/java/A.java:[3,5] cannot find symbol",
        ),
        (
            "java",
            "[ERROR] Could not transfer artifact a:b:pom:1 from/to central (https://r): Unknown host r",
            "Maven repository can't be reached",
        ),
        (
            "java",
            "[ERROR] \tCould not be resolved: a:b:pom:1 (absent): Could not transfer artifact a:b:pom:1 from/to "
            "central (https://r.test/m2): transfer failed for https://r.test/m2/a/b/1/b-1.pom",
            "The Maven repository https://r.test/m2 can't be reached from builds (asked for a:b:pom:1)",
        ),
        (
            "java",
            "[ERROR] Could not transfer artifact a:b:pom:1 from/to own (https://r.test): status code: 401, reason",
            "The Maven repository https://r.test refuses to give a:b:pom:1.",
        ),
        ("java", "[ERROR] Fatal error compiling: error: release version 25 not supported", "asks for Java 25"),
    ],
)
def test_common_failures_are_told_with_the_next_command(explain, language, log, words):
    assert words in explain(language, log)


def test_an_unknown_failure_is_left_to_the_last_line(explain):
    assert explain("ruby", "something odd\n") == ""


def test_passwords_of_indexes_are_known_to_be_hidden():
    config = HostConfig(
        {"BUNDLE_GEMS__EXAMPLE__COM": "bob:gempass1"},
        (),
        {
            "pip.conf": "index-url = https://me:pippass1@pip.test/simple\n",
            "npmrc": "//r.test/:_authToken=npmtoken1\nregistry=https://r.test\n",
            "maven-settings.xml": "<server><password>mavenpass1</password></server>",
            "composer-auth.json": '{"bearer": {"p.test": "composertoken1"}}',
        },
    )
    found = set(config.credentials().values())
    assert {"pippass1", "npmtoken1", "mavenpass1", "composertoken1"} <= found
    assert any("gempass1" in word for word in found)
