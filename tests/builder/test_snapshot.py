import io
import os
import tarfile

import pytest

from builder import tar_stream
from builder.errors import PushRefused
from builder.snapshot import ARCHIVE, REPOSITORY, Limits, read_any, read_inside, write_environment
from builder.snapshot import unpack as take

ROOMY = Limits(1 << 20, 100)
ME = os.getuid()


def tree(*members):
    """A tar stream of (name, content); bytes are files, a string is a link's target, None a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.mtime = 1_700_000_000
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    stream.seek(0)
    return stream


@pytest.fixture(params=[tar_stream.read, read_any], ids=["git's tar", "any tar"])
def unpack(request):
    """Both readers: what holds for one holds for the other."""
    return lambda stream, *rest: take(request.param(stream), *rest)


def test_a_tree_arrives_with_its_folders_links_and_time(unpack, tmp_path):
    done = unpack(tree(("a/", None), ("a/b.txt", b"x"), ("link", "a/b.txt"), ("deep/er/c", b"y")), tmp_path, ROOMY, ME)
    assert (tmp_path / "a/b.txt").read_bytes() == b"x" and os.readlink(tmp_path / "link") == "a/b.txt"
    assert (tmp_path / "deep/er/c").read_bytes() == b"y" and done.time == 1_700_000_000


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b", ".git/config", "sub/.git/hooks/x", "x" * 300])
def test_a_path_that_leads_elsewhere_is_refused(unpack, tmp_path, name):
    with pytest.raises(PushRefused):
        unpack(tree((name, b"")), tmp_path, ROOMY, ME)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    "members",
    [[("../x", b"")], [("a", b"1"), ("a", b"2")], [("a", b""), ("a/b", b"")], [("big", b"x" * 2000)], [(".paas", b"")],
     [(f"f{i}", b"") for i in range(12)], [("a.bin", LFS)], [(".gitmodules", b"path = sub\n"), ("sub", None)]],
)  # fmt: skip
def test_a_refusal_names_what_was_sent(tmp_path, members):
    def told(what):
        folder = tmp_path / what
        folder.mkdir()
        with pytest.raises(PushRefused) as refusal:
            take(read_any(tree(*members)), folder, Limits(1000, 10), ME, what=what)
        return str(refusal.value)

    by_git, sent = told(REPOSITORY), told(ARCHIVE)
    assert not any(word in sent for word in ("repository", "push", "commit")), sent
    assert "archive" not in by_git and by_git != sent


def test_nothing_is_written_through_a_link(unpack, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "in").mkdir()
    with pytest.raises(PushRefused, match="both as a folder"):
        unpack(tree(("a", str(outside)), ("a/evil", b"x")), tmp_path / "in", ROOMY, ME)
    assert not list(outside.iterdir())


def test_the_same_name_twice_is_refused(unpack, tmp_path):
    with pytest.raises(PushRefused, match="twice"):
        unpack(tree(("a", b"1"), ("a", b"2")), tmp_path, ROOMY, ME)


def test_devices_and_hard_links_are_refused(unpack, tmp_path):
    entry = tarfile.TarInfo("dev")
    entry.type = tarfile.CHRTYPE
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(entry)
    stream.seek(0)
    with pytest.raises(PushRefused, match="neither file"):
        unpack(stream, tmp_path, ROOMY, ME)


def test_too_many_bytes_or_files_are_refused_before_they_are_written(unpack, tmp_path):
    with pytest.raises(PushRefused, match="more than 10 B"):
        unpack(tree(("big", b"x" * 11)), tmp_path, Limits(10, 10), ME)
    assert not (tmp_path / "big").exists()
    with pytest.raises(PushRefused, match="more than 1 files"):
        unpack(tree(("a", b""), ("b", b"")), tmp_path, Limits(10, 1), ME)


def test_reading_inside_a_build_follows_no_link_and_no_pipe(tmp_path):
    (tmp_path / "secret").write_text("s")
    os.symlink(tmp_path / "secret", tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing"):
        with pytest.raises(FileNotFoundError):
            read_inside(tmp_path, name, 10)
    assert read_inside(tmp_path, "secret", 10) == b"s"


def test_config_becomes_files_that_only_the_build_reads(tmp_path):
    write_environment(tmp_path / "env", {"A": "1", "../x": "2", "..": "3"}, ME)
    assert [path.name for path in (tmp_path / "env").iterdir()] == ["A"]
    assert (tmp_path / "env/A").stat().st_mode & 0o777 == 0o400
