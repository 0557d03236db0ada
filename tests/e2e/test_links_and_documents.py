"""Links, FIFOs and documents in the place of ours: nothing is reached through a link, nothing hangs, and what is no
document of ours is refused in one line and with little memory.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import resource
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anyservice import BUCKET, AnyService
from blake3 import blake3
from servers import s3_client
from target import At
from trees import read_tree, weather, write_tree

import zsync
from zsync.errors import ConfigError, LinkError, SourceError, TargetError, ZsyncError
from zsync.tables import MANIFEST
from zsync.verbs.lease import leases
from zsync.verbs.trash import restore_trash

RECORD = "20260101T000000000Z-00000000"


@pytest.fixture
def service():
    with AnyService() as service:
        yield service


@pytest.fixture
def outside(tmp_path):
    return write_tree(tmp_path / "outside", {"precious": "mine"})


def pull(service, dest, what="data", **options):
    return zsync.pull(f"s3://{BUCKET}/{what}", dest, progress=False, **service.storage, **options)


def is_one_line(error):
    return str(error).isprintable() and "internal error" not in str(error) and len(str(error)) < 1500


# --- links and other things below DEST --------------------------------------------------------------------------------


def test_partial_files_that_are_reached_through_a_link_stay(service, tmp_path, outside):
    """Only what zsync began to write below the directory itself is swept."""
    service.objects = {"data/a": b"1"}
    here = tmp_path / "here"
    ours, theirs = f".{'0' * 32}.partial", f".{'1' * 32}.partial"
    (outside / theirs).write_bytes(b"theirs")
    (here / "data").mkdir(parents=True)
    (here / "data" / "link").symlink_to(outside)
    (here / "data" / ours).write_bytes(b"ours")
    (here / "data" / "mine.partial").write_bytes(b"mine")
    pull(service, here)
    assert (outside / theirs).exists()
    assert not (here / "data" / ours).exists()
    assert (here / "data" / "mine.partial").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_that_is_swapped_for_a_link_while_a_pull_runs(service, tmp_path, outside, force):
    service.objects = {"data/sub/deep/x": b"evil", "data/sub/precious": b"evil"}
    here = tmp_path / "here"
    (here / "data" / "sub" / "deep").mkdir(parents=True)

    def swap():
        shutil.rmtree(here / "data" / "sub", ignore_errors=True)
        with contextlib.suppress(FileExistsError):
            (here / "data" / "sub").symlink_to(outside)

    with pytest.raises((LinkError, ConfigError), match="symbolic link") as raised:
        zsync.pull(f"s3://{BUCKET}/data", here, progress=At("data", swap), force_overwrite=force, **service.storage)
    assert is_one_line(raised.value)
    assert read_tree(outside) == {"precious": b"mine"}


def test_dest_itself_may_be_a_link(service, tmp_path):
    service.objects = {"data/sub/x": b"1"}
    (tmp_path / "real").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "real")
    pull(service, tmp_path / "here")
    assert (tmp_path / "real" / "data" / "sub" / "x").read_bytes() == b"1"
    assert pull(service, tmp_path / "here").status == "unchanged"


STATE = {".zsync": None, ".zsync/data": None, ".zsync/data/lease.json": "lease", ".zsync/data/head.json": "head"}


@pytest.mark.parametrize("options", [{}, {"variables": ["t2m"]}], ids=["whole", "part"])
@pytest.mark.parametrize("name", STATE)
def test_records_that_are_links_are_not_followed(service, tmp_path, outside, name, options):
    service.objects = {"data/a": b"1"}
    here = tmp_path / "here"
    (here / name).parent.mkdir(parents=True)
    (here / name).symlink_to(outside if "." not in name.rpartition("/")[2][1:] else outside / "precious")
    with pytest.raises(ZsyncError) as raised:
        pull(service, here, **options)
    assert is_one_line(raised.value)
    assert "symbolic link" in str(raised.value) or options
    assert read_tree(outside) == {"precious": b"mine"}


@pytest.mark.parametrize("name", ["lease.json", "head.json"])
def test_a_fifo_in_the_place_of_a_record_is_refused_and_not_waited_for(service, tmp_path, name):
    service.objects = {"data/a": b"1"}
    state = tmp_path / "here" / ".zsync" / "data"
    state.mkdir(parents=True)
    os.mkfifo(state / name)
    with pytest.raises(TargetError, match="no regular file") as raised:
        pull(service, tmp_path / "here")
    assert is_one_line(raised.value)


def test_what_is_left_aside_is_taken_away_only_if_zsync_made_it(site, tmp_path, outside):
    site.store("a.zarr", weather(12, 8))
    site.publish()
    here = tmp_path / "here"
    aside = here / ".zsync" / "a.zarr" / "parts"
    aside.mkdir(parents=True)
    (aside / "part-link").symlink_to(outside)
    write_tree(aside, {"mine": {"x": "mine"}})
    dead = {"machine": _machine(), "pid": "4194305", "started": "1"}
    for name in ("part-dead", "other-dead"):
        write_tree(aside, {name: {"owner.json": json.dumps(dead), "part": {"x": "1"}}})
    url = f"s3://{site.bucket}/run/a.zarr"
    zsync.pull(url, here, variables=["t2m"], progress=False, **site.config()["storage"])
    assert sorted(path.name for path in aside.iterdir()) == ["mine", "other-dead", "part-link"]
    assert read_tree(outside) == {"precious": b"mine"}


def _machine():
    from zsync.publication.process import this_process

    return this_process("")["machine"]


# --- directory markers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_what_stands_for_directories_is_ignored(service, tmp_path, transport):
    service.objects = {
        "data/": b"", "data/maps/": b"", "data/maps/a.tif": b"1", "data/new/": b"", "data/sub": b"", "data/sub/x": b"2",
        "data/one": b"\n", "data/one/x": b"3", "data/empty": b"", "data/maps_$folder$": b"", "data/none_$folder$": b"",
    }  # fmt: skip
    result = pull(service, tmp_path / "here", transport=transport)
    assert read_tree(tmp_path / "here" / "data") == {"maps/a.tif": b"1", "sub/x": b"2", "one/x": b"3", "empty": b""}
    assert not [finding for finding in result.findings if finding.code == "unfit-key"]


@pytest.mark.parametrize("body", [b"", b" "])
def test_what_stands_for_a_directory_that_is_here_is_ignored(service, tmp_path, body):
    service.objects = {"data/sub": body, "data/y": b"2"}
    write_tree(tmp_path / "here", {"data": {"sub": {"mine": "mine"}}})
    pull(service, tmp_path / "here", force_overwrite=True)
    assert read_tree(tmp_path / "here" / "data") == {"sub/mine": b"mine", "y": b"2"}


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_objects_of_others_never_block_a_publish(service, tmp_path, transport):
    source = write_tree(tmp_path / "data", {"sub": {"x": "1"}, "y": "2"})
    others = {
        "data/sub/": b"",
        "data/sub": b"",
        "data/a//b": b"1",
        "data/z/": b"12",
        "data/l\x01": b"1",
        "data/..": b"1",
        "data/sub_$folder$": b"",
    }
    service.objects = dict(others)
    config = {"source": str(source), "target": f"s3://{BUCKET}", "storage": service.storage}
    result = zsync.publish(config, progress=False, transport=transport, max_delete="100%")
    assert result.status == "published"
    (finding,) = [finding for finding in result.findings if finding.code == "unfit-key"]
    assert "left out: 4 objects of others" in finding.message
    assert {key: service.objects[key] for key in others} == others
    assert zsync.publish(config, progress=False, transport=transport).status == "unchanged"
    pulled = zsync.pull(
        f"s3://{BUCKET}/data", tmp_path / "here", progress=False, transport=transport, **service.storage
    )
    assert pulled.status == "pulled"
    assert read_tree(tmp_path / "here" / "data") == {"sub/x": b"1", "y": b"2"}


# --- codecs that run what they decode ---------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


BOMB = {
    "filter": {"filters": [{"id": "vlen-utf8"}, {"id": "pickle"}], "compressor": None},
    "compressor": {"filters": [{"id": "vlen-utf8"}], "compressor": {"id": "pickle", "protocol": 5}},
    "alone": {"filters": [{"id": "pickle"}], "compressor": None},
}


@pytest.mark.parametrize("codecs", BOMB.values(), ids=BOMB.keys())
def test_no_codec_of_a_bucket_unpickles(service, tmp_path, monkeypatch, codecs):
    import numcodecs

    monkeypatch.setenv("BOMB", str(tmp_path / "ran"))
    # As versions did that are older than the lower bound.
    monkeypatch.setattr(numcodecs.pickles.Pickle, "decode", lambda self, data, out=None: pickle.loads(bytes(data)))
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C", **codecs}
    service.objects = {
        "data/a.zarr/.zgroup": b'{"zarr_format": 2}', "data/a.zarr/v/.zarray": json.dumps(array).encode(),
        "data/a.zarr/v/.zattrs": b'{"_ARRAY_DIMENSIONS": ["x"]}', "data/a.zarr/v/0": pickle.dumps(Bomb()),
    }  # fmt: skip
    with pytest.raises(SourceError, match="would run what the bucket holds: pickle"):
        pull(service, tmp_path / "here", variables=["v"])
    assert not (tmp_path / "ran").exists()
    pull(service, tmp_path / "here")  # bytes, as they are
    assert not (tmp_path / "ran").exists()


# --- documents of ours ------------------------------------------------------------------------------------------------


def forge(service, table, **part):
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    digest = blake3(buffer.getvalue()).hexdigest()
    service.objects[f".zsync/data/manifests/{digest}.parquet"] = buffer.getvalue()
    parts = [{"digest": digest, "objects": len(table), "bytes": 8, **part}]
    service.objects[".zsync/data/head.json"] = json.dumps(
        {"format": 1, "publication": RECORD, "manifest": parts}
    ).encode()
    return len(buffer.getvalue())


def rows(n, **columns):
    made = {
        "key": ["a"] * n, "source_key": ["a"] * n, "size": [4] * n, "digest": [blake3(b"evil").hexdigest()] * n,
        "etag": ["0" * 32] * n,
    } | columns  # fmt: skip
    arrays = [pa.array(made[f.name], f.type) if f.name in made else pa.nulls(n, f.type) for f in MANIFEST]
    return pa.table(arrays, schema=MANIFEST)


@pytest.mark.parametrize("says", [1, 30_000_000])
def test_a_part_that_holds_far_more_than_it_says_is_not_unpacked(service, tmp_path, says):
    service.objects = {"data/a": b"evil"}
    n = 30_000_000
    keys = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, "i4")), pa.array(["a"]))
    table = pa.table({"key": keys, "size": pa.array(np.zeros(n, "i8"))})
    assert forge(service, table, objects=says) < 2**20
    del table, keys
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TargetError, match="manifest") as raised:
        pull(service, tmp_path / "here")
    assert is_one_line(raised.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert not (tmp_path / "here").exists()


FORGED = {
    "a line break in an ETag": {"etag": ["0\r\nx-amz-acl: public-read"]},
    "a control character in an ETag": {"etag": ["0\x1b[2J"]},
    "a line break in a version": {"version": ["0\r\nx"]},
    "a digest that is none": {"digest": ["../../evil"]},
    "less than nothing": {"size": [-1]},
}


@pytest.mark.parametrize("columns", FORGED.values(), ids=FORGED.keys())
@pytest.mark.parametrize("verb", ["pull", "publish"])
def test_manifests_that_hold_what_cannot_be(service, tmp_path, columns, verb):
    service.objects = {"data/a": b"evil"}
    forge(service, rows(1, **columns))
    source = write_tree(tmp_path / "data", {"a": "evil"})
    config = {"source": str(source), "target": f"s3://{BUCKET}", "storage": service.storage}
    verbs = {
        "pull": lambda: pull(service, tmp_path / "here"),
        "publish": lambda: zsync.publish(config, progress=False),
    }
    with pytest.raises(TargetError, match="makes no sense") as raised:
        verbs[verb]()
    assert is_one_line(raised.value)
    assert not (tmp_path / "here").exists()


DIGESTS = [
    "../../../evil",
    "\0",
    "a" * 63 + "\0",
    "\ud800",
    "a" * 63 + "\ud800",
    "A" * 64,
    "",
    7,
    None,
    ["a"],
    "a" * 10**6,
]


@pytest.mark.parametrize("digest", DIGESTS, ids=[ascii(d)[:12] for d in DIGESTS])
def test_heads_that_name_no_digest(service, tmp_path, digest):
    part = {"digest": digest, "objects": 1, "bytes": 1}
    service.objects = {
        ".zsync/data/head.json": json.dumps({"format": 1, "publication": RECORD, "manifest": [part]}).encode()
    }
    with pytest.raises(TargetError, match="the head cannot be read") as raised:
        pull(service, tmp_path / "here")
    assert is_one_line(raised.value)


@pytest.mark.parametrize("head", [{"publication": "../x"}, {"publication": "a\nb"}, {"publication": 7}])
@pytest.mark.parametrize("numbers", [(1, 1), (-1, 1), (2**70, 1), (1.5, 1), ("1", 1), (True, 1)])
def test_heads_that_make_no_sense(service, tmp_path, head, numbers):
    part = {"digest": "0" * 64, "objects": numbers[0], "bytes": numbers[1]}
    document = {"format": 1, "publication": RECORD, "manifest": [part]} | (head if numbers == (1, 1) else {})
    service.objects = {".zsync/data/head.json": json.dumps(document).encode()}
    with pytest.raises(TargetError, match="the head cannot be read") as raised:
        pull(service, tmp_path / "here")
    assert is_one_line(raised.value)


def lease(**more):
    by = {"user": "u", "host": "h", "pid": "1", "machine": _machine(), "started": "1"} | more.pop("by", {})
    since = {"since": "2026-01-01T00:00:00+00:00", "expires": "2026-01-01T00:00:00+00:00"}
    return json.dumps({"format": 1, "publication": "x", "by": by, **since, **more}).encode()


LEASES = {
    "year 9999": lease(expires="9999-12-31T23:59:59+00:00"),
    "a superscript": lease(by={"pid": "\u00b2"}),
    "5,000 digits": lease(by={"pid": "9" * 5000}),
    "a number of 5,000 digits": b'{"format": ' + b"9" * 5000 + b"}",
    "a list": lease(since=[1]),
    "huge": b'{"x": "' + b"x" * 2**21 + b'"}',
    "an escape": lease(by={"user": "\x1b[2J\u202e", "host": "x" * 10**5}),
}


@pytest.mark.parametrize("body", LEASES.values(), ids=LEASES.keys())
def test_leases_that_are_none(service, tmp_path, body):
    service.objects = {".zsync/data/lease.json": body, ".zsync/data/head.json": b"{}"}
    source = write_tree(tmp_path / "data", {"a": "1"})
    config = {"source": str(source), "target": f"s3://{BUCKET}", "storage": service.storage}
    with pytest.raises(ZsyncError) as raised:  # if the lease is one, and not held, the head is none
        zsync.publish(config, progress=False)
    assert is_one_line(raised.value)
    with contextlib.suppress(TargetError):
        for found in leases(config):
            assert str(found).isprintable()
            assert len(str(found)) < 1500


# --- trash restore ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before the listing", "before the copy"])
def test_what_was_published_meanwhile_is_not_overwritten(service, moment, monkeypatch):
    """Somebody writes between two looks of a restore: what they wrote stays."""
    import zsync.verbs.trash as verb

    trash = f".zsync/data/trash/{RECORD}/"
    service.objects = {trash + "a": b"old", trash + "b": b"old", "data/c": b"1"}

    def write(*_):
        service.objects["data/a"] = b"new"

    name = "read_lease" if moment == "before the listing" else "_in_order"
    original = getattr(verb, name)

    def first_write(*args):
        answer = original(*args)
        write()
        return answer

    monkeypatch.setattr(verb, name, first_write)
    (done,) = restore_trash(f"s3://{BUCKET}/data", **service.storage)
    assert service.objects["data/a"] == b"new"
    assert service.objects["data/b"] == b"old"
    assert (done.restored, done.skipped) == (1, 1)


def test_a_restore_takes_the_lease_before_it_looks(service):
    trash = f".zsync/data/trash/{RECORD}/"
    service.objects = {trash + "a": b"old"}
    restore_trash(f"s3://{BUCKET}/data", **service.storage)
    taken = next(i for i, line in enumerate(service.asked) if line.startswith("PUT") and "lease.json" in line)
    looked = next(i for i, line in enumerate(service.asked) if "prefix=data" in line.replace("%2F", "/"))
    assert taken < looked


def test_what_was_kept_in_the_bucket_comes_back_in_a_directory_without_links(site, tmp_path, outside):
    write_tree(site.root / "files", {"sub": {"x": "1"}, "y": "2"})
    site.products = {"files": {"path": "files", "kind": "files"}}
    site.publish()
    shutil.rmtree(site.root / "files" / "sub")
    site.publish(max_delete="100%")
    back = tmp_path / "back"
    back.mkdir()
    (back / "sub").symlink_to(outside)
    with pytest.raises(ConfigError, match="symbolic link leads out"):
        restore_trash(site.config(), to=back)
    assert read_tree(outside) == {"precious": b"mine"}
    (back / "sub").unlink()
    restore_trash(site.config(), to=back)
    assert read_tree(back) == {"sub/x": b"1"}
    with contextlib.closing(s3_client(site.s3)) as client:
        assert client.list_objects_v2(Bucket=site.bucket, Prefix="run/files/sub")["KeyCount"] == 0
