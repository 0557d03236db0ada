"""Faults of the service and of the network, met by both transports: throttling, silence, answers cut short, uploads
that die, keys of a bulk delete that are refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
import socket
import threading
import time

import pytest
from proxy import Fault, Proxy, on
from servers import s3_client
from target import Site, same
from trees import weather

from zsync.config import Location, Storage
from zsync.errors import PermissionDeniedError, TargetError, ThrottledError, TransientError
from zsync.storage import Headers, abort_uploads, connect, pace_of, spec_for, unfinished_uploads
from zsync.storage.retrying import RetryPolicy

S3 = ["obstore", "fsspec"]
PART = 5 * 2**20
PLAIN = Headers()


@pytest.fixture
def proxy(s3):
    with Proxy(s3.endpoint_url) as proxy:
        yield proxy


def spec_of(s3, endpoint_url, bucket, transport="auto"):
    keys = {"access_key_id": s3.access_key, "secret_access_key": s3.secret_key}
    storage = Storage(endpoint_url=endpoint_url, region=s3.region, **keys)
    return spec_for(Location.parse(f"s3://{bucket}/x"), storage, transport)


@pytest.fixture(params=S3)
def spec(request, s3, proxy, bucket):
    return spec_of(s3, proxy.endpoint_url, bucket, request.param)


@pytest.fixture
def store(spec):
    return connect(spec)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("zsync.storage.opening.READ_TIMEOUT_S", 1.0)


@pytest.fixture
def hasty(monkeypatch):
    """Have all be tried as often as ever, with short waits in between."""
    often = RetryPolicy().attempts, RetryPolicy().network_attempts
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (*often, 0.01, 0.1))


def tries(proxy, method):
    return sum(exchange.method == method for exchange in proxy.requests)


# --- Answers cut short -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 100])
def test_an_object_cut_short_is_read_again(proxy, store, keep):
    body = bytes(range(256)) * 64
    store.put("a", body, PLAIN)
    proxy.faults.append(on(Fault.truncate(keep), method="GET", key="a", times=2))
    assert store.get("a").data == body
    assert tries(proxy, "GET") == 3


@pytest.mark.parametrize("keep", [0, 200])
def test_a_listing_cut_short_is_begun_anew(proxy, store, keep):
    keys = [f"a/{number}" for number in range(20)]
    for key in keys:
        store.put(key, b"x", PLAIN)
    proxy.faults.append(on(Fault.truncate(keep), method="GET", query="list-type", times=2))
    assert sorted(key for page in store.list("a/") for key in page.keys) == sorted(keys)
    proxy.faults[:] = [on(Fault.truncate(keep), method="GET", query="list-type", times=2)]
    page, _ = store.list_level("a/")
    assert sorted(page.keys) == sorted(keys)
    assert sum("list-type" in exchange.query for exchange in proxy.requests) >= 6


def trouble(code):
    return Fault.answer(200, f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>')


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
def test_an_error_in_an_answer_that_began_well_is_no_success(hasty, proxy, store, code, monkeypatch):
    """S3 sends the status of a copy, and of the end of an upload, before it knows how that ends."""
    monkeypatch.setattr("zsync.storage.retrying.THROTTLE_S", 1.0)  # else who is asked to slow down goes on for minutes
    store.put("a", b"x", PLAIN)
    proxy.faults.append(on(trouble(code), method="PUT", key="b", times=2))
    store.copy("a", "b")
    assert store.get("b").data == b"x"
    assert sum((exchange.method, exchange.key) == ("PUT", "b") for exchange in proxy.requests) == 3
    proxy.faults[:] = [on(trouble(code), method="POST", query="uploadId", times=None)]
    with pytest.raises(TransientError):
        store.put_parts("large", blocks(), PLAIN, PART)


# --- Silence ---------------------------------------------------------------------------------------------------------


def test_a_service_that_does_not_answer_is_given_up_and_asked_again(impatient, proxy, store):
    proxy.faults.append(on(Fault.delay(8), method="PUT"))
    began = time.monotonic()
    store.put("a", b"x", PLAIN)
    proxy.faults[:] = [on(Fault.delay(8), method="GET")]
    assert store.get("a").data == b"x"
    assert time.monotonic() - began < 8
    assert (tries(proxy, "PUT"), tries(proxy, "GET")) == (2, 2)


@contextlib.contextmanager
def listening(serve):
    """Serve connections, each in a thread of its own."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("transport", S3)
def test_a_service_that_never_says_a_word_is_given_up(impatient, monkeypatch, s3, transport):
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.__init__.__defaults__", (1, 1, 0.0, 0.0))
    over = threading.Event()

    def mute(connection):
        with connection:
            over.wait(60)

    with listening(mute) as endpoint_url:
        store = connect(spec_of(s3, endpoint_url, "mute", transport))
        for ask in (lambda: store.put("a", b"x", PLAIN), lambda: store.get("a"), lambda: [*store.list("")]):
            began = time.monotonic()
            with pytest.raises(TransientError):
                ask()
            assert time.monotonic() - began < 8
        over.set()


@pytest.mark.parametrize("transport", S3)
def test_a_large_body_on_a_slow_link_is_not_given_up(impatient, s3, transport):
    """While a body is sent nothing arrives; that is no silence."""
    requests = []

    def slow(connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1 << 16)
            requests.append(head)
            head, _, body = head.partition(b"\r\n\r\n")
            size, got, began = (
                int(re.search(rb"\r\ncontent-length: (\d+)", head.lower())[1]),
                len(body),
                time.monotonic(),
            )
            while got < size:
                got += len(connection.recv(1 << 16))
                time.sleep(max(0.0, began + 2.5 * got / size - time.monotonic()))
            connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "' + etag + b'"\r\nContent-Length: 0\r\n\r\n')

    body = bytes(16 * 2**20)
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest().encode()
    with listening(slow) as endpoint_url:
        connect(spec_of(s3, endpoint_url, "slow", transport))._store.put("a", body, PLAIN)
    assert len(requests) == 1


# --- Bulk delete -----------------------------------------------------------------------------------------------------


def deleted(body):
    xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
    return Fault.answer(
        200, f'<?xml version="1.0" encoding="UTF-8"?><DeleteResult xmlns="{xmlns}">{body}</DeleteResult>'
    )


def refused(key, code):
    return f"<Error><Key>{key}</Key><Code>{code}</Code><Message>made: by (the) test</Message></Error>"


GONE = "<Deleted><Key>a</Key></Deleted>"


@pytest.mark.parametrize("before", ["", GONE], ids=["first", "later"])
@pytest.mark.parametrize("after", ["", GONE], ids=["last", "earlier"])
def test_a_key_that_may_not_be_deleted_is_told(s3, proxy, bucket, before, after):
    store = connect(spec_of(s3, proxy.endpoint_url, bucket))
    proxy.faults.append(on(deleted(before + refused("b/c &amp; d", "AccessDenied") + after), method="POST"))
    with pytest.raises(PermissionDeniedError, match=r"AccessDenied.*b/c & d"):
        store.delete(["a", "b/c & d"])
    assert tries(proxy, "POST") == 1


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
@pytest.mark.parametrize("before", ["", GONE], ids=["first", "later"])
def test_a_key_that_could_not_be_deleted_is_tried_again(s3, proxy, bucket, before, code):
    store = connect(spec_of(s3, proxy.endpoint_url, bucket))
    for key in "ab":
        store.put(key, b"x", PLAIN)
    proxy.faults.append(on(deleted(before + refused("b", code)), method="POST", times=2))
    store.delete(["a", "b"])
    assert not [key for page in store.list("") for key in page.keys]
    assert tries(proxy, "POST") == 3


def test_an_unknown_refusal_names_code_and_key(s3, proxy, bucket):
    store = connect(spec_of(s3, proxy.endpoint_url, bucket))
    proxy.faults.append(on(deleted(GONE + refused("b", "Whatever")), method="POST"))
    with pytest.raises(TargetError, match=r"Whatever.*/b"):
        store.delete(["a", "b"])


# --- Uploads in parts ------------------------------------------------------------------------------------------------


def blocks(error=None):
    for number in range(4):
        yield bytes([number]) * PART
        if error is not None and number == 2:
            raise error


def left(s3, bucket):
    with contextlib.closing(s3_client(s3)) as client:
        return [upload["Key"] for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


DEATHS = {
    "a part is refused": lambda: on(Fault.error(403, "AccessDenied"), query="partNumber", nth=2, times=None),
    "every part breaks": lambda: on(Fault.reset(), query="partNumber", times=None),
    "its end is refused": lambda: on(Fault.error(403, "AccessDenied"), method="POST", query="uploadId", times=None),
    "the service fails": lambda: on(Fault.error(500), query="partNumber", nth=3, times=None),
}


@pytest.mark.parametrize("death", DEATHS)
def test_an_upload_that_dies_leaves_nothing(hasty, s3, bucket, proxy, store, death):
    proxy.faults.append(DEATHS[death]())
    with pytest.raises(TargetError):
        store.put_parts("large", blocks(), PLAIN, PART)
    assert any("uploadId" in exchange.query for exchange in proxy.requests)
    proxy.faults.clear()
    assert left(s3, bucket) == []
    assert [key for page in store.list("") for key in page.keys] == []


def test_an_upload_whose_source_breaks_leaves_nothing(s3, bucket, proxy, store):
    with pytest.raises(KeyError, match="boo"):
        store.put_parts("large", blocks(KeyError("boo")), PLAIN, PART)
    assert left(s3, bucket) == []


def test_unfinished_uploads_are_found_and_given_up(s3, bucket, spec):
    with contextlib.closing(s3_client(s3)) as client:
        for key in ("run/a b", "run/b", "run/c", "other/d"):
            client.create_multipart_upload(Bucket=bucket, Key=key)
    found = unfinished_uploads(spec, "run/")
    assert sorted(upload.key for upload in found) == ["run/a b", "run/b", "run/c"]
    assert all(abs(dt.datetime.now(dt.UTC) - upload.initiated) < dt.timedelta(minutes=5) for upload in found)
    abort_uploads(spec, found[:2])
    assert unfinished_uploads(spec, "run/") == found[2:]
    abort_uploads(spec, found)  # two of them are no more
    assert left(s3, bucket) == ["other/d"]
    assert [upload.key for upload in unfinished_uploads(spec, "")] == ["other/d"]


def uploads_page(bucket, keys, after=None):
    uploads = "".join(
        f"<Upload><Key>{key}</Key><UploadId>u</UploadId><Initiated>2026-01-02T03:04:05Z</Initiated></Upload>"
        for key in keys
    )
    end = f"<NextKeyMarker>{after}</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>" if after else ""
    return Fault.answer(
        200,
        f'<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>{bucket}</Bucket>{end}'
        f"<IsTruncated>{str(bool(after)).lower()}</IsTruncated>{uploads}</ListMultipartUploadsResult>",
    )


def test_unfinished_uploads_come_page_by_page(bucket, proxy, spec):
    proxy.faults += [
        on(uploads_page(bucket, "ab", after="b"), query="uploads", nth=1),
        on(Fault.slow_down(), query="uploads", nth=1),
        on(uploads_page(bucket, "c"), query="uploads", nth=1),
    ]
    assert [upload.key for upload in unfinished_uploads(spec, "")] == ["a", "b", "c"]
    first, second, third = (exchange.query for exchange in proxy.requests)
    assert "key-marker" not in first
    assert (second["key-marker"], second["upload-id-marker"]) == ("b", "u")
    assert second == third


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed"), (404, "NoSuchKey")])
def test_a_service_that_lists_no_uploads_has_none(proxy, spec, status, code):
    proxy.faults.append(on(Fault.error(status, code), query="uploads", times=None))
    assert unfinished_uploads(spec, "") == []
    assert len(proxy.requests) == 1


def test_who_may_not_list_uploads_is_told(proxy, spec):
    proxy.faults.append(on(Fault.error(403, "AccessDenied"), query="uploads", times=None))
    with pytest.raises(PermissionDeniedError):
        unfinished_uploads(spec, "")


def test_other_stores_have_no_uploads():
    assert unfinished_uploads(spec_for(Location.parse("memory://x"), Storage()), "") == []


# --- Throttling ------------------------------------------------------------------------------------------------------


class Bears:
    """A service that bears 24 requests at once, until that is too few; from then on it bears `limit`."""

    def __init__(self, proxy, limit, pace):
        self.proxy, self.limit, self.pace = proxy, limit, pace
        self.refused: list[bool] = []
        self.limits: list[int] = []

    def __call__(self, exchange):
        busy = sum(e.completion is None and e.fault is not None for e in self.proxy.requests if e is not exchange)
        tight = any(self.refused)
        self.refused.append(busy >= (self.limit if tight else 24))
        if self.pace.limit is not None:
            self.limits.append(self.pace.limit)
        if self.refused[-1]:
            return Fault.slow_down()
        return Fault.delay(0.01 if tight else 0.1)


@pytest.mark.parametrize("transport", S3)
def test_publishing_finds_the_pace_of_the_service(s3, bucket, proxy, tmp_path, transport):
    pace = pace_of(spec_of(s3, proxy.endpoint_url, bucket))
    service = Bears(proxy, 4, pace)
    proxy.faults.append(service)
    site = Site(s3, proxy, bucket, tmp_path / "run")
    site.store("a.zarr", weather(500, 8))
    result = site.publish(workers=32, transport=transport)
    assert result.products[0].sent >= 200
    assert same(site.read("a.zarr"), weather(500, 8))
    assert min(service.limits) <= 12
    half = len(service.refused) // 2
    first, second = (sum(answers) / half for answers in (service.refused[:half], service.refused[-half:]))
    assert second < first
    assert second < 0.2


def test_throttling_that_does_not_end_is_told(s3, bucket, proxy, monkeypatch):
    monkeypatch.setattr("zsync.storage.retrying.THROTTLE_S", 0.5)
    proxy.faults.append(on(Fault.slow_down(), times=None))
    store = connect(spec_of(s3, proxy.endpoint_url, bucket))
    with pytest.raises(ThrottledError, match="slow down") as raised:
        store.put("a", b"x", PLAIN)
    assert "\n" not in str(raised.value)
    assert tries(proxy, "PUT") > 1
    assert pace_of(spec_of(s3, proxy.endpoint_url, bucket)).limit == 1


# --- a publish cleans up after those that died ------------------------------------------------------------------------


def unfinished(s3, bucket, key):
    """Begin an upload in parts, and never end it, as a process that was killed."""
    with contextlib.closing(s3_client(s3)) as client:
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 5 * 2**20)


def test_a_publish_aborts_what_earlier_runs_left_unfinished_and_nothing_else(s3, bucket, proxy, tmp_path):
    site = Site(s3, proxy, bucket, tmp_path / "run")
    (site.root / "cog").mkdir(parents=True)
    (site.root / "cog" / "large.bin").write_bytes(b"y" * (65 * 2**20))
    (site.root / "cog" / "small.bin").write_bytes(b"y")
    site.products = {"cog": {"path": "cog", "kind": "files"}}
    for key in ("run/cog/large.bin", "run/cog/of-somebody-else.bin", "run/other/large.bin"):
        unfinished(s3, bucket, key)
    result = site.publish()
    assert [finding.code for finding in result.findings] == ["unfinished-uploads"]
    assert "aborted 1 multipart uploads" in result.findings[0].message
    spec = spec_for(Location.parse(f"s3://{bucket}"), Storage(**site.config()["storage"]))
    assert {upload.key for upload in unfinished_uploads(spec, "run/")} == {
        "run/cog/of-somebody-else.bin", "run/other/large.bin",
    }  # fmt: skip


def test_who_may_not_list_uploads_may_publish(s3, bucket, proxy, tmp_path):
    site = Site(s3, proxy, bucket, tmp_path / "run")
    (site.root / "cog").mkdir(parents=True)
    (site.root / "cog" / "large.bin").write_bytes(b"y" * (65 * 2**20))
    site.products = {"cog": {"path": "cog", "kind": "files"}}
    proxy.faults.append(
        lambda exchange: (
            Fault.error(403, "AccessDenied") if exchange.method == "GET" and "uploads" in exchange.query else None
        )
    )
    result = site.publish()
    assert result.status == "published"
    assert "could not be looked for" in result.findings[0].message
