"""What is kept on this machine, damaged in every way: it costs time, and nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
from target import At
from team import Team
from trees import read_tree, s3_bytes, weather, write_tree

import zsync
from zsync.inventory import DigestCache, Scan, cache, digest, scan, sealed, walk
from zsync.planning.merge import Content
from zsync.steps.memo import Memo, is_outdated
from zsync.steps.terms import Terms
from zsync.tables import SOURCE, column
from zsync.team.base import Base, read_base, write_base

DAMAGES = 150


def damaged(data, rng):
    """Return bytes with something wrong with them: bits, blocks, holes, what is missing, what is too much."""
    if not data:  # it was cut to nothing before
        return rng.randbytes(50)
    kind = rng.choice(["bit", "bits", "noise", "cut", "hole", "zeros", "twice", "random", "end"])
    at = rng.randrange(len(data))
    if kind in ("bit", "bits"):
        found = bytearray(data)
        for _ in range(1 if kind == "bit" else rng.randrange(2, 50)):
            found[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(found)
    size = rng.randrange(1, 400)
    return {
        "noise": data[:at] + rng.randbytes(size) + data[at + size :],
        "cut": data[:at],
        "hole": data[:at] + data[at + size :],
        "zeros": data[:at] + bytes(size) + data[at + size :],
        "twice": data[:at] + data[max(at - size, 0) :],
        "random": rng.randbytes(rng.randrange(len(data))),
        "end": data + rng.randbytes(size),
    }[kind]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "RACY_NS", 0)
    monkeypatch.setattr(sealed, "BLOCK_ROWS", 8)
    return write_tree(tmp_path / "root", {f"{number:02}": f"{number}" for number in range(40)})


def remember(root):
    found = scan(str(root), "p").table()
    digests = column([f"{number:064x}" for number in range(len(found))], found.schema.field("digest").type)
    time.sleep(0.01)
    DigestCache(str(root)).keep(found.set_column(found.schema.get_field_index("digest"), "digest", digests))


def known(root):
    filled = DigestCache(str(root)).fill(scan(str(root), "p").table())
    return dict(zip(filled["key"].to_pylist(), filled["digest"].to_pylist(), strict=True))


def cache_file(name="digests"):
    [file] = (cache.cache_directory() / name).iterdir()
    return file


def test_a_damaged_cache_knows_less_and_never_something_else(root):
    remember(root)
    right = known(root)
    assert right == {f"{number:02}": f"{number:064x}" for number in range(40)}
    file, rng = cache_file(), random.Random(4)
    whole = file.read_bytes()
    counts = []
    for _ in range(DAMAGES):
        file.write_bytes(damaged(whole, rng))
        found = known(root)
        assert all(digest in (None, right[key]) for key, digest in found.items())
        counts.append(sum(digest is not None for digest in found.values()))
    # One damage leaves the other blocks.
    assert 0 < sum(counts) / len(counts) < 40
    remember(root)
    assert known(root) == right


def test_a_damaged_cache_is_told_once(root, caplog):
    remember(root)
    file = cache_file()
    file.write_bytes(file.read_bytes()[:-3])
    assert sum(value is None for value in known(root).values()) == 8
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot be read" in caplog.text


def test_what_an_earlier_version_kept_is_left(root, caplog):
    remember(root)
    cache_file().write_bytes(b"ARROW1\0\0" + bytes(100))
    assert set(known(root).values()) == {None}
    assert not caplog.records


def test_a_table_of_another_form_is_not_taken(root):
    import pyarrow as pa

    other = pa.table({"key": column(["00"], pa.string())})
    table, is_whole = sealed.unsealed(b"".join(sealed.sealed(other)), SOURCE)
    assert (len(table), is_whole) == (0, False)


_PUBLISH = """
import json, sys, zsync
for _ in sys.stdin:
    try:
        print(json.dumps(zsync.publish(json.loads(sys.argv[1]), progress=False).status), flush=True)
    except zsync.errors.ZsyncError as error:
        print(json.dumps(str(error)), flush=True)
"""


def test_no_damage_ends_the_process_or_says_that_the_source_changed(site, monkeypatch):
    """Digests, memo and manifests on this machine, damaged before each of many publishes in one process."""
    monkeypatch.setenv("ZSYNC_CACHE_DIR", str(site.root.parent / "cache"))
    site.store("a.zarr", weather(12, 8))
    site.publish()
    time.sleep(2.1)
    shutil.rmtree(site.root.parent / "cache" / "digests", ignore_errors=True)
    rng = random.Random(7)
    with subprocess.Popen(
        [sys.executable, "-c", _PUBLISH, json.dumps(site.config())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ},
    ) as process:  # fmt: skip
        for attempt in range(25):
            process.stdin.write("\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == "unchanged", attempt
            files = [path for path in (site.root.parent / "cache").rglob("*") if path.is_file()]
            assert {path.parent.name for path in files} >= ({"digests", "memos", "manifests"} if attempt else set())
            for path in rng.sample(files, rng.randrange(1, len(files) + 1)):
                path.write_bytes(damaged(path.read_bytes(), rng))
        process.stdin.close()
        assert process.wait(20) == 0
    assert s3_bytes(site.s3, site.bucket, "run/a.zarr/") == read_tree(site.root / "a.zarr")


def test_a_damaged_memo_remembers_nothing():
    memo = Memo(Terms(), [])
    result = {"publication": "p", "products": [], "findings": []}
    memo.keep(result, time.time_ns())
    assert memo.recall() == result
    file, rng = cache_file("memos"), random.Random(5)
    whole = file.read_bytes()
    for _ in range(DAMAGES):
        data = damaged(whole, rng)
        file.write_bytes(data)
        assert memo.recall() in (None, result)
    file.write_bytes(b"[" * 100_000)
    assert memo.recall() is None


def test_a_memo_that_is_older_than_a_file_of_the_source_is_outdated():
    def scanned(*changed_ns):
        return Scan([str(n) for n in changed_ns], [(1, ns, ns - 5, 0) for ns in changed_ns], ())

    assert is_outdated([], [scanned()]), "there is none"
    Memo(Terms(), []).keep({"publication": "p"}, time.time_ns())
    kept_ns = cache_file("memos").stat().st_mtime_ns
    assert not is_outdated([], [])
    assert not is_outdated([], [scanned(kept_ns - 10, kept_ns), scanned(5)])
    assert is_outdated([], [scanned(kept_ns), scanned(5, kept_ns + 1)])


def test_a_damaged_base_is_no_base(tmp_path, caplog):
    contents = {f"{n}.txt": Content(n, f"{n:064x}", f"{n:032x}") for n in range(30)}
    base = Base("s3://b/x", "p", "mary", contents, exists=True).expecting({"0.txt": None})
    write_base(tmp_path, base)
    assert read_base(tmp_path, "s3://b/x") == base
    file, rng = tmp_path / "base.parquet", random.Random(6)
    whole = file.read_bytes()
    for _ in range(DAMAGES):
        file.write_bytes(damaged(whole, rng))
        assert read_base(tmp_path, "s3://b/x") in (base, Base("s3://b/x", exists=True))
    assert "cannot be read" in caplog.text


def test_sync_with_a_damaged_base_deletes_nothing(s3, bucket, tmp_path):
    team = Team(s3, bucket, tmp_path)
    ann = team("ann")
    for number in range(8):
        ann.write(f"{number}.txt", f"{number}")
    ann.sync()
    before, there = ann.read(), team.remote()
    file, rng = ann.home / ".zsync" / "Data" / "base.parquet", random.Random(8)
    whole = file.read_bytes()
    for _ in range(6):
        file.write_bytes(damaged(whole, rng))
        ann.sync()
        assert (ann.read(), team.remote()) == (before, there)


# Racy files: rewritten within one tick of being read, so that their times do not tell.


def test_what_counts_is_when_hashing_began(root, monkeypatch):
    monkeypatch.setattr(cache, "RACY_NS", 2 * 10**9)
    now = time.time_ns()
    found = scan(str(root), "p").table()
    digests = column(["d" * 64] * len(found), found.schema.field("digest").type)
    found = found.set_column(found.schema.get_field_index("digest"), "digest", digests)
    DigestCache(str(root)).keep(found, hashed_ns=now + 10**9)
    assert set(known(root).values()) == {None}
    DigestCache(str(root)).keep(found, hashed_ns=now + 3 * 10**9)
    assert set(known(root).values()) == {"d" * 64}


@pytest.fixture
def coarse(monkeypatch):
    """A file system whose times are whole seconds; 3600 of them, so that nothing hangs on when a test runs."""
    tick = 3600 * 10**9

    def floored(status):
        return status.st_size, status.st_mtime_ns // tick * tick, status.st_ctime_ns // tick * tick, status.st_ino

    monkeypatch.setattr(walk, "stats_of", floored)
    monkeypatch.setattr(digest.Signature, "of", classmethod(lambda cls, status: cls(*floored(status))))
    monkeypatch.setattr(cache, "RACY_NS", 2 * tick)
    monkeypatch.setattr("zsync.steps.memo.RACY_NS", 2 * tick)
    return tick


@pytest.mark.parametrize("step", ["digest", "data"])
def test_a_file_rewritten_within_a_tick_of_being_read_is_published_again(site, coarse, monkeypatch, step):
    write_tree(site.root / "data", {"f": b"one", "g": b"same"})
    site.products["data"] = {"path": "data", "kind": "files"}
    if step == "digest":  # what is in the target already is hashed, not sent
        site.publish()
        shutil.rmtree(cache.cache_directory())
    now = time.time_ns
    # Between hashing and the writing of the cache time goes by.
    late = At(step, lambda: monkeypatch.setattr(time, "time_ns", lambda: now() + 5 * coarse))
    zsync.publish(site.config(), progress=late)
    assert time.time_ns() > now() + coarse
    monkeypatch.setattr(time, "time_ns", now)
    inode = (site.root / "data" / "f").stat().st_ino
    (site.root / "data" / "f").write_bytes(b"two")
    assert (site.root / "data" / "f").stat().st_ino == inode
    site.publish()
    assert s3_bytes(site.s3, site.bucket, "run/data/")["f"] == b"two"
