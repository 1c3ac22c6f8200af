"""A bucket that speaks S3, in memory: what the Distribution server and a collection ask of one.

Signatures are checked by computing them anew with the collection's own code, so only ours; Distribution's go unchecked.
"""

import hashlib
import re
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from registry.bucket import sign
from registry.settings import ObjectStorage

NAME, ACCESS_KEY, SECRET_KEY = "images", "access", "secret"


class BucketServer:
    """`objects`: key → (content, when it was written)."""

    def __init__(self):
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.page = 1000  # keys of one listing
        self.lock = threading.Lock()
        handler = type("H", (Handler,), {"bucket": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def storage(self) -> ObjectStorage:
        return ObjectStorage(NAME, "us-east-1", self.url, ACCESS_KEY, SECRET_KEY)

    def put(self, key: str, content: bytes) -> str:
        self.objects[key] = (content, datetime.now(UTC))
        return etag(content)

    def age(self, seconds: float) -> None:
        """Have everything be written that much earlier."""
        with self.lock:
            for key, (content, when) in self.objects.items():
                self.objects[key] = (content, datetime.fromtimestamp(when.timestamp() - seconds, UTC))

    def stop(self) -> None:
        self._server.shutdown()


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


class Handler(BaseHTTPRequestHandler):
    bucket: BucketServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def serve(self) -> None:
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.key = unquote(parts.path).removeprefix(f"/{NAME}").removeprefix("/")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "urllib" in self.headers.get("User-Agent", "") and not self.is_signed(parts.path, parts.query):
            return self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        with self.bucket.lock:
            getattr(self, f"serve_{self.command.lower()}")()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = serve

    def is_signed(self, path: str, query: str) -> bool:
        when = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        host = self.headers["Host"]
        wanted = sign(self.bucket.storage, self.command, host, path, query, self.body, when)
        return wanted["Authorization"] == self.headers["Authorization"]

    def serve_get(self) -> None:
        if not self.key:
            return self.list_uploads() if "uploads" in self.query else self.list_objects()
        if "uploadId" in self.query:
            _, pieces = self.bucket.uploads[self.query["uploadId"]]
            listed = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag(one))}</ETag><Size>{len(one)}</Size></Part>"
                for number, one in sorted(pieces.items())
            )
            return self.answer_xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{listed}")
        if self.key not in self.bucket.objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        content, _ = self.bucket.objects[self.key]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return self.answer(200, content, {"ETag": etag(content)})
        start, end = int(asked[1]), int(asked[2] or len(content) - 1)
        if start >= len(content):
            return self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
        told = {"Content-Range": f"bytes {start}-{min(end, len(content) - 1)}/{len(content)}"}
        self.answer(206, content[start : end + 1], told)

    serve_head = serve_get

    def list_objects(self) -> None:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        keys = sorted(key for key in self.bucket.objects if key.startswith(prefix))
        rows: dict[str, str] = {}
        for key in keys:
            rest = key.removeprefix(prefix)
            if delimiter and delimiter in rest:
                folder = prefix + rest.partition(delimiter)[0] + delimiter
                rows[folder] = f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
                continue
            content, when = self.bucket.objects[key]
            changed = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            rows[key] = (
                f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size>"
                f"<LastModified>{changed}</LastModified></Contents>"
            )
        wanted = [key for key in sorted(rows) if key > after]
        most = min(int(self.query.get("max-keys", 1000)), self.bucket.page)
        page, more = wanted[:most], len(wanted) > most
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        head = f"<Name>{NAME}</Name><KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
        self.answer_xml("ListBucketResult", head + token + "".join(rows[key] for key in page))

    def list_uploads(self) -> None:
        listed = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{number}</UploadId></Upload>"
            for number, (key, _) in self.bucket.uploads.items()
            if key.startswith(self.query.get("prefix", ""))
        )
        self.answer_xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{listed}")

    def serve_put(self) -> None:
        content = self.body
        if source := self.headers.get("X-Amz-Copy-Source"):
            content, _ = self.bucket.objects[unquote(source).lstrip("/").removeprefix(f"{NAME}/")]
            if limits := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("X-Amz-Copy-Source-Range", "")):
                content = content[int(limits[1]) : int(limits[2]) + 1]
        if "partNumber" in self.query:
            self.bucket.uploads[self.query["uploadId"]][1][int(self.query["partNumber"])] = content
            tag = etag(content)
        else:
            tag = self.bucket.put(self.key, content)
        if source:
            name = "CopyPartResult" if "partNumber" in self.query else "CopyObjectResult"
            return self.answer_xml(name, f"<ETag>{escape(tag)}</ETag>")
        self.answer(200, b"", {"ETag": tag})

    def serve_post(self) -> None:
        if "delete" in self.query:
            for key in re.findall(r"<Key>([^<]*)</Key>", self.body.decode()):
                self.bucket.objects.pop(key, None)
            return self.answer_xml("DeleteResult", "")
        if "uploads" in self.query:
            number = f"u{len(self.bucket.uploads)}-{self.key[-8:]}"
            self.bucket.uploads[number] = (self.key, {})
            return self.answer_xml("InitiateMultipartUploadResult", f"<UploadId>{number}</UploadId>")
        key, pieces = self.bucket.uploads.pop(self.query["uploadId"])
        tag = self.bucket.put(key, b"".join(one for _, one in sorted(pieces.items())))
        self.answer_xml("CompleteMultipartUploadResult", f"<ETag>{escape(tag)}</ETag>")

    def serve_delete(self) -> None:
        if "uploadId" in self.query:
            self.bucket.uploads.pop(self.query["uploadId"], None)
        else:
            self.bucket.objects.pop(self.key, None)
        self.answer(204, b"")

    def answer_xml(self, name: str, content: str) -> None:
        self.answer(200, f"<{name}>{content}</{name}>".encode(), {"Content-Type": "application/xml"})

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Quiet."""
