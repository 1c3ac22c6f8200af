"""What is read of builder images and of what their lifecycle leaves on disk."""

import json

import pytest

from builder.cnb import read_builder, read_processes
from builder.cnb_layout import Layout, layout_place, write_sparse
from builder.errors import BuildFailed

METADATA = {"stack": {"runImage": {"image": "old/run"}}, "lifecycle": {"apis": {"platform": {"supported": ["0.12"]}}}}


def inspected(metadata=METADATA, uid="1000", **labels):
    env = [f"CNB_USER_ID={uid}", "CNB_GROUP_ID=1000"]
    return {"Config": {"Labels": {"io.buildpacks.builder.metadata": json.dumps(metadata), **labels}, "Env": env}}


def apis(*supported):
    return {"io.buildpacks.lifecycle.apis": json.dumps({"platform": {"supported": supported}})}


def test_the_newest_api_that_both_sides_speak_is_taken():
    assert read_builder("b", inspected(**apis("0.3", "0.12", "0.13", "0.14"))).api == "0.13"
    assert read_builder("b", inspected()).api == "0.12"
    newer = {**METADATA, "images": [{"image": "new/run", "mirrors": []}]}
    assert read_builder("b", inspected(newer)).run_image == "new/run"


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"Config": {"Labels": None}}, "is not a builder image"),
        (inspected(uid="0"), "is not a builder image"),
        (inspected(metadata=[]), "is not a builder image"),
        (inspected(**apis("0.3", "0.11")), "too old: it speaks platform API 0.3, 0.11"),
    ],
)
def test_an_image_that_cannot_build_says_why(image, words):
    with pytest.raises(BuildFailed, match=words):
        read_builder("b", image)


@pytest.mark.parametrize(
    ("image", "place"),
    [
        ("python", "index.docker.io/library/python/latest"),
        ("team/run:1", "index.docker.io/team/run/1"),
        ("gcr.io/team/run", "gcr.io/team/run/latest"),
        ("localhost:5000/run:2", "localhost:5000/run/2"),
        ("a.test/run@sha256:12", "a.test/run/sha256/12"),
    ],
)
def test_images_lie_where_the_lifecycle_looks(image, place):
    assert layout_place(image) == place


def test_each_declared_process_is_started_by_the_launcher():
    label = json.dumps({"processes": [{"type": "web"}, {"type": "task-one"}]})
    config = {"config": {"Labels": {"io.buildpacks.build.metadata": label}}}
    assert read_processes(config) == {"web": "/cnb/process/web", "task-one": "/cnb/process/task-one"}
    for broken in ({}, {"config": {"Labels": {"io.buildpacks.build.metadata": '{"processes": []}'}}}):
        with pytest.raises(BuildFailed):
            read_processes(broken)


def test_a_sparse_layout_is_read_back(tmp_path):
    layers = [{"digest": "sha256:" + "1" * 64, "size": 5}]
    write_sparse(tmp_path, {"layers": layers}, b'{"config": {}}')
    layout = Layout(tmp_path)
    manifest = layout.manifest()
    assert manifest["layers"][0]["digest"] == layers[0]["digest"]
    assert layout.config(manifest) == ({"config": {}}, b'{"config": {}}')
    assert layout.blob(layers[0]["digest"]) is None


def test_hostile_layouts_lead_nowhere(tmp_path):
    (tmp_path / "secret").write_text("{}")
    good = tmp_path / "good"
    write_sparse(good, {"layers": []}, b"{}")
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "index.json").write_text((good / "index.json").read_text())
    (moved / "blobs").symlink_to(good / "blobs")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "index.json").symlink_to(good / "index.json")
    named = tmp_path / "named"
    (named / "blobs/sha256").mkdir(parents=True)
    (named / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:../../../secret"}]}))
    for root in (moved, linked, named, tmp_path / "none"):
        with pytest.raises(BuildFailed, match="no image that can be read"):
            Layout(root).manifest()
    (good / "blobs/sha256" / ("2" * 64)).symlink_to(tmp_path / "secret")
    with pytest.raises(BuildFailed, match="not a plain file"):
        Layout(good).blob("sha256:" + "2" * 64)
