"""What only the file system does: links, directories in the way, files that somebody writes into."""

from __future__ import annotations

import os

import pytest

from zsync.config import Location, Storage
from zsync.errors import ObjectNotFoundError, PreconditionError, TargetError
from zsync.storage import Headers, Over, connect, connected_once, spec_for

PLAIN = Headers()


@pytest.fixture
def files(tmp_path):
    """The file system, and the key of a directory in it."""
    location = Location.parse(f"file://{tmp_path}/here")
    (tmp_path / "here").mkdir()
    return connect(spec_for(location, Storage())), location.path


def listed(store, base):
    return {
        key.removeprefix(f"{base}/"): size
        for page in store.list(f"{base}/")
        for key, size in zip(page.keys, page.sizes, strict=True)
    }


def test_links_are_followed_but_not_round_and_round(files, tmp_path):
    store, base = files
    store.put(f"{base}/a/b/c", b"12", PLAIN)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "d").write_bytes(b"123")
    here = tmp_path / "here"
    (here / "out").symlink_to(elsewhere)
    (here / "file").symlink_to(elsewhere / "d")
    (here / "broken").symlink_to(elsewhere / "nothing")
    (here / "a" / "b" / "back").symlink_to(here)
    found = listed(store, base)
    assert {key: size for key, size in found.items() if not key.startswith("a/b/back/")} == {
        "a/b/c": 2, "out/d": 3, "file": 3,
    }  # fmt: skip
    assert len(found) < 20
    page, below = store.list_level(f"{base}/")
    assert ([*page.keys], below) == ([f"{base}/file"], [f"{base}/a/", f"{base}/out/"])


def test_what_is_no_file_is_not_listed(files, tmp_path):
    store, base = files
    os.mkfifo(tmp_path / "here" / "pipe")
    (tmp_path / "here" / "empty").mkdir()
    assert listed(store, base) == {}
    assert [*store.list(f"{base}/nothing/")] == [*store.list(f"{base}/empty/")]


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(files, tmp_path):
    store, base = files
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    (tmp_path / "here" / "a").symlink_to(outside)
    store.put(f"{base}/a", b"ours", PLAIN)
    assert outside.read_bytes() == b"theirs"
    assert not (tmp_path / "here" / "a").is_symlink()


@pytest.mark.parametrize("key", ["taken", "file/below"])
def test_what_is_in_the_way_is_told_and_nothing_is_left(files, tmp_path, key):
    store, base = files
    (tmp_path / "here" / "taken" / "x").mkdir(parents=True)
    (tmp_path / "here" / "file").write_bytes(b"1")
    with pytest.raises(TargetError, match="the target refused"):
        store.put(f"{base}/{key}", b"2", PLAIN)
    assert listed(store, base) == {"file": 1}


def test_a_file_that_somebody_wrote_into_is_not_as_it_was_seen(files, tmp_path):
    store, base = files
    seen = store.put(f"{base}/a", b"0123", PLAIN).etag
    assert store.fetch(f"{base}/a", 1, 2, etag=seen) == b"12"
    with (tmp_path / "here" / "a").open("r+b") as file:
        file.write(b"x")
    with pytest.raises(PreconditionError):
        store.fetch(f"{base}/a", 1, 2, etag=seen)
    with pytest.raises(PreconditionError, match="changed since"):
        store.put(f"{base}/a", b"new", PLAIN, over=Over(seen, f"{base}/trash/a"))
    assert store.get(f"{base}/a").data == b"x123"


def test_every_change_of_a_file_is_another_token(files, tmp_path):
    store, base = files
    tokens = [store.put(f"{base}/a", b"1", PLAIN).etag, store.put(f"{base}/a", b"1", PLAIN).etag]
    status = (tmp_path / "here" / "a").stat()
    (tmp_path / "here" / "a").write_bytes(b"2")
    os.utime(tmp_path / "here" / "a", ns=(status.st_atime_ns, status.st_mtime_ns))  # ctime tells
    tokens.append(store.head(f"{base}/a").etag)
    (page,) = store.list(f"{base}/")
    assert [*page.etags] == [tokens[-1]] == [store.get(f"{base}/a").etag]
    assert len({*tokens}) == 3


def test_what_is_kept_is_the_file_itself(files, tmp_path):
    store, base = files
    seen = store.put(f"{base}/a", b"1", PLAIN).etag
    inode = (tmp_path / "here" / "a").stat().st_ino
    assert store.remove([(f"{base}/a", Over(seen, f"{base}/trash/a"))]) == {}
    assert (tmp_path / "here" / "trash" / "a").stat().st_ino == inode
    with pytest.raises(ObjectNotFoundError):
        store.head(f"{base}/a")


def test_a_spec_is_looked_at_once_where_that_is_said(s3, bucket, monkeypatch):
    looks = []
    monkeypatch.setattr("zsync.storage.opening.circumstances", lambda spec: looks.append(spec) or 0)
    spec = spec_for(Location.parse(f"s3://{bucket}"), Storage(endpoint_url=s3.endpoint_url, anonymous=True))
    with connected_once():
        assert connect(spec) is connect(spec)
    assert len(looks) == 1
    connect(spec)
    assert len(looks) == 2
