import gzip
import hashlib
import io
import os
import tarfile

import pytest

from builder.errors import BuildFailed
from builder.layers import LayerMemory, find_linked, fingerprint, walk, write_layer


def content(layer):
    packed = layer.content.read()
    assert layer.info.digest == "sha256:" + hashlib.sha256(packed).hexdigest() and layer.info.size == len(packed)
    plain = gzip.decompress(packed)
    assert layer.info.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
    return tarfile.open(fileobj=io.BytesIO(plain))


def fill(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def test_a_layer_holds_the_tree_at_its_place_owned_by_the_app(tmp_path):
    fill(tmp_path, ["b/c", "a", "b/a"])
    os.symlink("a", tmp_path / "z")
    archive = content(write_layer(tmp_path, "app", extra={".paas/x": b"1"}, time=5))
    assert archive.getnames() == ["app", "app/a", "app/b", "app/z", "app/b/a", "app/b/c", "app/.paas/x"]
    assert {entry.uid for entry in archive} == {10001} and archive.getmember("app/a").mtime == 5
    assert archive.getmember("app/z").linkname == "a"


def test_equal_trees_make_equal_layers_whatever_their_age(tmp_path):
    for name in ("one", "two"):
        fill(tmp_path / name, ["x", "y/z"])
    os.utime(tmp_path / "one/x", (1, 1))
    assert write_layer(tmp_path / "one", "app").info == write_layer(tmp_path / "two", "app").info


def test_a_skipped_folder_takes_everything_in_it(tmp_path):
    fill(tmp_path, ["keep", "drop/a", "drop/deep/b"])
    names = content(write_layer(tmp_path, "app", skip=lambda name: name == "drop")).getnames()
    assert names == ["app", "app/keep"]


def test_set_user_bits_do_not_get_into_images(tmp_path):
    fill(tmp_path, ["tool"])
    (tmp_path / "tool").chmod(0o4755)
    assert content(write_layer(tmp_path, "app")).getmember("app/tool").mode == 0o755


def test_only_links_into_the_layer_cache_become_layers(tmp_path):
    app, cache = tmp_path / "app", tmp_path / "cache"
    fill(cache / "layers" / "python-1", ["bin/x"])
    fill(app, [".heroku/a"])
    os.symlink("/workspace/cache/layers/python-1", app / ".heroku/python")
    os.symlink("/etc", app / "etc")
    os.symlink("/workspace/cache/layers/../../etc", app / "sneaky")
    assert find_linked(app, cache) == {".heroku/python": cache / "layers/python-1"}


def test_a_cached_layer_that_is_itself_a_link_is_refused(tmp_path):
    app, cache = tmp_path / "app", tmp_path / "cache"
    (cache / "layers").mkdir(parents=True)
    app.mkdir()
    os.symlink("/etc", cache / "layers/evil")
    os.symlink("/workspace/cache/layers/evil", app / "x")
    with pytest.raises(BuildFailed, match="doesn't exist"):
        find_linked(app, cache)


def test_a_link_in_place_of_any_folder_of_the_cache_leads_nowhere(tmp_path):
    """A build owns its cache: it could make the folder of layers a link to this host's files."""
    app, cache, host = tmp_path / "app", tmp_path / "cache", tmp_path / "host"
    fill(host, ["var/lib/secret", "layers/var/lib/secret"])
    app.mkdir()
    os.symlink("/workspace/cache/layers/var/lib", app / "x")
    cache.mkdir()
    os.symlink(host, cache / "layers")
    for folder in (cache, tmp_path / "link"):
        with pytest.raises(BuildFailed, match="doesn't exist"):
            find_linked(app, folder)
        if not os.path.lexists(tmp_path / "link"):
            os.symlink(host, tmp_path / "link")


def test_an_unchanged_layer_is_remembered_and_a_changed_one_is_not(tmp_path):
    folder = tmp_path / "cache" / "layers" / "python-1"
    fill(folder, ["a", "b"])
    memory = LayerMemory(tmp_path / "memory")
    info = write_layer(folder, "app/x", time=None).info
    memory.remember("hello", folder, "x", fingerprint(folder), info)
    assert memory.recall("hello", folder, "x", fingerprint(folder)) == info
    assert memory.recall("hello", folder, "elsewhere", fingerprint(folder)) is None
    before = os.stat(folder / "a")
    (folder / "a").write_text("A")
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert memory.recall("hello", folder, "x", fingerprint(folder)) is None


def test_walking_names_folders_before_their_content(tmp_path):
    fill(tmp_path, ["b/x", "a/y/z", "c"])
    assert [name for name, _ in walk(tmp_path)] == ["a", "b", "c", "a/y", "a/y/z", "b/x"]
