"""The source side: scans, signatures, digests and their cache, selections."""

from __future__ import annotations

import hashlib
import os
import random
import time

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from trees import write_tree

from zsync.errors import SourceChangedError, SourceError
from zsync.inventory import DigestCache, Selection, digest_source, scan
from zsync.inventory.cache import RACY_NS
from zsync.inventory.digest import Signature, Wanted, hash_file, read_blocks


def codes(found):
    return [finding.code for finding in found.findings]


def test_every_file_is_found_and_sorted(tmp_path):
    write_tree(tmp_path, {"b": b"1", "a": {"d": {"e": b"22"}, "c": b"333"}, "a-1": b""})
    (tmp_path / "empty").mkdir()
    found = scan(str(tmp_path), "p")
    assert found.keys == ["a-1", "a/c", "a/d/e", "b"]
    assert [signature[0] for signature in found.signatures] == [0, 3, 2, 1]
    assert found.findings == ()
    assert found.table()["key"].to_pylist() == found.keys


def test_what_writers_leave_behind_is_left_out_and_told(tmp_path):
    left = ["x.123.partial", ".nfs0001", ".DS_Store", "._x", "Thumbs.db"]
    write_tree(tmp_path, {"a": dict.fromkeys(left, b"x"), "x": b"x", ".zsync": {"y": b"x"}})
    found = scan(str(tmp_path), "p")
    assert found.keys == ["x"]
    assert codes(found) == ["leftover"]
    assert "1 *.partial" in found.findings[0].message


def test_links(tmp_path):
    outside = write_tree(tmp_path / "outside", {"o": b"out"})
    root = write_tree(tmp_path / "root", {"real": {"f": b"in"}})
    (root / "file").symlink_to(root / "real" / "f")
    (root / "directory").symlink_to(root / "real")
    assert scan(str(root), "p").keys == ["directory/f", "file", "real/f"]
    (root / "out").symlink_to(outside)
    assert codes(scan(str(root), "p")) == ["outside-link"]
    assert "out/o" in scan(str(root), "p", follow_symlinks=True).keys
    (root / "out").unlink()
    (root / "real" / "up").symlink_to(root)
    assert "link-loop" in codes(scan(str(root), "p"))
    (root / "real" / "up").unlink()
    (root / "nowhere").symlink_to(root / "absent")
    assert codes(scan(str(root), "p")) == ["broken-link"]


@pytest.mark.parametrize(
    ("name", "code"), [(os.fsdecode(b"\xff"), "not-utf8"), ("a\nb", "unfit-name"), ("a\\b", "unfit-name")]
)
def test_names_that_services_disagree_about(tmp_path, name, code):
    (tmp_path / name).write_bytes(b"x")
    found = scan(str(tmp_path), "p")
    assert codes(found) == [code]
    assert found.findings[0].level == "error"
    found.findings[0].key.encode()


def test_what_is_no_file_is_left_out(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = scan(str(tmp_path), "p")
    assert (found.keys, codes(found)) == ([], ["special-file"])


def test_roots_that_cannot_be_scanned(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"x")
    for root, says in (("absent", "not there"), ("file", "not a directory")):
        with pytest.raises(SourceError, match=says):
            scan(str(tmp_path / root), "p")

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(SourceError, match="Permission denied"):
        scan(str(tmp_path), "p")


def wanted(path, etag=None):
    return Wanted(path.name, Signature.of(path.stat()), etag)


@pytest.mark.parametrize("part", [5, 8, 16])
def test_the_etag_of_parts(tmp_path, part):
    body = random.Random(1).randbytes(17 * 2**20)
    (tmp_path / "f").write_bytes(body)
    size = part * 2**20
    digests = [hashlib.md5(body[start : start + size]).digest() for start in range(0, len(body), size)]
    etag = f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"
    hashed = hash_file(str(tmp_path / "f"), wanted(tmp_path / "f", etag))
    assert (hashed.digest, hashed.etag) == (blake3(body).hexdigest(), etag)
    assert hash_file(str(tmp_path / "f"), wanted(tmp_path / "f", "0" * 32)).etag == hashlib.md5(body).hexdigest()
    assert hash_file(str(tmp_path / "f"), wanted(tmp_path / "f")).etag is None


def test_many_files_are_hashed_and_counted(tmp_path):
    bodies = {f"{number}": random.Random(number).randbytes(number) for number in range(300)}
    write_tree(tmp_path, bodies)
    done = []
    hashed = digest_source(
        str(tmp_path), [wanted(tmp_path / key) for key in bodies], workers=3, advance=lambda *step: done.append(step)
    )
    assert {item.key: item.digest for item in hashed} == {key: blake3(body).hexdigest() for key, body in bodies.items()}
    assert tuple(map(sum, zip(*done, strict=True))) == (300, sum(map(len, bodies.values())))


def change_size(path):
    path.write_bytes(b"longer")


def change_content(path):
    status = path.stat()
    path.write_bytes(b"BODY")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_file(path):
    path.with_name("new").write_bytes(b"body")
    path.with_name("new").replace(path)


@pytest.mark.parametrize("change", [change_size, change_content, replace_file, lambda path: path.unlink()])
def test_a_file_that_changed_is_noticed(tmp_path, change):
    path = tmp_path / "f"
    path.write_bytes(b"body")
    signature = Signature.of(path.stat())
    assert b"".join(read_blocks(str(path), "f", signature)) == b"body"
    time.sleep(0.01)  # file systems keep times in ticks
    change(path)
    with pytest.raises(SourceChangedError, match="f"):
        b"".join(read_blocks(str(path), "f", signature))


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"ab")
    blocks = read_blocks(str(path), "f", Signature.of(path.stat()), block=1)
    next(blocks)
    time.sleep(0.01)
    path.write_bytes(b"xy")
    with pytest.raises(SourceChangedError):
        list(blocks)


def known(root):
    filled = DigestCache(str(root)).fill(scan(str(root), "p").table())
    return dict(zip(filled["key"].to_pylist(), filled["digest"].to_pylist(), strict=True))


def remember(root, digest="d" * 64):
    found = scan(str(root), "p").table()
    index = found.schema.get_field_index("digest")
    import pyarrow as pa

    DigestCache(str(root)).keep(found.set_column(index, "digest", pa.array([digest] * len(found), pa.string())))


def test_digests_are_known_while_nothing_changes(tmp_path, monkeypatch):
    root = write_tree(tmp_path / "root", {"a": b"1", "b": b"2"})
    monkeypatch.setattr("zsync.inventory.cache.RACY_NS", 0)
    remember(root)
    assert known(root) == {"a": "d" * 64, "b": "d" * 64}
    for change in (change_size, change_content, replace_file):
        time.sleep(0.01)
        change(root / "b")
        assert known(root) == {"a": "d" * 64, "b": None}
        remember(root)


def test_what_is_known_of_a_directory_that_is_left_out_stays_known(tmp_path, monkeypatch):
    root = write_tree(tmp_path / "root", {"a": b"1", "d": {"b": b"2"}, "e": b"3"})
    monkeypatch.setattr("zsync.inventory.cache.RACY_NS", 0)
    remember(root)
    (root / "e").unlink()
    found = scan(str(root), "p", selection=Selection(exclude=("d",)))
    table = DigestCache(str(root)).fill(found.table())
    DigestCache(str(root)).keep(table, found.keys, found.unseen)
    (root / "e").write_bytes(b"3")
    assert known(root) == {"a": "d" * 64, "d/b": "d" * 64, "e": None}


def test_files_that_changed_just_now_are_not_remembered(tmp_path):
    root = write_tree(tmp_path / "root", {"a": b"1"})
    remember(root)
    assert known(root) == {"a": None}
    time.sleep(RACY_NS / 1e9 + 0.05)
    remember(root)
    assert known(root) == {"a": "d" * 64}


def test_a_cache_that_is_broken_only_costs_time(tmp_path, monkeypatch, caplog):
    root = write_tree(tmp_path / "root", {"a": b"1"})
    monkeypatch.setattr("zsync.inventory.cache.RACY_NS", 0)
    monkeypatch.setenv("ZSYNC_CACHE_DIR", str(tmp_path / "cache"))
    remember(root)
    [file] = (tmp_path / "cache" / "digests").iterdir()
    file.write_bytes(b"no arrow at all")
    assert known(root) == {"a": None}
    assert "cannot be read" in caplog.text
    (tmp_path / "taken").write_bytes(b"")
    monkeypatch.setenv("ZSYNC_CACHE_DIR", str(tmp_path / "taken"))
    remember(root)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("glob", "key", "fits"),
    [
        ("*.tif", "a/b/c.tif", True), ("*.tif", "c.tiff", False), ("download", "x/download/f", True),
        ("download", "x/downloads/f", False), ("a/*", "a/b", True), ("a/*", "a/b/c", True), ("a/*", "b/a/c", False),
        ("a/**/c", "a/b/x/c", True), ("a/**/c", "a/c", True), ("/a", "a/b", True), (".z*", "x/.zattrs", True),
        ("[ab]?", "a1", True), ("x y", "x y", True), ("a+b", "a+b", True), ("a+b", "aab", False),
    ],
)  # fmt: skip
def test_globs(glob, key, fits):
    assert Selection(include=(glob,)).mask([key]) == [fits]
    assert Selection(exclude=(glob,)).mask([key]) == [not fits]


GLOBS = st.lists(st.sampled_from(["a", "b*", "*/c", "a/**", "?"]), max_size=3)


@given(include=GLOBS, exclude=GLOBS, keys=st.lists(st.sampled_from(["a", "b", "a/b", "a/b/c", "d/c", "bc"])))
def test_exclude_wins(include, exclude, keys):
    both = Selection(tuple(include), tuple(exclude)).mask(keys)
    included, kept = Selection(include=tuple(include)).mask(keys), Selection(exclude=tuple(exclude)).mask(keys)
    assert both == [a and b for a, b in zip(included, kept, strict=True)]
