"""A service whose answers hold other bytes than were stored: an ETag that is an MD5 tells, without a manifest too."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from trees import read_tree

import zsync
from zsync.errors import TransientError

KEY = "data/f"


class Service(BaseHTTPRequestHandler):
    """One object, of which reads may give other bytes."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def meta(self):
        return {
            "ETag": f'"{self.server.etag}"',
            "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
            **self.server.headers,
        }

    def do_HEAD(self):
        self.server.heads += 1
        path = self.path.partition("?")[0]
        if path.endswith(KEY) or path.strip("/") == "bucket":
            self.answer(200, self.server.body, **self.meta)
        else:
            self.answer(404)

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if "list-type" in query:
            below = "" if "zsync" in query else (
                f"<Contents><Key>{KEY}</Key><Size>{len(self.server.body)}</Size><ETag>{self.server.etag}</ETag>"
                "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            )  # fmt: skip
            text = f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{below}</ListBucketResult>"
            self.answer(200, text.encode(), Content_Type="application/xml")
        elif not path.endswith(KEY):
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.server.reads += 1
            body = self.server.body if self.server.reads > self.server.wrong else self.server.other
            start, end = (int(text) for text in self.headers["Range"].removeprefix("bytes=").split("-"))
            span = f"bytes {start}-{min(end, len(body) - 1)}/{len(body)}"
            self.answer(206, body[start : end + 1], Content_Range=span, **self.meta)


@pytest.fixture
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.body, server.other = b"as it was stored", b"as it was mangled"[:16]
    server.etag = hashlib.md5(server.body).hexdigest()
    server.headers, server.reads, server.heads, server.wrong = {}, 0, 0, 10**9
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.shutdown()
        thread.join()


def pull(service, tmp_path, transport):
    storage = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1", "retries": 0}
    url = f"http://127.0.0.1:{service.server_address[1]}"
    zsync.pull("s3://bucket/data", tmp_path, transport=transport, endpoint_url=url, progress=False, **storage)
    return read_tree(tmp_path / "data")


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
class TestWrongBytes:
    def test_they_are_asked_for_again_and_then_refused(self, service, tmp_path, transport):
        with pytest.raises(TransientError, match="did not arrive"):
            pull(service, tmp_path, transport)
        assert service.reads >= 3
        assert not (tmp_path / "data" / "f").exists()

    def test_what_was_wrong_once_comes(self, service, tmp_path, transport):
        service.wrong = 1
        assert pull(service, tmp_path, transport) == {"f": service.body}

    @pytest.mark.parametrize("etag", ["0" * 31 + "1-2", "an-id", "A" * 32])
    def test_an_etag_that_is_no_md5_tells_nothing(self, service, tmp_path, transport, etag):
        service.etag = etag
        assert pull(service, tmp_path, transport) == {"f": service.other}

    @pytest.mark.parametrize(
        "headers",
        [
            {"x_amz_server_side_encryption": "aws:kms"},
            {"x_amz_server_side_encryption": "aws:kms:dsse"},
            {"x_amz_server_side_encryption_customer_algorithm": "AES256"},
        ],
    )
    def test_nor_does_one_of_an_object_that_is_encrypted_with_a_key(self, service, tmp_path, transport, headers):
        service.headers = headers
        assert pull(service, tmp_path, transport) == {"f": service.other}
        assert service.heads >= 1

    def test_encryption_by_the_service_alone_hides_nothing(self, service, tmp_path, transport):
        service.headers = {"x_amz_server_side_encryption": "AES256"}
        with pytest.raises(TransientError, match="did not arrive"):
            pull(service, tmp_path, transport)
