"""Large objects: parts and ranges, and what of them is not sent or fetched again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from proxy import Fault, Proxy, on
from servers import s3_client
from target import Site

import zsync
from zsync.config import Location, Storage
from zsync.errors import SourceError
from zsync.inventory import cache_directory
from zsync.inventory.begun import Begun
from zsync.storage import Headers, Seen, connect, spec_for
from zsync.storage.ahead import RANGE, held, read_through

MIB = 2**20
PART = 5 * MIB  # the least that S3 takes
SIZE = 28 * MIB  # five parts, and one of three MiB
# The command, with parts of that size.
SMALL = f"""
import zsync.steps.sweep, zsync.transfer.work
zsync.steps.sweep.WHOLE_SIZE = zsync.transfer.work.WHOLE_SIZE = zsync.transfer.work.PART_SIZE = {PART}
from zsync.cli import main
main()
"""
BODY = np.random.default_rng(1).bytes(SIZE)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    for name in ("steps.sweep.WHOLE_SIZE", "transfer.work.WHOLE_SIZE", "transfer.work.PART_SIZE"):
        monkeypatch.setattr(f"zsync.{name}", PART)


@pytest.fixture
def proxy(s3):
    with Proxy(s3.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def site(s3, bucket, proxy, tmp_path):
    site = Site(s3, proxy, bucket, tmp_path / "run")
    (site.root / "files").mkdir(parents=True)
    (site.root / "files" / "large.bin").write_bytes(BODY)
    site.products = {"files": {"path": "files", "kind": "files"}}
    return site


def parts_sent(proxy, since=0):
    """Return the numbers of the parts that a service took, since a request."""
    sent = [e for e in proxy.completed if e.arrival >= since and e.method == "PUT" and "partNumber" in e.query]
    return sorted(int(e.query["partNumber"]) for e in sent if e.upstream_status == 200)


def published(site):
    with contextlib.closing(s3_client(site.s3)) as client:
        return client.get_object(Bucket=site.bucket, Key="run/files/large.bin")["Body"].read()


def uploads(site):
    with contextlib.closing(s3_client(site.s3)) as client:
        return client.list_multipart_uploads(Bucket=site.bucket).get("Uploads", [])


def killed_with(site, proxy, tmp_path, parts):
    """Kill the command once so many parts of its object have arrived; return how many had."""
    config, is_dead = tmp_path / "config.json", threading.Event()
    config.write_text(json.dumps(site.config()))
    process, started = None, threading.Event()

    def later(exchange):
        is_more = "partNumber" in exchange.query and int(exchange.query["partNumber"]) > parts
        return Fault.reset() if is_more else None

    def kill(exchange):
        if len(parts_sent(proxy)) + ("partNumber" in exchange.query) >= parts and not is_dead.is_set():
            started.wait(10)
            os.kill(process.pid, signal.SIGKILL)
            is_dead.set()

    proxy.faults.append(later)
    proxy.watchers.append(kill)
    words = [sys.executable, "-c", SMALL, "publish", str(config), "-q"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    started.set()
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    proxy.watchers.clear()
    proxy.faults.clear()
    return len(proxy.requests)


def test_p9_parts_that_arrived_before_a_kill_are_not_sent_again(site, proxy, tmp_path):
    since = killed_with(site, proxy, tmp_path, 3)
    (upload,) = uploads(site)
    result = site.publish()
    assert result.status == "published"
    assert published(site) == BODY
    assert parts_sent(proxy, since) == [4, 5, 6]
    assert uploads(site) == []
    (told,) = result.findings
    assert (told.code, told.level) == ("resumed-uploads", "info")
    ended = [e for e in proxy.completed if e.arrival >= since and e.method == "POST" and "uploadId" in e.query]
    assert [e.query["uploadId"] for e in ended] == [upload["UploadId"]]
    assert site.publish().status == "unchanged"


def test_p6_of_an_object_that_changed_since_the_kill_the_parts_that_differ_are_sent(site, proxy, tmp_path):
    since = killed_with(site, proxy, tmp_path, 3)
    body = bytearray(BODY)
    body[7 * MIB] ^= 1  # in the second part
    (site.root / "files" / "large.bin").write_bytes(body)
    assert site.publish().status == "published"
    assert published(site) == bytes(body)
    assert parts_sent(proxy, since) == [2, 4, 5, 6]


def test_an_upload_with_other_headers_is_begun_anew(site, proxy, tmp_path):
    since = killed_with(site, proxy, tmp_path, 3)
    (upload,) = uploads(site)
    of_ours = "application/x-ours"
    assert site.publish(content_type={"*.bin": of_ours}).status == "published"
    assert parts_sent(proxy, since) == [1, 2, 3, 4, 5, 6]
    assert published(site) == BODY
    with contextlib.closing(s3_client(site.s3)) as client:
        found = client.head_object(Bucket=site.bucket, Key="run/files/large.bin")
    assert found["ContentType"] == of_ours
    assert upload["UploadId"] not in {left["UploadId"] for left in uploads(site)}


def test_what_a_network_cut_off_is_gone_on_with(site, proxy, monkeypatch):
    monkeypatch.setattr("zsync.storage.retrying.RetryPolicy.delay_s", lambda *_: 0.01)
    proxy.faults.append(lambda e: Fault.error(500) if e.query.get("partNumber") == "5" else None)
    with pytest.raises(zsync.ZsyncError):
        site.publish()
    assert len(uploads(site)) == 1
    proxy.faults.clear()
    since = len(proxy.requests)
    assert site.publish().status == "published"
    assert 5 in parts_sent(proxy, since)
    assert 1 not in parts_sent(proxy, since)
    assert published(site) == BODY


def test_what_the_source_cut_off_is_given_up(site):
    spec, key = spec_of(site), "run/files/large.bin"

    def parts():
        yield BODY[:PART]
        raise SourceError("it changed")

    with pytest.raises(SourceError, match="it changed"):
        connect(spec).put_parts(key, parts(), Headers(), PART, record=Begun(spec, key))
    assert uploads(site) == []
    assert Begun(spec, key).upload() is None


def test_a_record_that_is_damaged_costs_an_upload_and_nothing_else(site, proxy, tmp_path):
    since = killed_with(site, proxy, tmp_path, 3)
    (record,) = cache_directory().glob("uploads/*.json")
    record.write_text('{"upload": 7')
    result = site.publish()
    assert [finding.code for finding in result.findings] == ["unfinished-uploads"]
    assert parts_sent(proxy, since) == [1, 2, 3, 4, 5, 6]
    assert published(site) == BODY
    assert uploads(site) == []


def spec_of(site):
    return spec_for(Location.parse(f"s3://{site.bucket}"), Storage(**site.config()["storage"]))


def test_an_upload_that_the_service_has_no_more_is_begun_anew(site, proxy):
    spec, key = spec_of(site), "run/files/large.bin"
    Begun(spec, key).keep("0123456789abcdef", Headers())
    parts = [BODY[:PART], BODY[PART : 2 * PART]]
    connect(spec).put_parts(key, iter(parts), Headers(), PART, record=Begun(spec, key))
    assert published(site) == BODY[: 2 * PART]
    assert Begun(spec, key).upload() is None


def test_an_upload_with_other_encryption_is_begun_anew(site):
    spec, key = spec_of(site), "run/files/large.bin"
    Begun(spec, key).keep("0123456789abcdef", Headers())
    assert Begun(spec, key).upload(Headers()) == "0123456789abcdef"
    encrypted = replace(spec, sse="aws:kms", sse_kms_key_id="k")
    assert Begun(encrypted, key).upload(Headers()) is None
    assert Begun(encrypted, key).upload() == "0123456789abcdef", "and it is to be given up"


# --- the other way ----------------------------------------------------------------------------------------------------


@pytest.fixture
def there(site):
    with contextlib.closing(s3_client(site.s3)) as client:
        client.put_object(Bucket=site.bucket, Key="run/files/large.bin", Body=BODY)
    return site


def ranges(proxy):
    """Return the first bytes that were asked for of the object, in order."""
    asked = [e.headers.get("range", "") for e in proxy.requests if e.method == "GET" and e.key.endswith("large.bin")]
    return sorted(int(re.fullmatch(r"bytes=(\d+)-\d+", text)[1]) for text in asked if text)


@pytest.mark.parametrize("size", [MIB + 1, 2 * RANGE, 2 * RANGE + 1, 3 * RANGE, SIZE])
def test_an_object_is_read_through_whole_whatever_its_size(there, proxy, size):
    spec = spec_of(there)
    with contextlib.closing(s3_client(there.s3)) as client:
        etag = client.put_object(Bucket=there.bucket, Key="run/large.bin", Body=BODY[:size])["ETag"].strip('"')
    seen = Seen("run/large.bin", size, etag)
    assert b"".join(read_through(connect(spec), seen)) == BODY[:size]
    assert ranges(proxy) == ([0] if size <= 2 * RANGE else list(range(0, size, RANGE)))
    with pytest.raises(zsync.ZsyncError):
        b"".join(read_through(connect(spec), Seen("run/large.bin", size, "0" * 32)))
    assert held(size) <= size


def test_of_an_answer_that_breaks_the_rest_is_asked_for(there, proxy):
    with contextlib.closing(s3_client(there.s3)) as client:
        client.put_object(Bucket=there.bucket, Key="run/large.bin", Body=BODY[: 12 * MIB])
    proxy.faults.append(on(Fault.truncate(5 * MIB), method="GET", key="run/large.bin"))
    seen = Seen("run/large.bin", 12 * MIB, None)
    assert b"".join(read_through(connect(spec_of(there)), seen)) == BODY[: 12 * MIB]
    first, second = ranges(proxy)
    assert first == 0
    assert 3 * MIB <= second <= 5 * MIB


def test_a_pull_of_a_large_object_asks_for_its_ranges_side_by_side(there, proxy, tmp_path):
    waiting, most = set(), 0

    def count(exchange):
        nonlocal most
        if exchange.method == "GET" and "range" in exchange.headers:
            waiting.add(exchange.arrival)
            most = max(most, len([n for n in waiting if proxy.requests[n].completion is None]))

    proxy.faults.append(count)
    result = zsync.pull(
        f"s3://{there.bucket}/run/files", tmp_path / "here", progress=False, **there.config()["storage"]
    )
    assert result.status == "pulled"
    assert (tmp_path / "here/files/large.bin").read_bytes() == BODY
    assert ranges(proxy) == list(range(0, SIZE, RANGE))
    assert most > 2


def test_who_reads_no_further_ends_what_is_on_its_way(there, proxy, monkeypatch):
    monkeypatch.setattr("zsync.storage.ahead.AHEAD", 2)
    reading = read_through(connect(spec_of(there)), Seen("run/files/large.bin", SIZE, None))
    next(reading)
    reading.close()
    asked = len(ranges(proxy))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("zsync-ahead")]
    assert asked == 2
