"""A service that answers anything: whatever keys it is told to list, and whatever it is told to hold, of any name."""

from __future__ import annotations

import hashlib
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
BUCKET = "anything"


class AnyService:
    """One bucket in memory. `objects` may hold any text as a key, also such as no client could have written."""

    region, access_key, secret_key = "us-east-1", "any", "any"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}  # what is told instead of the MD5
        self.is_opaque = False  # every write gets an ETag of its own, as where a key of KMS encrypts
        self.archived: set[str] = set()  # keys that cannot be read
        self.status = 0  # what is answered to reading, whatever is asked
        self.damages: Callable[[bytes], bytes] = lambda body: body  # what becomes of what is written
        self.refuses: Callable[[str], bool] = lambda _key: False  # writes that are answered with 403
        self.asked: list[str] = []
        service = self

        class Handler(_Handler):
            bucket = service

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="any-service", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    @property
    def storage(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.endpoint_url, "region": self.region, "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }  # fmt: skip

    def etag(self, key: str) -> str:
        return self.etags.get(key) or hashlib.md5(self.objects[key]).hexdigest()


def _text(value: str, *, encoded: bool) -> str:
    if encoded:
        return quote(value, safe="/", errors="surrogatepass")
    plain = value.encode("utf-8", "replace").decode()
    return "".join(c if c.isalnum() or c in "/._-" else f"&#{ord(c)};" for c in plain)


class _Handler(BaseHTTPRequestHandler):
    bucket: AnyService
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.bucket.is_opaque and "ETag" in headers:
            self.send_header("x-amz-server-side-encryption", "aws:kms")
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        self.bucket.asked.append(f"{self.command} {self.path}")
        return unquote(parts.path[1:]).partition("/")[2], parse_qs(parts.query, keep_blank_values=True)

    def do_GET(self) -> None:
        key, query = self._asked()
        if self.bucket.status:
            self._answer(self.bucket.status)
        elif "list-type" in query:
            self._answer(200, self._listing(query).encode(), Content_Type="application/xml")
        elif "uploads" in query:
            self._answer(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        elif not key and "/" not in urlsplit(self.path).path[1:].rstrip("/"):
            self._answer(200)
        elif key not in self.bucket.objects:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._object(key)

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def _object(self, key: str) -> None:
        body, tags = self.bucket.objects[key], {"ETag": f'"{self.bucket.etag(key)}"'}
        tags["Last_Modified"] = "Thu, 26 Nov 2026 00:00:00 GMT"
        asked = self.headers.get("Range", "")
        if self.headers.get("If-Match", tags["ETag"]) != tags["ETag"]:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        elif self.command == "GET" and key in self.bucket.archived:
            self._answer(403, b"<Error><Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass></Error>")
        elif self.command == "HEAD":
            self._answer(200, Content_Length=str(len(body)), **tags)
        elif asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(body)), len(body) - 1)
            tags["Content_Range"] = f"bytes {start}-{end}/{len(body)}"
            self._answer(206, body[start : end + 1], **tags)
        else:
            self._answer(200, body, **tags)

    def _listing(self, query: dict[str, list[str]]) -> str:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        encoded = query.get("encoding-type") == ["url"]
        contents, prefixes = [], {}
        for key in sorted(self.bucket.objects, key=lambda key: key.encode("utf-8", "surrogatepass")):
            if not key.startswith(prefix):
                continue
            below, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if cut:
                prefixes[prefix + below + cut] = None
                continue
            contents.append(
                f"<Contents><Key>{_text(key, encoded=encoded)}</Key><Size>{len(self.bucket.objects[key])}</Size>"
                f"<ETag>&quot;{_text(self.bucket.etag(key), encoded=False)}&quot;</ETag>"
                "<LastModified>2026-11-26T00:00:00.000Z</LastModified>"
                f"<StorageClass>{'GLACIER' if key in self.bucket.archived else 'STANDARD'}</StorageClass></Contents>"
            )
        common = [f"<CommonPrefixes><Prefix>{_text(p, encoded=encoded)}</Prefix></CommonPrefixes>" for p in prefixes]
        kind = "<EncodingType>url</EncodingType>" if encoded else ""
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><Prefix>{_text(prefix, encoded=encoded)}</Prefix>"
            f"<KeyCount>{len(contents)}</KeyCount><MaxKeys>100000</MaxKeys><IsTruncated>false</IsTruncated>"
            f"{kind}{''.join(contents + common)}</ListBucketResult>"
        )

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_PUT(self) -> None:
        key, _ = self._asked()
        body = self._body()
        if self.bucket.refuses(key):
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return
        there = self.bucket.objects.get(key)
        wanted = self.headers.get("If-Match")
        if (self.headers.get("If-None-Match") and there is not None) or (
            wanted is not None and (there is None or wanted.strip('"') != self.bucket.etag(key))
        ):
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        source = self.headers.get("x-amz-copy-source")
        if source is not None:
            body = self.bucket.objects[unquote(source).lstrip("/").partition("/")[2]]
        if self.bucket.is_opaque:
            self.bucket.etags[key] = secrets.token_hex(16)
        self.bucket.objects[key] = self.bucket.damages(body)
        tag = self.bucket.etag(key)
        when = "<LastModified>2026-11-26T00:00:00.000Z</LastModified>"
        done = f"<CopyObjectResult><ETag>{tag}</ETag>{when}</CopyObjectResult>"
        self._answer(200, done.encode() if source is not None else b"", ETag=f'"{tag}"')

    def do_POST(self) -> None:
        import re

        _, query = self._asked()
        body = self._body()
        if "delete" in query:
            keys = re.findall(r"<Key>([^<]*)</Key>", body.decode())
            for key in keys:
                self.bucket.objects.pop(key, None)
            done = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
            self._answer(200, f"<DeleteResult>{done}</DeleteResult>".encode())
        else:
            self._answer(501)

    def do_DELETE(self) -> None:
        key, _ = self._asked()
        self.bucket.objects.pop(key, None)
        self._answer(204)
