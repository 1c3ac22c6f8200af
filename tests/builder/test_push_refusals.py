"""What a pusher reads when something must not or can't happen, and that nothing of it stays."""

import os
import signal
import subprocess
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine
APP = {"requirements.txt": "", "Procfile": "web: python3 -m http.server $PORT\n"}


def cause(out: str) -> list[str]:
    """The lines marked as errors."""
    return [line.split(" !     ", 1)[1].strip() for line in out.splitlines() if line.startswith("remote:  !     ")]


def head(builder, app) -> str:
    path = builder.data / "repos" / f"{app}.git" / "refs" / "heads" / "master"
    return path.read_text().strip() if path.exists() else ""


def containers(builder) -> list[str]:
    mark = f"label=paas.io/instance={builder.env['BUILDER_INSTANCE']}"
    return subprocess.run(["docker", "ps", "-aq", "--filter", mark], capture_output=True, text=True).stdout.split()


def test_an_unknown_key_is_refused(builder, tmp_path):
    stranger = builder.client(tmp_path / "s")
    builder.controller.users.popitem()
    path = stranger.repository("keyless", APP)
    assert "Permission denied (publickey)" in stranger.push(path, check=False)


def test_an_app_of_someone_else_or_nobody_is_refused(builder, tmp_path):
    owner = builder.client(tmp_path / "o", user="owner", apps=("foobar",))
    mallory = builder.client(tmp_path / "m", user="mallory")
    out = mallory.push(mallory.repository("foobar", APP), check=False)
    assert "remote error: mallory may not push to foobar" in out
    out = owner.push(owner.repository("foo", APP), check=False)
    assert "remote error: There is no app foo." in out


@pytest.mark.parametrize("path", ["../../etc", "a b", "x;id", "UPPER", "-dash", "foobar.git/objects"])
def test_a_path_that_is_no_app_is_refused(builder, tmp_path, path):
    client = builder.client(tmp_path / "c", apps=("foobar",))
    out = client.git("ls-remote", f"ssh://git@127.0.0.1:{builder.port}/{path}", check=False)
    assert "is not an app" in out


def test_only_git_and_ping_run(builder, tmp_path):
    client = builder.client(tmp_path / "c")
    ssh = client.env["GIT_SSH_COMMAND"].split() + ["-p", str(builder.port), "git@127.0.0.1"]
    done = subprocess.run([*ssh, "ping"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("pong\n", 0)
    done = subprocess.run([*ssh, "cat /etc/passwd"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == "" and "nothing else" in done.stderr
    done = subprocess.run(ssh, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "nothing else" in done.stderr


def test_other_branches_get_the_line_to_type(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("branchy",))
    path = client.repository("branchy", APP)
    out = client.push(path, "master:feature", check=False)
    assert cause(out) == ["Only master and main are deployed. To deploy this branch: git push deis feature:master"]
    assert "Done, branchy:v" in client.push(path, "master", "master:refs/tags/v1.0")
    out = client.push(path, "--delete", "master", check=False)
    assert "master can't be deleted" in cause(out)[0]
    before = len(builder.controller.builds)
    client.git("tag", "later", cwd=path)
    assert "Tags are kept" in client.push(path, "later") and len(builder.controller.builds) == before
    out = client.push(path, "master:main", "HEAD:refs/heads/side", check=False)
    assert "Done, branchy:v" in out and "git push deis side:master" in out
    assert (builder.data / "repos/branchy.git/refs/heads/main").exists()
    assert not (builder.data / "repos/branchy.git/refs/heads/side").exists()


def test_what_was_pushed_can_be_cloned(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("mirror",))
    path = client.repository("mirror", APP)
    client.git("branch", "-m", "main", cwd=path)
    client.push(path, "main")
    client.git("clone", "-q", f"ssh://git@127.0.0.1:{builder.port}/mirror.git", "copy")
    assert (client.folder / "copy" / "Procfile").read_text() == APP["Procfile"]


def test_a_refused_deploy_leaves_the_ref_where_it_was(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("steady",))
    path = client.repository("steady", APP)
    client.push(path)
    before = head(builder, "steady")
    client.commit(path, {"x": "1"})
    controller.refuse = "web crashed with exit code 1"
    out = client.push(path, check=False)
    assert cause(out) == ["web crashed with exit code 1"] and "pre-receive hook declined" in out
    assert head(builder, "steady") == before
    controller.refuse = ""
    controller.stream = [{"message": "web: 1 of 1 ready"}]
    assert "remote:        web: 1 of 1 ready" in client.push(path)
    assert head(builder, "steady") != before


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
STACK = "FROM paas/stack:trixie\n"


MOVE = "#!/bin/sh\nmv /workspace/app /workspace/gone && ln -s /etc /workspace/app\n"
SLOW = {**APP, "bin/pre_compile": "#!/bin/sh\necho waiting in the build\nsleep 31.731\n"}
SLOW_DOCKERFILE = {"Dockerfile": STACK + "RUN echo waiting in the build && sleep 31.731\n"}


@pytest.mark.parametrize(
    ("app", "files", "words"),
    [
        ("nothing", {"notes.md": "x"}, "No buildpack knows this app"),
        ("nocmd", {"requirements.txt": "", "Procfile": "web:\n"}, "gives no command for process type 'web'"),
        ("badline", {"requirements.txt": "", "Procfile": "just words\n"}, "Procfile line 1 is not `type: command`"),
        ("noproc", {"requirements.txt": ""}, "Nothing says how to start this app"),
        ("nodist", {**APP, "requirements.txt": "no-such-package-123==9\n"}, "asks for no-such-package-123"),
        ("badreq", {**APP, "requirements.txt": "flask === = 1\n"}, "not a requirement"),
        ("oldpy", {**APP, "runtime.txt": "python-2.7.18\n"}, "runtime.txt asks for Python 2.7.18; this stack has 3.13"),
        ("badjson", {"package.json": "{"}, "package.json is not valid JSON"),
        ("hook", {**APP, "bin/post_compile": "#!/bin/sh\nexit 3\n"}, "bin/post_compile failed with exit code 3"),
        ("mover", {**APP, "bin/post_compile": MOVE}, "moved its folder app away"),
        ("lfs", {**APP, "a.bin": LFS}, "Git LFS pointer"),
        ("reserved", {**APP, ".paas/x": "1"}, "reserved"),
        ("dfsyntax", {"Dockerfile": STACK + "NONSENSE x\n"}, "The Dockerfile can't be read"),
        ("dffail", {"Dockerfile": STACK + "RUN exit 9\nCMD x\n"}, "exit code 9: RUN exit 9"),
        ("dfoom", {"Dockerfile": STACK + "RUN python3 -c 'bytearray(1 << 30)'\nCMD x\n"}, "out of memory at 256 MiB"),
        ("dfnocmd", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}, "no CMD and no ENTRYPOINT"),
        ("dfbase", {"Dockerfile": "FROM registry.invalid/x:1\n"}, "(FROM) can't be fetched"),
    ],
)  # fmt: skip
def test_a_broken_tree_is_refused_with_its_cause_in_one_line(builder, tmp_path, app, files, words):
    client = builder.client(tmp_path / "c", apps=(app,))
    out = client.push(client.repository(app, files), check=False)
    assert "pre-receive hook declined" in out
    assert len(cause(out)) == 1 and words in cause(out)[0], out
    assert head(builder, app) == ""


def test_a_submodule_is_refused(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("modular",))
    path = client.repository("modular", APP)
    inner = client.repository("inner", {"x": "1"})
    client.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "vendor/inner", cwd=path)
    client.commit(path)
    assert "The submodule vendor/inner isn't part of a push" in cause(client.push(path, check=False))[0]


def test_a_build_that_eats_its_memory_is_killed_in_words(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("hungry",))
    eat = "#!/bin/sh\nexec python3 -c 'x = []\nwhile True: x.append(bytearray(1 << 24))'\n"
    out = client.push(client.repository("hungry", {**APP, "bin/pre_compile": eat}), check=False)
    assert cause(out) == ["The build was killed: out of memory at 256 MiB (BUILD_MEMORY)."]


FORK = "for i in $(seq 300); do sleep 5 & done; wait"
STEP = f"The build step failed with exit code 2: RUN {FORK}: the build started too many processes."


@pytest.mark.parametrize(
    ("app", "files", "told"),
    [
        ("bomb", {**APP, "bin/pre_compile": f"#!/bin/sh\n{FORK}\n"},
         "bin/pre_compile failed with exit code 2: the build started too many processes."),
        ("bomb-docker", {"Dockerfile": f"FROM paas/stack:trixie\nRUN {FORK}\nCMD true\n"}, STEP),
    ],
)  # fmt: skip
def test_a_build_has_no_more_processes_than_it_may(start_builder, tmp_path, app, files, told):
    client = start_builder(app, BUILD_PIDS="100", BUILD_POOL="0").client(tmp_path / "c", apps=(app,))
    out = client.push(client.repository(app, files), check=False)
    assert cause(out)[0] == told and "BUILD_PIDS" in out


def test_a_build_that_takes_too_long_is_stopped(start_builder, tmp_path):
    client = start_builder("hasty", BUILD_TIMEOUT="3", BUILD_POOL="0").client(tmp_path / "c", apps=("slow",))
    out = client.push(client.repository("slow", {**APP, "bin/pre_compile": "#!/bin/sh\nsleep 600\n"}), check=False)
    assert cause(out) == ["The build was stopped: not done after 3 s (BUILD_TIMEOUT)."]


INTERRUPTIBLE = ("env", "--default-signal=INT")  # also when these tests run in a script's background, which isn't


class Pushing:
    """A push under way in a thread."""

    def __init__(self, client, path):
        self.process = subprocess.Popen(
            [*INTERRUPTIBLE, "git", "push", "deis", "master"], cwd=path, env=client.env, text=True,
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.out = ""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.out += line

    def wait_for(self, words, seconds=60):
        deadline = time.monotonic() + seconds
        while words not in self.out:
            assert time.monotonic() < deadline and self.reader.is_alive(), self.out
            time.sleep(0.02)

    def finish(self, seconds=60):
        self.process.wait(seconds)
        self.reader.join(seconds)
        return self.out


def build_runs() -> bool:
    """Whether the slow build's own process is on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cmdline").read_bytes() == b"sleep\x0031.731\x00":
                return True
    return False


def wait_until(check, seconds, what):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_second_push_hears_who_holds_the_app(builder, tmp_path):
    client = builder.client(tmp_path / "c", user="anna", apps=("busy",))
    path = client.repository("busy", SLOW)
    first = Pushing(client, path)
    first.wait_for("waiting in the build")
    out = client.push(path, check=False)
    assert "remote error: Another git push is ongoing: anna is pushing busy since" in out
    os.killpg(first.process.pid, signal.SIGINT)
    first.finish()


@pytest.mark.parametrize(("app", "files"), [("halted", SLOW), ("halted-docker", SLOW_DOCKERFILE)])
def test_interrupting_the_client_stops_the_build(builder, tmp_path, app, files):
    client = builder.client(tmp_path / "c", apps=(app,))
    path = client.repository(app, files)
    pushing = Pushing(client, path)
    wait_until(build_runs, 60, "the build doesn't start")
    os.killpg(pushing.process.pid, signal.SIGINT)
    pushing.finish()
    wait_until(lambda: not build_runs(), 20, "the build goes on")
    client.git("rm", "-q", "-r", ".", cwd=path)
    client.commit(path, APP)
    wait_until(lambda: not metrics(builder)["builder_pushes_active"], 20, "the app stays locked")
    assert f"Done, {app}:v" in client.push(path)


def metrics(builder) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{builder.http_port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_a_killed_builder_leaves_nothing_and_the_next_push_works(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("phoenix",))
    path = client.repository("phoenix", SLOW)
    pushing = Pushing(client, path)
    pushing.wait_for("waiting in the build")
    left = set(containers(builder))
    builder.stop(signal.SIGKILL)
    out = pushing.finish()
    assert "hung up unexpectedly" in out or "closed by remote host" in out or "The builder stopped" in out
    assert pushing.process.returncode
    builder.start()
    wait_until(lambda: not left & set(containers(builder)), 60, "containers of the killed builder stay")
    repo = builder.data / "repos" / "phoenix.git"
    assert not list(repo.glob("objects/tmp_objdir*")) and not list(repo.rglob("*.lock"))
    client.commit(path, {"bin/pre_compile": "#!/bin/sh\n"})
    assert "Done, phoenix:v" in client.push(path)
