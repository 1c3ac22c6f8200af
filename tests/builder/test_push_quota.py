"""A repository that is as large as it may be: in words, over SSH and HTTP, and nothing of a refused push stays."""

import os
import re

import pytest

from tests.builder.test_http_push import TOKEN, url
from tests.builder.test_push_refusals import APP, head

pytestmark = pytest.mark.engine
QUOTA = 3 << 20


@pytest.fixture(scope="module")
def limited(request, start_builder):
    running = start_builder(
        f"quota-{request.param}", BUILD_REPOSITORY_BYTES=str(QUOTA), BUILD_POOL="0", BUILDER_GIT=request.param
    )
    running.controller.tokens[TOKEN] = "alice"
    return running


@pytest.mark.parametrize(
    ("limited", "way"), [("git", "ssh"), ("git", "http"), ("dulwich", "ssh")], indirect=["limited"]
)
def test_more_than_the_quota_is_refused_in_words_and_leaves_nothing(limited, tmp_path, way):
    app = f"quota-{way}"
    client = limited.client(tmp_path / "c", apps=(app,))
    path = client.repository(app, APP)
    if way == "http":
        client.git("remote", "set-url", "deis", url(limited, app), cwd=path)
    assert f"Done, {app}:v" in client.push(path)
    before, objects = head(limited, app), kept(limited, app)
    (path / "noise").write_bytes(os.urandom(4 << 20))
    client.commit(path)
    out = client.push(path, check=False)
    assert re.search(r"The push brings more than the (2.9|3.0) MiB that are left", out) and "paas git:reset" in out, out
    assert "exceeds maximum" not in out and "3 MiB with all its history (BUILD_REPOSITORY_BYTES)" in out
    assert head(limited, app) == before and kept(limited, app) == objects
    client.git("reset", "-q", "--hard", "HEAD~1", cwd=path)
    client.commit(path, {"x": "small"})
    assert f"Done, {app}:v" in client.push(path), "what fits goes on"
    (limited.data / f"repos/{app}.git/filler").write_bytes(os.urandom(QUOTA))
    client.commit(path, {"x": "smaller"})
    out = client.push(path, check=False)
    assert f"The repository of {app} has reached its quota, 3 MiB with all its history" in out


def kept(builder, app):
    return sorted(str(path) for path in (builder.data / f"repos/{app}.git/objects").rglob("*"))
