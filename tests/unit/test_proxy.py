"""The proxy that other tests rely on does what it says: signatures pass, every fault is what it claims to be."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError
from obstore.store import S3Store
from proxy import Exchange, Fault, Proxy, on
from servers import s3_client
from trees import s3_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.devserver import DevServer

# What clients make of a connection that was reset, by where they were at that moment.
RESET = (ConnectionClosedError, HTTPClientError)


@pytest.fixture
def proxy(s3: DevServer) -> Iterator[Proxy]:
    with Proxy(s3.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def client(s3: DevServer, proxy: Proxy) -> Iterator[Any]:
    with contextlib.closing(s3_client(s3, endpoint_url=proxy.endpoint_url)) as client:
        yield client


def obstore_through(s3: DevServer, proxy: Proxy, bucket: str, *, retries: int = 0, **options: Any) -> S3Store:
    return S3Store(
        bucket,
        endpoint=proxy.endpoint_url,
        access_key_id=s3.access_key,
        secret_access_key=s3.secret_key,
        region=s3.region,
        client_options={"allow_http": True},
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=20)},
        **options,
    )


def test_signed_requests_pass_and_are_recorded(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    store = obstore_through(s3, proxy, bucket)
    obstore.put(store, "a/b c.json", b"hello", attributes={"Content-Type": "application/json"})
    assert bytes(obstore.get(store, "a/b c.json").bytes()) == b"hello"
    assert [entry["path"] for entry in obstore.list(store, prefix="a").collect()] == ["a/b c.json"]
    with pytest.raises(FileNotFoundError):
        obstore.get(store, "missing")

    put, get, listing, missing = proxy.requests
    assert (put.method, put.bucket, put.key, put.status) == ("PUT", bucket, "a/b c.json", 200)
    assert put.headers["content-type"] == "application/json"
    assert (put.size, put.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert put.started <= put.ended <= get.started
    assert (get.method, get.key, get.sha256) == ("GET", "a/b c.json", hashlib.sha256(b"").hexdigest())
    assert (listing.key, listing.query["prefix"], listing.query["list-type"]) == ("", "a/", "2")
    assert missing.status == 404
    assert [exchange.completion for exchange in proxy.requests] == [0, 1, 2, 3]


def test_a_signature_made_with_another_secret_is_still_refused(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    with (
        contextlib.closing(s3_client(s3, endpoint_url=proxy.endpoint_url, secret_key="another")) as client,
        pytest.raises(ClientError, match="SignatureDoesNotMatch"),
    ):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert proxy.requests[0].status == 403


def test_multipart_uploads_and_large_bodies_pass(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    body = bytes(range(256)) * 4096 * 12  # 12 MiB
    obstore.put(obstore_through(s3, proxy, bucket), "big", body, use_multipart=True, chunk_size=5 << 20)
    assert s3_bytes(s3, bucket) == {"big": body}
    assert "uploads" in proxy.requests[0].query
    assert sum("partNumber" in exchange.query for exchange in proxy.requests) == 3


def test_a_fault_hits_the_nth_matching_request_and_no_other(client: Any, proxy: Proxy, bucket: str) -> None:
    proxy.faults.append(on(Fault.error(500), nth=2, times=2, method="PUT", key="data/*"))
    said = []
    for key in ("data/1", "meta", "data/2", "data/3", "data/4"):
        with contextlib.suppress(ClientError):
            client.get_object(Bucket=bucket, Key=key)
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"x")
            said.append((key, 200))
        except ClientError as error:
            said.append((key, error.response["ResponseMetadata"]["HTTPStatusCode"]))
    assert said == [("data/1", 200), ("meta", 200), ("data/2", 500), ("data/3", 500), ("data/4", 200)]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.slow_down(), "SlowDown"),
        (Fault.error(), "InternalError"),
        (Fault.error(403, "AccessDenied"), "AccessDenied"),
    ],
)
def test_an_error_is_answered_and_the_server_never_acts(
    s3: DevServer, client: Any, proxy: Proxy, bucket: str, fault: Fault, code: str
) -> None:
    proxy.faults.append(on(fault))
    with pytest.raises(ClientError, match=code) as caught:
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == fault.status
    assert (proxy.requests[0].status, proxy.requests[0].upstream_status) == (fault.status, None)
    assert s3_bytes(s3, bucket) == {}


def test_obstore_tries_again_after_slow_down(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    proxy.faults.append(on(Fault.slow_down(), times=2))
    obstore.put(obstore_through(s3, proxy, bucket, retries=3), "k", b"x")
    assert [exchange.status for exchange in proxy.requests] == [503, 503, 200]


def test_a_reset_request_never_reaches_the_server(s3: DevServer, client: Any, proxy: Proxy, bucket: str) -> None:
    proxy.faults.append(on(Fault.reset()))
    with pytest.raises(RESET):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (proxy.requests[0].upstream_status, proxy.requests[0].status) == (None, None)
    assert s3_bytes(s3, bucket) == {}


def test_a_lost_answer_leaves_what_the_server_did(s3: DevServer, client: Any, proxy: Proxy, bucket: str) -> None:
    proxy.faults.append(on(Fault.lost()))
    with pytest.raises(RESET):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (proxy.requests[0].upstream_status, proxy.requests[0].status) == (200, None)
    assert s3_bytes(s3, bucket) == {"k": b"x"}


def test_a_delayed_request_is_overtaken(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    proxy.faults.append(on(Fault.delay(0.5), key="slow"))
    store = obstore_through(s3, proxy, bucket)
    slow = threading.Thread(target=lambda: obstore.put(store, "slow", b"x"))
    slow.start()
    while not proxy.requests:
        time.sleep(0.005)
    obstore.put(store, "quick", b"x")
    slow.join()
    assert [exchange.key for exchange in proxy.requests] == ["slow", "quick"]
    assert [exchange.key for exchange in proxy.completed] == ["quick", "slow"]
    assert proxy.requests[0].ended - proxy.requests[0].started >= 0.5


def test_a_request_is_held_until_it_is_let_go(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    go = threading.Event()
    proxy.faults.append(on(Fault.hold(go), key="held"))
    store = obstore_through(s3, proxy, bucket)
    held = threading.Thread(target=lambda: obstore.put(store, "held", b"x"))
    held.start()
    while not proxy.requests:
        time.sleep(0.005)
    obstore.put(store, "quick", b"x")
    assert s3_bytes(s3, bucket) == {"quick": b"x"}
    go.set()
    held.join(10)
    assert s3_bytes(s3, bucket) == {"quick": b"x", "held": b"x"}
    assert [exchange.key for exchange in proxy.completed] == ["quick", "held"]


def test_a_truncated_answer_breaks_off(s3: DevServer, client: Any, proxy: Proxy, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    proxy.faults.append(on(Fault.truncate(4), method="GET"))
    body = client.get_object(Bucket=bucket, Key="k")["Body"]
    assert body._raw_stream.headers["Content-Length"] == "10"
    assert body._raw_stream.read(4) == b"0123"
    with pytest.raises(Exception, match=r"IncompleteRead|Connection broken"):
        body._raw_stream.read()
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"0123456789"


def test_after_refusing_nothing_gets_through_until_it_accepts_again(
    s3: DevServer, client: Any, proxy: Proxy, bucket: str
) -> None:
    proxy.faults.append(on(Fault.refuse(), nth=2))
    client.put_object(Bucket=bucket, Key="1", Body=b"x")
    with pytest.raises(RESET):
        client.put_object(Bucket=bucket, Key="2", Body=b"x")
    for _ in range(2):
        with pytest.raises(EndpointConnectionError):
            client.put_object(Bucket=bucket, Key="3", Body=b"x")
    assert s3_bytes(s3, bucket) == {"1": b"x"}
    proxy.accept()
    client.put_object(Bucket=bucket, Key="4", Body=b"x")
    assert set(s3_bytes(s3, bucket)) == {"1", "4"}
    assert [exchange.key for exchange in proxy.requests] == ["1", "2", "4"]


def test_a_watcher_sees_the_server_as_it_is_after_each_request(
    s3: DevServer, client: Any, proxy: Proxy, bucket: str
) -> None:
    seen: list[tuple[str, set[str]]] = []

    def look(exchange: Exchange) -> None:
        if exchange.is_write:
            seen.append((exchange.key, set(s3_bytes(s3, bucket))))

    proxy.watchers.append(look)
    client.put_object(Bucket=bucket, Key="a", Body=b"x")
    client.put_object(Bucket=bucket, Key="b", Body=b"x")
    client.delete_object(Bucket=bucket, Key="a")
    assert seen == [("a", {"a"}), ("b", {"a", "b"}), ("a", {"b"})]


def test_an_error_in_a_rule_is_not_lost(s3: DevServer, bucket: str) -> None:
    def rule(exchange: Exchange) -> Fault | None:
        raise ZeroDivisionError(exchange.key)

    proxy = Proxy(s3.endpoint_url)
    with pytest.raises(ZeroDivisionError, match="k"), proxy:  # noqa: PT012 - the error comes at the end of the block
        proxy.faults.append(rule)
        with contextlib.closing(s3_client(s3, endpoint_url=proxy.endpoint_url)) as client, pytest.raises(RESET):
            client.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_connections_are_kept_and_it_is_quick_enough(s3: DevServer, proxy: Proxy, bucket: str) -> None:
    store = obstore_through(s3, proxy, bucket)
    obstore.put(store, "k", b"x")
    begun = time.monotonic()
    for _ in range(200):
        obstore.get(store, "k").bytes()
    # One after the other, beside whatever else this machine does: a proxy that opened connections anew, or waited for
    # delayed acknowledgements (40 ms each), would need longer.
    assert time.monotonic() - begun < 4
