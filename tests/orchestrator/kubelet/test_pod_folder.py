"""The files of a pod on its node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from kubelet_pods import make_container, make_pod

from orchestrator.kubelet.atomic_files import Entry, read_files, write_atomically
from orchestrator.kubelet.environment import ConfigError
from orchestrator.kubelet.mounts import path_inside, render_mounts
from orchestrator.kubelet.pod_files import hostname_of, kernel_hostname_of, render_hosts, render_resolv_conf
from orchestrator.kubelet.volumes import give_all_to_group, host_path, local_path

HOST = "nameserver 192.0.2.53\nsearch example.test\noptions edns0\n"


def test_a_folder_changes_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    assert write_atomically(folder, {"a": Entry(b"1", 0o644), "d/b": Entry(b"2", 0o400)})
    first = os.readlink(folder / "..data")
    assert (folder / "a").read_bytes() == b"1" and (folder / "d/b").read_bytes() == b"2"
    assert not write_atomically(folder, {"a": Entry(b"1", 0o644), "d/b": Entry(b"2", 0o400)})
    assert write_atomically(folder, {"a": Entry(b"3", 0o644)})
    assert (folder / "a").read_bytes() == b"3" and not (folder / "d").exists()
    assert not (folder / first).exists(), "the old files must go"
    assert read_files(folder / "..data") == {"a": Entry(b"3", 0o644)}


def test_a_strict_umask_locks_nobody_out(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "v", {"a/b/c": Entry(b"1", 0o644)})
        claimed = local_path(tmp_path / "claim")
    finally:
        os.umask(before)
    folders = [path for path in (tmp_path / "v").rglob("*") if path.is_dir() and not path.is_symlink()]
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "v", *folders)] == [0o755] * 4
    assert claimed.stat().st_mode & 0o777 == 0o777


def test_a_reader_of_the_old_files_keeps_them(tmp_path: Path) -> None:
    write_atomically(tmp_path, {"a": Entry(b"old", 0o644)})
    with (tmp_path / "a").open("rb") as reading:
        write_atomically(tmp_path, {"a": Entry(b"new", 0o644)})
        assert reading.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


def test_hosts_name_the_pod_and_its_aliases() -> None:
    pod = make_pod(hostname="db", subdomain="cluster", hostAliases=[{"ip": "10.9.9.9", "hostnames": ["x", "y"]}])
    text = render_hosts(pod, "10.0.0.5", "cluster.local", "")
    assert "10.0.0.5\tdb.cluster.default.svc.cluster.local\tdb\n" in text and "10.9.9.9\tx\ty\n" in text


def test_long_names_are_cut_to_what_the_kernel_takes() -> None:
    assert hostname_of(make_pod(name="a" * 62 + "-" + "b" * 20)) == "a" * 62


def test_pods_ask_the_cluster_first() -> None:
    text = render_resolv_conf(make_pod(), dns_address="10.0.0.1", cluster_domain="cluster.local", host=HOST)
    assert text == (
        "nameserver 10.0.0.1\nsearch default.svc.cluster.local svc.cluster.local cluster.local example.test\n"
        "options ndots:5\n"
    )


def test_other_policies_of_name_resolution() -> None:
    def render(**spec: object) -> str:
        return render_resolv_conf(make_pod(**spec), dns_address="10.0.0.1", cluster_domain="c.local", host=HOST)

    assert render(dnsPolicy="Default") == HOST
    assert render(hostNetwork=True) == HOST
    own = {"nameservers": ["1.2.3.4"], "searches": ["x"], "options": [{"name": "ndots", "value": "2"}]}
    assert render(dnsPolicy="None", dnsConfig=own) == "nameserver 1.2.3.4\nsearch x\noptions ndots:2\n"


def test_a_sub_path_stays_inside_its_volume(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    volume.mkdir()
    (volume / "out").symlink_to("/etc")
    assert path_inside(volume, "new/dir").is_dir()
    for wrong in ("../x", "/etc", "out/passwd"):
        with pytest.raises(ConfigError):
            path_inside(volume, wrong)


def test_a_mount_of_an_unknown_volume_is_named(tmp_path: Path) -> None:
    container = make_container(volumeMounts=[{"name": "gone", "mountPath": "/x"}])
    with pytest.raises(ConfigError, match='volume "gone" of container main'):
        render_mounts(
            make_pod(container), container, volumes={}, folder=tmp_path, environment={}, termination_file=tmp_path / "t"
        )


def test_a_pod_may_bring_its_own_hosts_file(tmp_path: Path) -> None:
    container = make_container(volumeMounts=[{"name": "v", "mountPath": "/etc/hosts", "readOnly": True}])
    made = render_mounts(
        make_pod(container), container, volumes={"v": tmp_path}, folder=tmp_path, environment={},
        termination_file=tmp_path / "t",
    )  # fmt: skip
    targets = {mount.target: mount for mount in made}
    assert targets["/etc/hosts"].source == str(tmp_path) and targets["/etc/hosts"].read_only
    assert set(targets) == {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/dev/termination-log"}


def test_host_paths_are_what_their_type_says(tmp_path: Path) -> None:
    assert host_path({"path": str(tmp_path / "new"), "type": "DirectoryOrCreate"}).is_dir()
    with pytest.raises(ConfigError, match="is not a file"):
        host_path({"path": str(tmp_path), "type": "File"})


def test_pods_on_the_hosts_network_see_its_names_and_their_aliases() -> None:
    pod = make_pod(hostNetwork=True, hostAliases=[{"ip": "10.9.9.9", "hostnames": ["x"]}])
    text = render_hosts(pod, "192.0.2.2", "cluster.local", "192.0.2.2 thehost\n")
    assert text.startswith("# Kubernetes-managed hosts file (host network).\n192.0.2.2 thehost\n")
    assert text.endswith("10.9.9.9\tx\n")


def test_the_kernels_name_of_a_pod_may_be_its_full_one() -> None:
    pod = make_pod(hostname="db", subdomain="cluster", setHostnameAsFQDN=True)
    assert kernel_hostname_of(pod, "cluster.local") == "db.cluster.default.svc.cluster.local"
    assert kernel_hostname_of(make_pod(setHostnameAsFQDN=True), "cluster.local") == "web"
    assert kernel_hostname_of(make_pod(hostNetwork=True), "cluster.local") == ""
    with pytest.raises(ConfigError, match="longer than the 64 characters"):
        kernel_hostname_of(make_pod(hostname="d" * 40, subdomain="c", setHostnameAsFQDN=True), "cluster.local")


def mounts_of(pod: dict[str, Any], **mount: Any) -> dict[str, Any]:
    container = make_container(volumeMounts=[{"name": "v", "mountPath": "/v", **mount}])
    made = render_mounts(
        pod, container, volumes={"v": Path("/tmp")}, folder=Path("/f"), environment={"A": "a"},
        termination_file=Path("/t"),
    )  # fmt: skip
    return {each.target: each for each in made}


@pytest.mark.parametrize(
    ("source", "read_only"),
    [
        ({"configMap": {"name": "c"}}, True), ({"secret": {"secretName": "s"}}, True), ({"projected": {}}, True),
        ({"downwardAPI": {}}, True), ({"emptyDir": {}}, False), ({"persistentVolumeClaim": {"claimName": "c"}}, False),
        ({"persistentVolumeClaim": {"claimName": "c", "readOnly": True}}, True),
    ],
)  # fmt: skip
def test_what_the_api_fills_and_claims_for_reading_are_mounted_read_only(source: Any, read_only: bool) -> None:
    assert mounts_of(make_pod(volumes=[{"name": "v", **source}]))["/v"].read_only is read_only


def test_a_sub_path_of_a_variable_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='missing value for "B"'):
        mounts_of(make_pod(volumes=[{"name": "v", "emptyDir": {}}]), subPathExpr="$(A)/$(B)")


def test_the_group_of_a_pod_may_read_what_the_api_fills(tmp_path: Path) -> None:
    write_atomically(tmp_path, {"a": Entry(b"1", 0o600)}, group=os.getgid())
    assert read_files(tmp_path / "..data") == {"a": Entry(b"1", 0o640)}


def test_a_claims_content_is_given_to_the_pods_group(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d" / "f").touch(mode=0o600)
    (tmp_path / "d" / "link").symlink_to("/etc/passwd")
    before = os.stat("/etc/passwd")
    give_all_to_group(tmp_path, 4242, only_on_mismatch=True)
    assert (tmp_path / "d" / "f").stat().st_gid == 4242 and (tmp_path / "d" / "f").stat().st_mode & 0o777 == 0o660
    assert (tmp_path / "d").stat().st_mode & 0o7777 == 0o2770
    assert os.stat("/etc/passwd") == before, "links lead out of the volume"
    (tmp_path / "new").touch(mode=0o600)
    give_all_to_group(tmp_path, 4242, only_on_mismatch=True)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600, "the root matched: nothing was looked at"
