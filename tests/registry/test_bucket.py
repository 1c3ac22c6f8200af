"""A collection of images that are kept in a bucket: the same as in a folder."""

import asyncio
import json
import threading
from collections import Counter
from datetime import UTC, datetime

import pytest
import yaml

from builder.registry_api import digest_of
from registry.bucket import Bucket, sign
from registry.bucket_root import settle
from registry.errors import RegistryError, SettingsError
from registry.settings import ObjectStorage
from tests.registry.bucket_server import ACCESS_KEY, NAME, SECRET_KEY, BucketServer
from tests.registry.harness import RunningRegistry
from tests.registry.test_keeper import client, collect, push


@pytest.fixture
def bucket():
    server = BucketServer()
    yield server
    server.stop()


@pytest.fixture
def start(bucket, tmp_path):
    """Starts registries over the bucket, each in a folder of its own."""
    (tmp_path / "s3.json").write_text(json.dumps({"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}))
    started = []

    def begin(name):
        (tmp_path / name).mkdir(exist_ok=True)
        running = RunningRegistry(
            tmp_path / name,
            REGISTRY_S3_BUCKET=NAME,
            REGISTRY_S3_ENDPOINT=bucket.url,
            REGISTRY_S3_CREDENTIALS_FILE=str(tmp_path / "s3.json"),
        )
        started.append(running)
        return running

    yield begin
    for running in started:
        running.stop()


@pytest.fixture
def registry(start):
    return start("registry")


def test_a_request_is_signed_as_amazon_says():
    """Source: "GET Bucket (List Objects)" of Amazon's examples for Signature Version 4."""
    example = ObjectStorage(
        "examplebucket", "us-east-1", "", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    )
    when = datetime(2013, 5, 24, tzinfo=UTC)
    headers = sign(example, "GET", "examplebucket.s3.amazonaws.com", "/", "max-keys=2&prefix=J", b"", when)
    assert headers["Authorization"].endswith(
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_long_listings_come_whole_and_only_what_is_named_goes(bucket):
    bucket.page = 3
    for number in range(10):
        bucket.put(f"docker/a/{number}/data", b"x" * number)
    bucket.put("docker/ab/data", b"other")
    store = Bucket(bucket.storage)
    assert [entry.size for entry in store.entries("docker/a")] == list(range(10))
    assert store.read("docker/a/9/data", 4) == b"xxxx"
    store.remove([f"docker/a/{number}" for number in range(9)])
    assert sorted(bucket.objects) == ["docker/a/9/data", "docker/ab/data"]
    with pytest.raises(FileNotFoundError):
        store.read("docker/none", 1)


def test_a_bucket_that_refuses_or_is_away_is_told_in_words(bucket):
    stranger = ObjectStorage(NAME, "us-east-1", bucket.url, ACCESS_KEY, "wrong")
    with pytest.raises(RegistryError, match="images refused GET / with status 403"):
        list(Bucket(stranger).entries("docker"))
    with pytest.raises(RegistryError, match="can't be reached"):
        list(Bucket(ObjectStorage(NAME, "us-east-1", "http://127.0.0.1:1", "a", "s")).entries("docker"))


async def test_what_nobody_keeps_goes_from_the_bucket_and_the_rest_stays(registry, bucket):
    async with client(registry) as to:
        old = await push(to, "blue", "git-1", b"old" * 1000)
        new = await push(to, "blue", "git-2", b"new" * 1000)
        lost = await push(to, "gone", "git-1", b"lost" * 1000)
        stack = await push(to, "paas/stack", "trixie", b"stack" * 1000)
        before = set(bucket.objects)
        status, told = await asyncio.to_thread(collect, registry, {"blue": [new]}, dry_run=True)
        assert status == 200 and {one["digest"] for one in told["images"]} == {old, lost}
        assert set(bucket.objects) == before, "a rehearsal removes nothing"
        status, told = await asyncio.to_thread(collect, registry, {"blue": [new]})
        assert status == 200 and told["freed"] > 7000, told
        assert await to.manifest("blue", "git-1") is None and await to.manifest("gone", lost) is None
        assert (await to.manifest("blue", "git-2")).digest == new and await to.manifest("paas/stack", stack)
        assert await to.blob("blue", digest_of(b"new" * 1000)) == b"new" * 1000
        assert not await to.has_blob("blue", digest_of(b"old" * 1000))
        assert not any("/repositories/gone/" in key for key in bucket.objects)
        assert await push(to, "blue", "git-3", b"old" * 1000), "what was removed can be pushed again"


async def test_platforms_that_share_a_bucket_leave_each_others_images(start, bucket, tmp_path):
    """One of them was there before there were folders for each."""
    (tmp_path / "old").mkdir()
    before = {"bucket": NAME, "region": "us-east-1", "regionendpoint": bucket.url}
    (tmp_path / "old" / "config.yml").write_text(yaml.safe_dump({"storage": {"s3": before}}))
    platforms = [start(name) for name in ("old", "one", "two")]
    pushed = []
    for number, platform in enumerate(platforms):
        async with client(platform) as to:
            pushed.append(await push(to, "blue", "git-1", f"image {number}".encode() * 500))
            await push(to, f"only-{number}", "git-1", b"the same everywhere" * 500)
    tops = Counter(key.partition("/")[0] for key in bucket.objects)
    assert len(tops) == 3 and tops["docker"] and all(top == "docker" or top.startswith("paas-") for top in tops)
    for number, platform in enumerate(platforms):
        others = {key for key in bucket.objects if key.partition("/")[0] != top_of(platform)}
        status, told = await asyncio.to_thread(collect, platform, {"blue": [pushed[number]]})
        assert status == 200 and [one["app"] for one in told["images"]] == [f"only-{number}"] and told["freed"] > 0
        assert others <= set(bucket.objects), "what is another platform's went"
        async with client(platform) as to:
            assert (await to.manifest("blue", "git-1")).digest == pushed[number]
            assert await to.manifest(f"only-{number}", "git-1") is None


def top_of(platform):
    (root,) = json.loads((platform.data / "bucket-roots.json").read_text()).values()
    return root or "docker"


def test_a_platform_keeps_its_folder_in_a_bucket(tmp_path):
    first = settle(tmp_path / "a", "images", "")
    assert first.startswith("paas-") and settle(tmp_path / "a", "images", "") == first
    assert settle(tmp_path / "b", "images", "") != first and settle(tmp_path / "a", "others", "") != first
    assert settle(tmp_path / "c", "images", "", "team/production") == "team/production"
    assert settle(tmp_path / "d", "images", "", "") == ""
    with pytest.raises(SettingsError, match="images are in 'team/production'"):
        settle(tmp_path / "c", "images", "", "elsewhere")
    for hostile in ("/top", "a//b", "..", "a/../b", "a b"):
        with pytest.raises(SettingsError, match="is not a folder's name"):
            settle(tmp_path / "e", "images", "", hostile)


async def test_pushes_to_a_bucket_during_collections_succeed(registry, bucket):
    stop, collections = threading.Event(), []

    def collect_on(digests):
        while digests and not stop.is_set():
            digests.pop()
            collections.append(collect(registry, {"blue": digests}, older_than=600))

    async with client(registry) as to:
        old = [await push(to, "blue", f"old-{i}", f"old {i}".encode() * 100) for i in range(12)]
        bucket.age(3600)
        worker = threading.Thread(target=collect_on, args=(old,))
        worker.start()
        try:
            pushed = [await push(to, "blue", f"git-{i}", f"new {i}".encode() * 100) for i in range(12)]
        finally:
            stop.set()
            await asyncio.to_thread(worker.join, 60)
        for digest in pushed:
            assert await to.manifest("blue", digest)
    assert collections and all(status == 200 for status, _ in collections)
