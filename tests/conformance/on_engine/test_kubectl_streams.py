"""kubectl's streams to a container on an engine: logs, exec and attach on a terminal, cp, port-forward, run -it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time
import urllib.request

import pytest

OVER_SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
over_both = pytest.mark.usefixtures("each_transport")
UNTIL = "until busybox stty size | grep -qx"
STAY = "trap 'exit 0' TERM; while :; do sleep 100 & wait; done"


@pytest.fixture(params=[{}, OVER_SPDY], ids=["websocket", "spdy"])
def each_transport(request, kubectl):
    """WebSockets, which kubectl prefers, and SPDY, which is all that Go clients older than 1.30 know."""
    kubectl.variables |= request.param


def pod(name: str, image: str, script: str = STAY, **spec) -> str:
    container = {"name": "main", "image": image, "command": ["sh", "-c", script], **spec.pop("container", {})}
    whole = {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole})


def start(kubectl, namespace: str, *arguments, **options) -> None:
    kubectl("-n", namespace, "create", "-f", "-", stdin=pod(*arguments, **options))
    kubectl("-n", namespace, "wait", "pod", arguments[0], "--for=condition=Ready", "--timeout=60s")


class Terminal:
    """A command on a pseudo-terminal of a size, as a person has it."""

    def __init__(self, command: list[str], environment: dict[str, str], rows: int, columns: int) -> None:
        self.primary, secondary = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            command, stdin=secondary, stdout=secondary, stderr=secondary, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(secondary)
        self.said = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.primary, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.primary, text.encode())

    def expect(self, text: str, deadline: float = 60) -> str:
        end, position = time.monotonic() + deadline, 0
        while (position := self.said.find(text)) < 0:
            assert time.monotonic() < end, f"{text!r} did not appear in {self.said!r}"
            if select.select([self.primary], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self.primary, 65536).decode(errors="replace")
                except OSError as exc:
                    raise AssertionError(f"{text!r} did not appear before the end of {self.said!r}") from exc
        before, self.said = self.said[:position], self.said[position + len(text) :]
        return before

    def close(self) -> int:
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            os.close(self.primary)


def terminal(kubectl, *arguments: str, rows: int = 24, columns: int = 80) -> Terminal:
    return Terminal(kubectl.command(*arguments), kubectl.environment(), rows, columns)


@over_both
def test_exec_on_a_terminal_has_its_size_and_follows_it(kubectl, namespace, image):
    start(kubectl, namespace, "p", image)
    shell = terminal(kubectl, "-n", namespace, "exec", "-it", "p", "--", "sh", rows=41, columns=123)
    shell.type(f"{UNTIL} '41 123'; do sleep 0.1; done; test -t 0 && echo a-$((1+1))-terminal\n")
    shell.expect("a-2-terminal")
    shell.resize(17, 66)
    shell.process.send_signal(28)  # SIGWINCH, which a terminal emulator's resize sends to its foreground job
    shell.type(f"{UNTIL} '17 66'; do sleep 0.1; done; echo is-$((1+1))-small\n")
    shell.expect("is-2-small")
    shell.type("exit 7\n")
    assert shell.close() == 7


@over_both
def test_exec_keeps_output_error_and_input_apart(kubectl, namespace, image):
    start(kubectl, namespace, "p", image)
    done = kubectl.run("-n", namespace, "exec", "-i", "p", "--", "sh", "-c", "cat; echo bad >&2; exit 3", stdin="fed\n")
    assert (done.stdout, done.returncode) == ("fed\n", 3) and done.stderr.startswith("bad\n")
    assert "exit code 3" in done.stderr
    large = "x" * 79 + "\n"
    echoed = kubectl("-n", namespace, "exec", "-i", "p", "--", "cat", stdin=large * 20_000)
    assert len(echoed) == 80 * 20_000
    missing = kubectl.run("-n", namespace, "exec", "p", "--", "no-such-program")
    assert missing.returncode == 126 and "executable file not found" in missing.stdout + missing.stderr


@over_both
def test_attach_speaks_with_the_containers_own_process(kubectl, namespace, image):
    script = "while read line; do echo heard $line; test $line = bye && exit 0; done"
    container = {"stdin": True, "stdinOnce": True}
    start(kubectl, namespace, "p", image, script, container=container, restartPolicy="Never")
    done = kubectl.run("-n", namespace, "attach", "-i", "p", stdin="one\nbye\n", deadline=60)
    assert "heard one" in done.stdout and "heard bye" in done.stdout
    kubectl("-n", namespace, "wait", "pod/p", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")


def test_run_it_rm_is_a_shell_that_leaves_nothing(kubectl, namespace, image):
    shell = terminal(
        kubectl, "-n", namespace, "run", "shell", "-it", "--rm", f"--image={image}", "--restart=Never", "--", "sh"
    )
    shell.type("echo it-is-$((40+2)); exit 0\n")
    shell.expect("it-is-42", 30)
    shell.expect('pod "shell" deleted', 30)
    assert shell.close() == 0
    assert "not found" in kubectl.refused("-n", namespace, "get", "pod", "shell")


def test_run_tells_how_a_short_command_ended(kubectl, namespace, image):
    """However soon: its end comes before, while and after kubectl attaches."""
    for pause in (0, 0, 0.1, 0.2, 0.4):
        done = kubectl.run(
            "-n", namespace, "run", "short", "-i", "--rm", f"--image={image}", "--restart=Never", "--quiet",
            "--command", "--", "sh", "-c", f"sleep {pause}; echo said; exit 3", deadline=20,
        )  # fmt: skip
        assert done.returncode == 3 and done.stdout.count("said") <= 1, done.stderr  # what came before is in the logs
        assert "exit code 3" not in done.stderr, "the command failed, not the attaching"


@over_both
def test_cp_carries_files_both_ways(kubectl, namespace, image, tmp_path):
    start(kubectl, namespace, "p", image)
    tree = tmp_path / "tree" / "deep"
    tree.mkdir(parents=True)
    content = os.urandom(300_000)
    (tree / "blob").write_bytes(content)
    (tmp_path / "tree" / "note.txt").write_text("a note\n")
    kubectl("-n", namespace, "cp", str(tmp_path / "tree"), "p:/tmp/tree")
    assert kubectl("-n", namespace, "exec", "p", "--", "cat", "/tmp/tree/note.txt") == "a note\n"
    kubectl("-n", namespace, "cp", "p:/tmp/tree", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "blob").read_bytes() == content


def test_logs_follow_and_show_the_previous_container(kubectl, namespace, image):
    script = "n=$(cat /d/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /d/n; echo life $n; test $n = 1 && exit 1; "
    script += "i=0; while test $i -lt 3; do i=$((i+1)); echo line $i; sleep 0.3; done; " + STAY
    volumes = [{"name": "d", "emptyDir": {}}]
    mounts = {"volumeMounts": [{"name": "d", "mountPath": "/d"}]}
    kubectl("-n", namespace, "create", "-f", "-", stdin=pod("p", image, script, container=mounts, volumes=volumes))
    kubectl(
        "-n", namespace, "wait", "pod/p", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1",
        "--timeout=60s",
    )  # fmt: skip
    assert kubectl("-n", namespace, "logs", "p", "--previous") == "life 1\n"
    following = subprocess.Popen(
        kubectl.command("-n", namespace, "logs", "-f", "p"), stdout=subprocess.PIPE, text=True,
        env=kubectl.environment(),
    )  # fmt: skip
    lines = [following.stdout.readline() for _ in range(4)]
    assert lines == ["life 2\n", "line 1\n", "line 2\n", "line 3\n"]
    kubectl("-n", namespace, "delete", "pod", "p", "--timeout=60s")
    assert following.wait(60) == 0
    following.stdout.close()


def test_logs_are_cut_by_lines_time_and_bytes_and_joined_by_label(kubectl, namespace, image):
    for name in ("a", "b"):
        start(kubectl, namespace, name, image, f"for i in 1 2 3 4 5; do echo {name}$i; done; {STAY}")
        kubectl("-n", namespace, "label", "pod", name, "set=both")
    assert kubectl("-n", namespace, "logs", "a", "--tail=2") == "a4\na5\n"
    assert kubectl("-n", namespace, "logs", "a", "--limit-bytes=4") == "a1\na"
    assert len(kubectl("-n", namespace, "logs", "a", "--since=1h").splitlines()) == 5
    assert kubectl("-n", namespace, "logs", "a", "--since-time=2100-01-01T00:00:00Z") == ""
    stamped = kubectl("-n", namespace, "logs", "a", "--timestamps", "--tail=1").split()
    assert stamped[1] == "a5" and stamped[0][4] == "-" and stamped[0].endswith("Z")
    joined = kubectl("-n", namespace, "logs", "-l", "set=both", "--prefix", "--tail=1").splitlines()
    assert sorted(joined) == ["[pod/a/main] a5", "[pod/b/main] b5"]


SERVE = "mkdir -p /tmp/w; echo reached $HOSTNAME > /tmp/w/index.html; httpd -p 8080 -h /tmp/w; " + STAY
LISTENS = {"readinessProbe": {"tcpSocket": {"port": 8080}}}


@contextlib.contextmanager
def forwarding(kubectl, *arguments: str):
    """`kubectl port-forward`, from the moment it says that it forwards."""
    process = subprocess.Popen(
        kubectl.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=kubectl.environment(),
    )  # fmt: skip
    try:
        said = process.stdout.readline()
        assert "Forwarding from 127.0.0.1:" in said, said + process.stdout.read()
        yield int(said.split("127.0.0.1:")[1].split()[0])
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        return answer.read().decode()


@over_both
@pytest.mark.parametrize("target", ["pod/web", "service/web"])
def test_port_forward_carries_requests(kubectl, namespace, image, target):
    start(kubectl, namespace, "web", image, SERVE, container=LISTENS)
    kubectl("-n", namespace, "label", "pod", "web", "app=web")
    kubectl("-n", namespace, "expose", "pod", "web", "--port=80", "--target-port=8080")
    remote = "8080" if target.startswith("pod") else "80"
    with forwarding(kubectl, "-n", namespace, "port-forward", target, f":{remote}") as port:
        assert [fetch(port) for _ in range(3)] == ["reached web\n"] * 3


def test_the_api_proxies_requests_to_pods_and_services(kubectl, namespace, image):
    listening = {"ports": [{"name": "http", "containerPort": 8080}], **LISTENS}
    start(kubectl, namespace, "web", image, SERVE, container=listening)
    kubectl("-n", namespace, "label", "pod", "web", "app=web")
    kubectl("-n", namespace, "expose", "pod", "web", "--port=80", "--target-port=http")
    kubectl(
        "-n", namespace, "wait", "endpointslice", "-l", "kubernetes.io/service-name=web",
        "--for=jsonpath={.endpoints[0].conditions.ready}=true", "--timeout=60s",
    )  # fmt: skip
    base = f"/api/v1/namespaces/{namespace}"
    for name in ("pods/web", "pods/web:8080", "pods/http:web:8080", "services/web", "services/web:80"):
        assert kubectl("get", "--raw", f"{base}/{name}/proxy/") == "reached web\n", name
        assert kubectl("get", "--raw", f"{base}/{name}/proxy/index.html?a=b") == "reached web\n", name
    assert kubectl("get", "--raw", f"{base}/services/web/proxy") == "reached web\n", "redirected to its slash"
    assert "could not find" in kubectl.refused("get", "--raw", f"{base}/pods/web/proxy/missing"), "httpd's own 404"
    assert 'no service port "9"' in kubectl.refused("get", "--raw", f"{base}/services/web:9/proxy/")
    stranger = kubectl.refused("get", "--raw", f"{base}/pods/web/proxy/", "--as=nobody")
    assert 'cannot get resource "pods/proxy"' in stranger
