"""Every way in, with every kind of key, by both transports, from a service that answers anything: nothing outside DEST
is made, changed or deleted, and what is sound comes.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pathlib
import stat

import pyarrow.parquet as pq
import pytest
from anyservice import BUCKET, AnyService
from blake3 import blake3
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from trees import weather, write_store

import zsync
from zsync.errors import UnfitKeyError, ZsyncError
from zsync.keys import sort
from zsync.pulling.listed import pull_listed
from zsync.report.progress import progress_for
from zsync.tables import MANIFEST, table_of
from zsync.verbs.lease import leases
from zsync.verbs.trash import list_trash, restore_trash

EVIL = b"evil"
TRANSPORTS = ["obstore", "fsspec"]


@pytest.fixture
def service():
    with AnyService() as service:
        yield service


@pytest.fixture
def around(tmp_path):
    """What surrounds DEST, and whatever a key may lead to."""
    around = tmp_path / "around"
    for name in ("victim/precious", "victim/evil", "evil", "ok", "home/.zsync/x/head.json", "home/sub/x"):
        path = around / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    return around


@pytest.fixture
def dest(around):
    """DEST is deep enough for a key to climb a long way and still be in `around`."""
    return around / "home" / "sub" / "dest"


def seen(root, but):
    """Return all that is below a directory, but for another: kind, content, times and inode."""
    found = {}
    for directory, below, files in os.walk(root):
        if str(but) in below or directory == str(but):
            below[:] = []
            continue
        below[:] = [name for name in below if f"{directory}/{name}" != str(but)]
        for name in (*below, *files):
            path = f"{directory}/{name}"
            status = os.lstat(path)
            is_file = stat.S_ISREG(status.st_mode)
            found[path] = (
                status.st_mode,
                status.st_ino,
                status.st_mtime_ns if is_file else 0,
                is_file and pathlib.Path(path).read_bytes(),
            )
    return found


@functools.cache
def texts():
    """300 keys of hypothesis's, the same in every run."""
    part = st.sampled_from(["a", "..", ".", "", ".zsync", ".ZSYNC", "evil", "C:", "\\", "e\0", "\x7f", "ok", "é", " "])
    text = st.lists(part, min_size=1, max_size=6).map("/".join) | st.text(max_size=8)
    found: dict[str, None] = {}

    def take(key):
        if _is_text(key) and key:
            found[key] = None

    with contextlib.suppress(NoSuchExample):
        find(text, take, settings=settings(max_examples=900, database=None, derandomize=True))
    assert len(found) >= 300
    return tuple(found)[:300]


def _is_text(key):
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def kinds(around):
    return [
        f"{around}/victim/evil", f"/{around}/victim/evil", "../evil", "../../evil", "../../../victim/evil", "..", ".",
        "a/../../../victim/evil", "./evil", "a//evil", "//evil", "/evil", "evil/", "evil2//", "..\\evil",
        f"C:\\{around}\\evil", "C:/evil", "c:", "nul\0evil", "line\nevil", "\x1b[2Jevil", "evil\x7f",
        ".zsync/x/head.json",
        "sub/.zsync/evil", "sub/.ZSYNC/evil", ".Zsync", "ok", "ok/evil", "x" * 300, "é" * 200, "y" * 1100,
        "../../.zsync/x/head.json", "..%2f..%2fevil", "a/..", "a/.",
    ]  # fmt: skip


def store(around):
    """Return a Zarr store, key by key."""
    root = write_store(around.parent / "source.zarr", weather(6, 8), chunks={"time": 5, "x": 4})
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def hostile_objects(around, prefix):
    keys = [*kinds(around), *texts()]
    # What lies in `.zsync` at the top tells of products: names of those have a test of their own.
    found = {prefix + key: EVIL for key in keys if not key.startswith(".zsync")}
    members = store(around)
    for base in (f"{around}/victim/", "../../victim/", "a//b/", "C:/x/", "..\\victim/", "good.zarr/"):
        found |= {prefix + base + key: body for key, body in members.items()}
    return found


def is_clear(finding):
    return finding.message.isprintable() and len(finding.message) < 2000


WAYS = {
    "whole": {},
    "a range": {"select": {"time": "8..11"}},
    "a variable": {"variables": ["t2m"]},
    "compared": {"force_overwrite": True},
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("prefix", ["", "data/"], ids=["bucket", "prefix"])
@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
def test_a_pull_of_anything_stays_in_its_place(service, around, dest, prefix, transport, options):
    service.objects = hostile_objects(around, prefix)
    before = seen(around, dest)
    result = zsync.pull(
        f"s3://{BUCKET}/{prefix}", dest, progress=False, transport=transport, **service.storage, **options
    )
    assert seen(around, dest) == before
    (finding,) = [finding for finding in result.findings if finding.code == "unfit-key"]
    assert is_clear(finding)
    name = prefix.rstrip("/") or BUCKET
    assert (dest / name / "good.zarr" / ".zmetadata").exists() or (dest / name / "good.zarr" / "zarr.json").exists()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_first_sync_of_anything_stays_in_its_place(service, around, dest, transport):
    service.objects = hostile_objects(around, "data/dest/")
    target = {"source": str(dest), "target": f"s3://{BUCKET}/data", "storage": service.storage}
    config = zsync.RunConfig.from_any(target, transport=transport)
    before = seen(around, dest)
    result = pull_listed(config, progress_for(False))
    # What is replaced is kept beside the directory, in zsync's own state.
    assert {k: v for k, v in seen(around, dest).items() if "sub/.zsync" not in k} == before
    assert any(finding.code == "unfit-key" for finding in result.findings)


def manifest_of(key):
    rows = [
        {
            "key": name,
            "source_key": name,
            "size": 4,
            "digest": blake3(EVIL).hexdigest(),
            "etag": "a" * 32,
            "kind": "files",
        }
        for name in ("ok2", key)
    ]
    return table_of([{k: v for k, v in row.items() if k in MANIFEST.names} for row in rows], MANIFEST)


def forge(service, table, objects=None, **head):
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    digest = blake3(buffer.getvalue()).hexdigest()
    service.objects[f".zsync/data/manifests/{digest}.parquet"] = buffer.getvalue()
    part = {"digest": digest, "objects": len(table) if objects is None else objects, "bytes": 8}
    document = {"format": 1, "publication": "20260101T000000000Z-00000000", "manifest": [part], **head}
    service.objects[".zsync/data/head.json"] = json.dumps(document).encode()


def test_a_manifest_that_names_anything_is_refused(service, around, dest):
    service.objects = {"data/ok2": EVIL}
    fit = set(sort([*kinds(around), *texts()]).fit)
    keys = [key for key in dict.fromkeys([*kinds(around), *texts()]) if key not in fit]
    assert len(keys) > 150
    before = seen(around, dest)
    for number, key in enumerate(keys[:: 1 + len(keys) // 60]):
        service.objects[f"data/{key}"] = EVIL
        forge(service, manifest_of(key))
        with pytest.raises(UnfitKeyError) as raised:
            zsync.pull(f"s3://{BUCKET}/data", dest, progress=False, transport=TRANSPORTS[number % 2], **service.storage)
        assert str(raised.value).isprintable()
        assert raised.value.exit_status == 3
    assert seen(around, dest) == before
    assert not dest.exists()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_products_of_any_name_are_refused(service, around, dest, transport):
    before = seen(around, dest)
    for name in ("..", ".", "a\nb", "a\\b", "e" * 300, "x\0"):
        service.objects = {f"data/.zsync/{name}/head.json": b"{}", "data/ok": EVIL}
        with pytest.raises(ZsyncError) as raised:
            zsync.pull(f"s3://{BUCKET}/data", dest, progress=False, transport=transport, **service.storage)
        assert str(raised.value).isprintable()
        with contextlib.suppress(ZsyncError):
            leases(f"s3://{BUCKET}/data", transport=transport, **service.storage)
    assert seen(around, dest) == before


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_whatever_is_in_the_trash_stays_in_its_place(service, around, dest, transport):
    trash = ".zsync/data/trash/20260101T000000000Z-00000000/"
    service.objects = {trash + key: EVIL for key in [*kinds(around), *texts()]} | {"data/there": EVIL}
    service.objects[trash + "down/fine"] = EVIL
    dest.mkdir()
    (dest / "down").symlink_to(around / "victim")
    before = seen(around, dest)
    url = f"s3://{BUCKET}/data"
    with pytest.raises(zsync.ZsyncError, match="symbolic link"):
        restore_trash(url, to=dest, transport=transport, include=["down/*"], **service.storage)
    (dest / "down").unlink()
    with contextlib.suppress(ZsyncError):  # a file is where another key needs a directory
        restore_trash(url, to=dest, transport=transport, **service.storage)
    restore_trash(url, to=dest, transport=transport, include=["down/*"], **service.storage)
    assert (dest / "down" / "fine").read_bytes() == EVIL
    assert seen(around, dest) == before
    keys = {key for item in list_trash(url, transport=transport, **service.storage) for key in item.keys}
    assert keys == set(sort(keys).fit)
    restore_trash(url, transport=transport, **service.storage)
    brought = {key.removeprefix("data/") for key in service.objects if key.startswith("data/")}
    assert brought == set(sort(brought).fit)
