"""Tar headers as tarfile writes and reads them, only faster."""

import io
import subprocess
import tarfile

import pytest

from builder import tar_stream

LONG = "deep/" * 40 + "file"


def info(name, kind=tarfile.REGTYPE, size=0, **more) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    for key, value in more.items():
        setattr(made, key, value)
    return made


ENTRIES = [
    info("app/x.py", size=5, mode=0o644, mtime=315532801, uid=10001, gid=10001),
    info("app", tarfile.DIRTYPE, mode=0o755),
    info("app/link", tarfile.SYMTYPE, linkname="../x"),
    info("y" * 100, size=3),
    info(LONG, size=2),
    info("app/ü", size=1),
    info("app/long-link", tarfile.SYMTYPE, linkname=LONG),
]


def write_both() -> tuple[bytes, bytes]:
    ours, theirs = io.BytesIO(), io.BytesIO()
    writer = tar_stream.Writer(ours)
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in ENTRIES:
            data = io.BytesIO(b"12345"[: entry.size])
            archive.addfile(entry, data)
            writer.header(entry)
            writer.content(io.BytesIO(b"12345"[: entry.size]), entry.size)
    writer.close()
    return ours.getvalue(), theirs.getvalue()


def test_what_is_written_is_what_tarfile_writes():
    ours, theirs = write_both()
    assert ours == theirs


def test_what_was_written_is_read_back():
    read = [
        (entry.name, entry.kind, content.read(100)) for entry, content in tar_stream.read(io.BytesIO(write_both()[0]))
    ]
    assert [name.rstrip("/") for name, _, _ in read] == [entry.name for entry in ENTRIES]
    assert [data for _, kind, data in read if kind == tar_stream.FILE] == [b"12345", b"123", b"12", b"1"]


def test_gits_archives_are_read_with_long_names_and_links(tmp_path):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.test", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / LONG).parent.mkdir(parents=True)
    (tmp_path / LONG).write_text("x" * 1000)
    (tmp_path / "ü").symlink_to(LONG)
    (tmp_path / "run").write_text("#!")
    (tmp_path / "run").chmod(0o755)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    stream = io.BytesIO(subprocess.run([*git, "archive", "HEAD"], check=True, capture_output=True).stdout)
    read = {entry.name.rstrip("/"): (entry, content.read(2000)) for entry, content in tar_stream.read(stream)}
    assert read[LONG][1] == b"x" * 1000 and read["ü"][0].link == LONG
    assert read["run"][0].mode & 0o100 and not read[LONG][0].mode & 0o100


@pytest.mark.parametrize("cut", [100, 513, 700])
def test_a_stream_that_breaks_off_is_noticed(cut):
    with pytest.raises(tarfile.ReadError):
        for _, content in tar_stream.read(io.BytesIO(write_both()[0][:cut])):
            content.read(100)


@pytest.mark.parametrize("records", [b"99 path=x\n", b"x path=x\n", b"8 pathx\n", b"5 \n"])
def test_a_broken_extended_header_is_noticed(records):
    header = info("x", tarfile.XHDTYPE, size=len(records)).tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(tarfile.ReadError):
        list(tar_stream.read(io.BytesIO(header + records.ljust(512, b"\0"))))
