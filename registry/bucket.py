"""A bucket that speaks S3, the few calls a collection needs: list, read, remove; signed as Amazon has it (version 4).

Source: Amazon S3's API reference (ListObjectsV2, GetObject, DeleteObjects), "Signature Version 4".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from registry.errors import RegistryError
from registry.settings import ObjectStorage
from registry.store import Entry

TIMEOUT = 60  # seconds of a call
BATCH = 1000  # keys of one removal; more aren't taken
SIGNED = ("host", "x-amz-content-sha256", "x-amz-date")


class Bucket:
    def __init__(self, storage: ObjectStorage) -> None:
        self._storage = storage
        self._url = storage.endpoint.rstrip("/") or f"https://s3.{storage.region}.amazonaws.com"
        self._above = f"{storage.root}/" if storage.root else ""  # what is ours in the bucket begins with it

    def entries(self, folder: str) -> Iterator[Entry]:
        query = {"list-type": "2", "prefix": f"{self._above}{folder}/"}
        while True:
            with self._call("GET", "", query) as answer:
                listed = parse(answer.read())
            for one in listed.iterfind("{*}Contents"):
                changed = datetime.fromisoformat(text(one, "LastModified"))
                yield Entry(text(one, "Key").removeprefix(self._above), changed.timestamp(), int(text(one, "Size")))
            if text(listed, "IsTruncated") != "true":
                return
            query["continuation-token"] = text(listed, "NextContinuationToken")

    def read(self, key: str, most: int) -> bytes:
        with self._call("GET", self._above + key) as answer:
            return answer.read(most)

    def remove(self, folders: Collection[str]) -> None:
        if not folders:
            return
        wanted = set(folders)
        root = "/".join(common(sorted(wanted)))
        doomed = [entry.key for entry in self.entries(root) if not wanted.isdisjoint(parents(entry.key))]
        for start in range(0, len(doomed), BATCH):
            self._remove(doomed[start : start + BATCH])

    def drop_uploads(self, before: float) -> None:
        """A listing of the whole bucket every minute isn't cheap: a collection does it."""

    def _remove(self, keys: list[str]) -> None:
        listed = "".join(f"<Object><Key>{escape(self._above + key)}</Key></Object>" for key in keys)
        body = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
        checked = {
            "Content-Type": "application/xml",
            "Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
        }
        with self._call("POST", "", {"delete": ""}, body, checked) as answer:
            for error in parse(answer.read()).iterfind("{*}Error"):
                raise RegistryError(
                    f"The bucket {self._storage.bucket} didn't remove {text(error, 'Key')}: {text(error, 'Message')}"
                )

    def _call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> IO[bytes]:
        """The answer. Raises: FileNotFoundError, RegistryError."""
        path = quote(f"/{self._storage.bucket}/{key}" if key else f"/{self._storage.bucket}")
        asked = urlencode(sorted((query or {}).items()), quote_via=quote, safe="")
        signed = sign(self._storage, method, urlsplit(self._url).netloc, path, asked, body, datetime.now(UTC))
        address = f"{self._url}{path}?{asked}" if asked else f"{self._url}{path}"
        request = Request(address, data=body or None, headers={**(headers or {}), **signed}, method=method)
        try:
            answer: IO[bytes] = urlopen(request, timeout=TIMEOUT)
            return answer
        except HTTPError as exc:
            if exc.code == 404 and key:
                raise FileNotFoundError(key) from exc
            raise RegistryError(
                f"The bucket {self._storage.bucket} refused {method} /{key} with status {exc.code}."
            ) from exc
        except OSError as exc:
            raise RegistryError(f"The bucket {self._storage.bucket} can't be reached: {exc}") from exc


def sign(
    storage: ObjectStorage, method: str, host: str, path: str, query: str, body: bytes, now: datetime
) -> dict[str, str]:
    """The headers that prove who asks; `path` and `query` encoded, the query's names in order."""
    when, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    content = hashlib.sha256(body).hexdigest()
    told = {"host": host, "x-amz-content-sha256": content, "x-amz-date": when}
    canonical = "\n".join(
        [method, path, query, *(f"{name}:{told[name]}" for name in SIGNED), "", ";".join(SIGNED), content]
    )
    scope = f"{day}/{storage.region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + storage.secret_key.encode()
    for part in (day, storage.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    credential = f"Credential={storage.access_key}/{scope}"
    told["Authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={';'.join(SIGNED)}, Signature={signature}"
    return told


def parse(content: bytes) -> ElementTree.Element:
    """Raises: RegistryError when it is no XML."""
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as exc:
        raise RegistryError(f"The bucket's answer can't be read: {exc}") from exc


def text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""


def common(folders: list[str]) -> list[str]:
    """The parts of the path above them all."""
    above = (folder.split("/")[:-1] for folder in (folders[0], folders[-1]))
    return [one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*above, strict=False))]


def parents(key: str) -> list[str]:
    """Every folder that `key` is in."""
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
