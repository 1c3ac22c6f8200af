"""Builds from a git host: fetched with a deploy key, only from where it may, in words when it fails."""

import base64
import time

import asyncssh
import pytest

from builder.errors import BuildFailed
from builder.submodules import absolute
from tests.builder.test_deploys import Deployer
from tests.builder.test_push_refusals import APP, head, wait_until

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def fetcher(start_builder):
    """A builder that may fetch from this machine, where another builder plays the git host."""
    return start_builder("fetcher", BUILD_FETCH_ALLOW="127.0.0.0/8", BUILD_POOL="0")


@pytest.fixture
def host(builder, tmp_path):
    """A repository at the git host, a pushing client, and a deploy key that may read it."""
    client = builder.client(tmp_path / "host", apps=("hosted",))
    path = client.repository("hosted", APP)
    client.push(path, "--force", "master")
    key = asyncssh.generate_private_key("ssh-ed25519")
    builder.controller.users[key.get_fingerprint("md5").removeprefix("MD5:")] = "alice"
    yield client, path, key.export_private_key().decode()
    controller = builder.controller
    controller.sources.clear()


def connect(builder, app, key, url="", branch="master") -> None:
    controller = builder.controller
    controller.tokens["d4" * 20] = "dora"
    controller.apps.setdefault(app, set()).add("dora")
    url = url or f"ssh://git@127.0.0.1:{builder.port}/hosted.git"
    controller.sources[app] = {
        "uuid": f"source-{app}-{time.monotonic_ns()}"[-20:], "url": url, "branch": branch, "private_key": key,
    }  # fmt: skip


def build(fetcher, app, **wish) -> tuple[dict, str]:
    """(how it ended, its output) of a queued build; a webhook wakes the builder."""
    controller = fetcher.controller
    run = controller.queued(app, by="dora", wish=wish)
    controller.queue.append(run)
    deployer = Deployer(fetcher)
    status, _ = deployer.ask("POST", f"/builder/hooks/{app}", b'{"after": "x"}')
    assert status == 202 and controller.delivered[-1][0] == app
    wait_until(lambda: "end" in run, 60, "the build doesn't end")
    path = f"/builder/apps/{app}/builds/{run['number']}/output"
    return run["end"], deployer.ask("GET", path)[1].decode()


def test_a_connected_branch_is_built_and_kept(builder, fetcher, host):
    client, path, key = host
    connect(builder, "connected", key)
    end, out = build(fetcher, "connected", ref="master")
    commit = client.git("rev-parse", "HEAD", cwd=path).strip()
    assert end["state"] == "succeeded" and end["sha"] == commit, out
    assert f"-----> Fetching master from ssh://git@127.0.0.1:{builder.port}/hosted.git" in out
    assert head(fetcher, "connected") == commit
    assert not list((fetcher.data / "repos/connected.git/refs/paas").rglob("[0-9]*"))
    older = client.commit(path, {"x": "1"})
    client.commit(path, {"x": "2"})
    client.push(path)
    assert build(fetcher, "connected", ref="master", sha=older)[0]["sha"] == older  # a webhook's commit, not the tip
    end, out = build(fetcher, "connected", ref="master", sha="12" * 20)
    assert end["state"] == "failed" and "no longer part of master" in end["cause"]


def test_what_goes_wrong_at_the_host_is_said_in_words(builder, fetcher, host):
    _, _, key = host
    connect(builder, "wrongs", asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode())
    assert "doesn't let us in" in build(fetcher, "wrongs", ref="master")[0]["cause"]
    connect(builder, "wrongs", key)
    assert "no such branch, tag or commit" in build(fetcher, "wrongs", ref="nothere")[0]["cause"]
    connect(builder, "wrongs", key, f"ssh://git@127.0.0.1:{fetcher.http_port}/x.git")
    assert build(fetcher, "wrongs", ref="master")[0]["state"] == "failed"
    builder.controller.sources.pop("wrongs")
    assert "connected to no git host" in build(fetcher, "wrongs", ref="master")[0]["cause"]


def test_another_host_key_than_before_is_refused(builder, fetcher, host):
    _, _, key = host
    connect(builder, "pinned", key)
    source = builder.controller.sources["pinned"]
    assert build(fetcher, "pinned", ref="master")[0]["state"] == "succeeded"
    (pins,) = (fetcher.data / "repos/pinned.git").glob(f"paas-known-hosts-{source['uuid'][:8]}")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()
    pins.write_text(f"[127.0.0.1]:{builder.port} {other[0]} {other[1]}\n")
    assert "another key than before" in build(fetcher, "pinned", ref="master")[0]["cause"]


@pytest.mark.parametrize("url", ["http://127.0.0.1/x.git", "https://10.0.0.1/x.git", "ssh://git@[::1]/x.git"])
def test_a_builder_is_not_sent_into_private_networks(builder, url):
    connect(builder, "inward", "", url)
    end, _ = build(builder, "inward", ref="master")
    assert "within a private network" in end["cause"] and "BUILD_FETCH_ALLOW" in end["cause"]


def test_submodules_are_fetched_where_the_app_allows_it(builder, fetcher, host, tmp_path):
    client, hosted, key = host
    connect(builder, "modular2", key)
    controller = fetcher.controller
    path = client.repository("modular2", APP)
    client.git("remote", "set-url", "deis", f"ssh://git@127.0.0.1:{fetcher.port}/modular2.git", cwd=path)
    controller.apps["modular2"].add("alice")
    for name, url in (("one", f"ssh://git@127.0.0.1:{builder.port}/hosted.git"), ("two", "../hosted.git")):
        client.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(hosted), f"lib/{name}", cwd=path)
        client.git("config", "-f", ".gitmodules", f"submodule.lib/{name}.url", url, cwd=path)
    client.commit(path, {"bin/pre_compile": "#!/bin/sh\ncat lib/one/Procfile lib/two/Procfile | sed s/^/FOUND/\n"})
    out = client.push(path, check=False)
    assert "isn't part of a push. Have it fetched: paas builds:set submodules=yes" in out
    controller.settings["modular2"] = {"submodules": True}
    out = client.push(path)
    assert out.count("FOUNDweb:") == 2 and "Submodule lib/two at" in out
    controller.sources.pop("modular2")
    client.commit(path, {"x": "1"})
    out = client.push(path, check=False)
    assert "has the relative address ../hosted.git" in out


def test_submodules_of_an_app_without_a_git_host_are_opened_by_its_own_key(builder, fetcher, host, tmp_path):
    client, hosted, key = host
    controller = fetcher.controller
    path = client.repository("modular3", APP)
    client.git("remote", "set-url", "deis", f"ssh://git@127.0.0.1:{fetcher.port}/modular3.git", cwd=path)
    controller.apps["modular3"] = {"alice"}
    controller.settings["modular3"] = {"submodules": True}
    client.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(hosted), "lib", cwd=path)
    url = f"ssh://git@127.0.0.1:{builder.port}/hosted.git"
    client.git("config", "-f", ".gitmodules", "submodule.lib.url", url, cwd=path)
    client.commit(path, {"bin/pre_compile": "#!/bin/sh\nsed s/^/FOUND/ lib/Procfile\n"})
    assert "paas config:set SSH_KEY=FILE" in client.push(path, check=False)
    controller.config["modular3"] = {"SSH_KEY": base64.b64encode(key.encode()).decode()}
    assert "FOUNDweb:" in client.push(path)


@pytest.mark.parametrize("url", ["/etc", "file:///etc", "ext::sh -c id", "https://a:b@h/x", "-x", "", "https:///x"])
def test_a_submodules_address_that_git_must_not_get_is_refused(url):
    with pytest.raises(BuildFailed):
        absolute(url, "", "lib")


def test_relative_addresses_count_from_the_repository():
    assert absolute("../b.git", "https://h/team/a.git", "x") == "https://h/team/b.git"
    assert absolute("../../o/b", "ssh://git@h:2/team/a.git", "x") == "ssh://git@h:2/o/b"
    assert absolute("git@h:team/x.git", "", "x") == "ssh://git@h/team/x.git"
