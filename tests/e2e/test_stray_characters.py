"""Line ends, blanks, quotes in credentials, regions and endpoints: taken away or refused in one line, never a panic."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from trees import s3_bytes, write_tree

import zsync
from zsync.cli.base import door
from zsync.config import Location, Storage, credential, endpoint, region
from zsync.errors import ConfigError, TargetError, ZsyncError
from zsync.storage import connect, spec_for
from zsync.watching.running import Looked, Pace, Runner
from zsync.watching.status import Board, SiteStatus

TRANSPORTS = ["obstore", "fsspec"]
ENDS = ["\r\n", " ", "\t\n"]
INSIDE = ["\r", "\n", "\x00", "\x7f", "é", " ", "\u2028"]
BAD_ENDPOINTS = [
    '"http://127.0.0.1:9"', "'http://127.0.0.1:9'", "127.0.0.1:9", "localhost", "ftp://x", "http://", "http:///x",
    "http://a b", "://x", "http://[::1", "http://h:99999", "http://h:x", "http://é", "http://h\x00", "http://h/\n/x",
]  # fmt: skip
GOOD_ENDPOINTS = ["http://127.0.0.1:9", "https://s3.eu.example.org", "http://[::1]:9000", "http://minio_1:9000/base"]


@pytest.fixture
def files(tmp_path):
    return write_tree(tmp_path / "data", {"a": b"1"})


def publish(s3, bucket, files, transport, **storage):
    given = {
        "endpoint_url": s3.endpoint_url,
        "region": s3.region,
        "access_key_id": s3.access_key,
        "secret_access_key": s3.secret_key,
        "retries": 0,
    }
    given = {name: value for name, value in {**given, **storage}.items() if value is not None}
    products = {"data": {"path": str(files), "kind": "files"}}
    document = {"source": str(files.parent), "target": f"s3://{bucket}/run", "products": products, "storage": given}
    return zsync.publish(document, transport=transport, progress=False)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("end", ENDS)
def test_what_a_file_or_a_shell_leaves_at_an_end_is_taken_away(s3, bucket, files, monkeypatch, transport, end):
    keys = {"access_key_id": s3.access_key + end, "secret_access_key": end + s3.secret_key + end}
    publish(s3, bucket, files, transport, region=s3.region + end, endpoint_url=s3.endpoint_url + end, **keys)
    variables = {
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region,
        "AWS_ENDPOINT_URL": s3.endpoint_url,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value + end)
    none = dict.fromkeys(["access_key_id", "secret_access_key", "region", "endpoint_url"])
    assert publish(s3, bucket, files, transport, **none).status == "unchanged"
    assert s3_bytes(s3, bucket, "run/data/") == {"a": b"1"}


def refused(s3, bucket, files, transport, *hidden, **storage):
    with pytest.raises(ConfigError) as caught:
        publish(s3, bucket, files, transport, **storage)
    line = str(caught.value)
    assert not any(value in line for value in hidden)
    assert line.isprintable()
    return line


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("odd", INSIDE)
def test_what_no_header_holds_is_refused(s3, bucket, files, monkeypatch, transport, odd, clean_environment):
    secret = f"hush{odd}hush"
    for name in ("access_key_id", "secret_access_key", "session_token"):
        assert name in refused(s3, bucket, files, transport, "hush", **{name: secret})
    assert "region" in refused(s3, bucket, files, transport, region=f"us{odd}east-1")
    none = {"access_key_id": None, "secret_access_key": None}
    if odd in "\r\n\x00\u2028":
        return  # no environment and no file of profiles holds these
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        with monkeypatch.context() as patch:
            for other in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(other, "fine")
            patch.setenv(name, secret)
            assert name in refused(s3, bucket, files, transport, "hush", **none)
    (clean_environment / "aws-credentials").write_text(
        f"[default]\naws_access_key_id = {secret}\naws_secret_access_key = x\n"
    )
    assert "AWS profile" in refused(s3, bucket, files, transport, "hush", **none)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_endpoint_that_is_none_is_refused_wherever_it_comes_from(
    s3, bucket, files, monkeypatch, transport, clean_environment
):
    for url in BAD_ENDPOINTS:
        assert "endpoint_url" in refused(s3, bucket, files, transport, endpoint_url=url), url
        if "\0" in url or "\n" in url:
            continue
        with monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", url)
            assert "AWS_ENDPOINT_URL" in refused(s3, bucket, files, transport, endpoint_url=None), url
    (clean_environment / "aws-config").write_text(f"[default]\nendpoint_url = {BAD_ENDPOINTS[0]}\n")
    assert "AWS configuration" in refused(s3, bucket, files, transport, endpoint_url=None)


def test_what_is_usual_elsewhere_is_taken():
    assert [endpoint(url) for url in GOOD_ENDPOINTS] == GOOD_ENDPOINTS
    assert [region(name) for name in ("auto", "RegionOne", "fr-par", "eu_central")] == [
        "auto", "RegionOne", "fr-par", "eu_central",
    ]  # fmt: skip
    assert credential("a/b+c==") == "a/b+c=="


# What none of this foresees.


class PanicException(BaseException):
    pass


def test_a_panic_of_the_client_is_an_error_of_ours(s3, bucket):
    """No check of ours is asked: the endpoint is one that only the client finds fault with."""
    spec = spec_for(Location.parse(f"s3://{bucket}/x"), Storage(region=s3.region, access_key_id="a",
                    secret_access_key="b", endpoint_url=s3.endpoint_url, retries=0))  # fmt: skip
    store = connect(replace(spec, endpoint_url='"http://127.0.0.1:9"'))
    with pytest.raises(TargetError, match="broke down"):
        store.get("x")


def test_a_panic_does_not_pass_the_door(capsys):
    def enter():
        with door():
            raise PanicException("hush")

    with pytest.raises(BaseException) as caught:
        enter()
    assert getattr(caught.value, "exit_code", None) == 1
    told = capsys.readouterr().err
    assert "internal error: PanicException" in told
    assert "hush" not in told


class Worker:
    roots = ()

    def __init__(self, *raised):
        self.raised, self.looks = list(raised), 0

    def look(self, *, compare):
        self.looks += 1
        if self.raised:
            raise self.raised.pop(0)
        return Looked(is_complete=True)


@pytest.mark.parametrize(
    "error", [PanicException("x"), SystemExit(3), MemoryError(), RecursionError(), GeneratorExit()]
)
def test_whatever_ends_a_look_is_shown_and_the_site_is_tried_again(error):
    board = Board("test")
    worker = Worker(error, error)
    runner = Runner(SiteStatus("one", "/a", "s3://b/a"), worker, Pace(0.05, 60, 0.3, "off"), board, threading.Event())
    seen = []
    runner.start()
    try:
        until = time.monotonic() + 10
        while worker.looks < 3 and time.monotonic() < until:
            seen.append(dict(board.failing))
            time.sleep(0.005)
        assert worker.looks >= 3
        assert any(type(error).__name__ in failing.get("one", "") for failing in seen)
        time.sleep(0.1)
        assert (board.failing, board.sites["one"].state, board.sites["one"].errors) == ({}, "watching", 2)
    finally:
        runner.stop()
        assert runner.join(10)


def test_one_pass_tells_of_a_panic_too():
    board = Board("test")
    runner = Runner(SiteStatus("one", "/a", "s3://b/a"), Worker(PanicException("hush")), Pace(0.05, 60, 0.3, "off"),
                    board, threading.Event())  # fmt: skip
    error = runner.run_once()
    assert isinstance(error, ZsyncError)
    assert "PanicException" in str(error)
