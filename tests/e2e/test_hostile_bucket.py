"""Hostile buckets: whatever keys, manifests and heads say, nothing is written outside the directory, zsync's records
are not touched, and there is one clear line for each.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from servers import s3_client
from trees import read_tree, weather, write_tree

import zsync
from zsync.errors import ConfigError, SourceError, TargetError

EVIL = b"evil"


@pytest.fixture
def here(tmp_path):
    return tmp_path / "here"


class Bucket:
    """A bucket of moto's, which takes any key."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        server.create_bucket(name)

    def put(self, *keys, body=EVIL):
        with contextlib.closing(s3_client(self.server)) as client:
            for key in keys:
                client.put_object(Bucket=self.name, Key=key, Body=body)

    def pull(self, dest, what="data", **options):
        storage = {
            "endpoint_url": self.server.endpoint_url,
            "region": self.server.region,
            "access_key_id": self.server.access_key,
            "secret_access_key": self.server.secret_key,
        }
        return zsync.pull(f"s3://{self.name}/{what}", dest, progress=False, **storage, **options)


@pytest.fixture
def hostile(moto_s3, request):
    return Bucket(moto_s3, f"hostile-{blake3(request.node.nodeid.encode()).hexdigest()[:16]}")


def evil_files(root):
    return [path for path in root.rglob("*") if path.is_file() and EVIL in path.read_bytes()]


def is_one_clear_line(error):
    told = str(error)
    return told.isprintable() and "internal error" not in told and len(told) < 2000


# --- keys -------------------------------------------------------------------------------------------------------------

UNFIT = {
    "an escape": ["evil\x1b[2J"],
    "absolute": ["/etc/evil"],
    "two slashes": ["a//evil"],
    "climbs at the end": ["a/.."],
    "a file and a directory, deep": ["a/b", "a/b/c/d"],
    "too long a name, in bytes": ["é" * 128],
}


def unfit_of(result):
    return [finding for finding in result.findings if finding.code == "unfit-key"]


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("keys", UNFIT.values(), ids=UNFIT.keys())
def test_keys_that_cannot_be_files_are_left_out_and_told_in_one_line(hostile, tmp_path, here, keys, transport):
    hostile.put("data/ok", *(f"data/{key}" for key in keys))
    result = hostile.pull(here, transport=transport)
    (finding,) = unfit_of(result)
    assert is_one_clear_line(finding.message)
    assert finding.message.startswith("left out: 1 objects of others")
    assert {path.relative_to(here / "data").as_posix() for path in evil_files(tmp_path)} <= {"ok", "a/b/c/d"}
    assert (here / "data" / "ok").exists()


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_what_is_unfit_and_excluded_is_not_worth_a_word(hostile, here, transport):
    hostile.put("data/ok", "data/bad/evil\x01", "data/bad//evil")
    assert unfit_of(hostile.pull(here, transport=transport, exclude=["bad"])) == []
    assert read_tree(here / "data") == {"ok": EVIL}


FINE = [
    "CON",
    "aux.txt",
    "a:b",
    "dot.",
    "space ",
    " ",
    "quote'\"",
    "*?[x]",
    "~",
    "$HOME",
    "%2e%2e",
    "-rf",
    "x" * 255,
    "é" * 127,
]


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
def test_names_that_are_strange_but_files_here(hostile, here, transport):
    """Of those only Windows would refuse some; and 255 bytes are as many as a name has."""
    hostile.put(*(f"data/{name}" for name in FINE))
    hostile.pull(here, transport=transport)
    assert read_tree(here / "data").keys() == set(FINE)
    assert hostile.pull(here, transport=transport).status == "unchanged"


def test_a_path_that_is_too_long_in_all_is_told(hostile, tmp_path, here):
    hostile.put("data/" + "/".join(["d" * 200] * 5))
    deep = here.joinpath(*["p" * 200] * 16)
    with pytest.raises(TargetError, match="File name too long") as raised:
        hostile.pull(deep)
    assert str(raised.value).isprintable()
    assert not evil_files(tmp_path)


# --- zsync's own records ----------------------------------------------------------------------------------------------


def records(here):
    return {key: body for key, body in read_tree(here).items() if key.startswith(".zsync/")}


@pytest.mark.parametrize("transport", ["obstore", "fsspec"])
@pytest.mark.parametrize("what", ["x/.zsync", "x/.ZSYNC"])
def test_records_of_others_do_not_become_ours(hostile, tmp_path, here, what, transport):
    write_tree(here, {".zsync/a/head.json": "mine"})
    hostile.put(f"{what}/a/head.json", f"{what}/b")
    with pytest.raises(SourceError, match="where zsync keeps its records") as raised:
        hostile.pull(here, what, transport=transport)
    assert is_one_clear_line(raised.value)
    assert records(here) == {".zsync/a/head.json": b"mine"}
    assert not evil_files(tmp_path)


@pytest.mark.parametrize("key", ["sub/.zsync/a/head.json", "sub/.Zsync/evil", "sub/.zsync"])
def test_keys_that_lie_among_records_do_not_come(hostile, here, key):
    hostile.put("data/ok", f"data/{key}")
    with contextlib.suppress(SourceError):
        hostile.pull(here)
    assert set(read_tree(here)) - set(records(here)) <= {"data/ok"}
    assert not any(EVIL in body for body in records(here).values())


@pytest.mark.parametrize("name", ["..", ".", ".zsync", "evil\x01", "e" * 300])
def test_products_whose_names_lead_elsewhere(hostile, tmp_path, here, name):
    """The names of products come from the bucket as well: from where their records are."""
    hostile.put(f"data/.zsync/{name}/head.json", "data/ok")
    with pytest.raises((SourceError, TargetError)) as raised:
        hostile.pull(here, transport="fsspec")
    assert is_one_clear_line(raised.value)
    assert not evil_files(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# --- one name for several keys ----------------------------------------------------------------------------------------

ALIKE = {"case": ("data/a/File", "data/a/file"), "composed": ("data/caf\u00e9", "data/cafe\u0301")}


@pytest.mark.parametrize("keys", ALIKE.values(), ids=ALIKE.keys())
def test_keys_that_are_one_name_here_are_refused(hostile, tmp_path, here, keys, monkeypatch):
    hostile.put(*keys)
    with monkeypatch.context() as other:
        other.setattr("zsync.steps.room.takes_for_one", lambda *_: True)
        with pytest.raises(SourceError, match="one name on this file system") as raised:
            hostile.pull(here)
        assert is_one_clear_line(raised.value)
        assert not evil_files(tmp_path)
        hostile.pull(here, exclude=[keys[0].removeprefix("data/")])
        assert len(evil_files(here)) == 1
    hostile.pull(here)  # this file system tells them apart
    assert len(evil_files(here)) == 2
    assert not list(tmp_path.rglob(".zsync-names-*"))


def test_what_a_file_system_takes_for_one_is_tried_out(tmp_path):
    from zsync.steps.room import takes_for_one

    assert takes_for_one(str(tmp_path), "x", "x")
    assert not takes_for_one(str(tmp_path), "x", "y")
    assert not list(tmp_path.iterdir())


def test_products_that_are_one_name_here_are_refused(hostile, tmp_path, here, monkeypatch):
    hostile.put("data/.zsync/A/x", "data/.zsync/a/x", "data/A/1", "data/a/1")
    monkeypatch.setattr("zsync.steps.room.takes_for_one", lambda *_: True)
    with pytest.raises(SourceError, match="one name on this file system"):
        hostile.pull(here)
    assert not evil_files(tmp_path)


# --- what lies in the directory already -------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    return write_tree(tmp_path / "outside", {"precious": "mine"})


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["a file", "a directory", "nothing", "a loop"])
def test_a_link_in_place_of_a_file_is_not_written_through(hostile, tmp_path, here, outside, kind, force):
    hostile.put("data/sub/x", "data/y")
    hostile.pull(here)
    link = here / "data" / "sub" / "x"
    link.unlink()
    link.symlink_to(
        {"a file": outside / "precious", "a directory": outside, "nothing": outside / "new", "a loop": link}[kind]
    )
    hostile.put("data/sub/x", body=EVIL * 2)
    with contextlib.suppress(zsync.ZsyncError):
        hostile.pull(here, force_overwrite=force)
    assert read_tree(outside) == {"precious": b"mine"}


def test_nothing_is_removed_through_a_link(site, tmp_path, here):
    """The user moved a part elsewhere and linked it; what is there is not the directory's own any more."""
    site.store("a.zarr", weather(12, 8), groups={"Auxiliary": weather(12, 8, k=2)})
    site.publish()
    url, storage = f"s3://{site.bucket}/run/a.zarr", site.config()["storage"]
    zsync.pull(url, here, progress=False, **storage)
    elsewhere = tmp_path / "elsewhere"
    (here / "a.zarr" / "Auxiliary").rename(elsewhere)
    (here / "a.zarr" / "Auxiliary").symlink_to(elsewhere)
    kept = read_tree(elsewhere)
    shutil.rmtree(site.root)
    site.store("a.zarr", weather(12, 8))
    site.publish(max_delete="100%")
    with contextlib.suppress(ConfigError):
        zsync.pull(url, here, progress=False, **storage)
    assert read_tree(elsewhere) == kept


@pytest.mark.parametrize("kind", ["a directory in place of a file", "a file in place of a directory"])
def test_what_stands_in_the_way_is_told_and_stays(hostile, here, kind):
    hostile.put("data/sub/x")
    mine = {"sub": {"x": {"mine": "mine"}}} if "directory in" in kind else {"sub": "mine"}
    write_tree(here / "data", mine)
    before = read_tree(here / "data")
    with pytest.raises(zsync.ZsyncError) as raised:
        hostile.pull(here, force_overwrite=True)
    assert is_one_clear_line(raised.value)
    assert read_tree(here / "data") == before


# --- manifests and heads ----------------------------------------------------------------------------------------------

STATE = "run/.zsync/files"


class Forged:
    """A product of three files, whose records are forged."""

    def __init__(self, site):
        self.site = site
        write_tree(site.root / "files", {"a": "one", "b": "two", "c": "three"})
        site.products = {"files": {"path": "files", "kind": "files"}}
        site.publish()
        self.head = json.loads(self.get(f"{STATE}/head.json"))

    def get(self, key):
        with contextlib.closing(s3_client(self.site.s3)) as client:
            return client.get_object(Bucket=self.site.bucket, Key=key)["Body"].read()

    def put(self, key, body):
        with contextlib.closing(s3_client(self.site.s3)) as client:
            client.put_object(Bucket=self.site.bucket, Key=key, Body=body)

    def manifest(self):
        return pq.read_table(io.BytesIO(self.get(f"{STATE}/manifests/{self.head['manifest'][0]['digest']}.parquet")))

    def forge(self, body):
        """Put a manifest in place of the true one, with all that leads to it."""
        if not isinstance(body, bytes):
            buffer = io.BytesIO()
            pq.write_table(body, buffer)
            body = buffer.getvalue()
        digest = blake3(body).hexdigest()
        self.put(f"{STATE}/manifests/{digest}.parquet", body)
        self.put(
            f"{STATE}/head.json",
            json.dumps({**self.head, "manifest": [{**self.head["manifest"][0], "digest": digest}]}),
        )

    def pull(self, here, **options):
        storage = self.site.config()["storage"]
        url = f"s3://{self.site.bucket}/run/files"
        return zsync.pull(url, here, progress=False, **storage, retries=1, **options)


@pytest.fixture
def forged(site):
    return Forged(site)


def with_column(table, name, values):
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))


SIZES = {
    "a terabyte": ([10**12 * 100, 3, 5], "not enough space"),
    "so many that sums overflow": ([2**62, 2**62, 2**62], "makes no sense"),
    "less than nothing": ([-1, 3, 5], "makes no sense"),
    "none": ([None, 3, 5], "makes no sense"),
    "too little": ([2, 3, 5], "did not arrive as it is on record"),
    "too much": ([4, 3, 5], "."),
}


@pytest.mark.parametrize(("sizes", "says"), SIZES.values(), ids=SIZES.keys())
def test_a_manifest_that_lies_about_sizes(forged, here, sizes, says):
    forged.forge(with_column(forged.manifest(), "size", sizes))
    with pytest.raises(TargetError, match=says) as raised:
        forged.pull(here, workers=1)
    assert is_one_clear_line(raised.value)
    assert not (here / "files" / "a").exists()


def test_a_manifest_whose_digests_are_of_something_else(forged, here):
    forged.forge(with_column(forged.manifest(), "digest", [blake3(b"else").hexdigest()] * 3))
    with pytest.raises(TargetError, match="did not arrive as it is on record"):
        forged.pull(here)
    assert not read_tree(here).keys() & {"files/a", "files/b", "files/c"}


KEYS = {
    "twice": (["a", "a", "c"], "makes no sense"),
    "none": ([None, "b", "c"], "makes no sense"),
    "our records": ([".zsync/files/head.json", "b", "c"], "where zsync keeps its records"),
    "climbs": (["../../evil", "b", "c"], "leads elsewhere"),
    "absolute": (["/tmp/evil", "b", "c"], "empty part"),
    "null": (["e\0vil", "b", "c"], "control character"),
    "a line break": (["evil\nzsync: all is well", "b", "c"], "control character"),
    "not there": (["evil", "b", "c"], "replaced or removed"),
}


@pytest.mark.parametrize(("keys", "says"), KEYS.values(), ids=KEYS.keys())
def test_a_manifest_with_keys_of_its_own(forged, here, keys, says):
    forged.forge(with_column(with_column(forged.manifest(), "key", keys), "source_key", keys))
    with pytest.raises((SourceError, TargetError), match=says) as raised:
        forged.pull(here, workers=1)
    assert is_one_clear_line(raised.value)
    assert not [key for key in read_tree(here.parent) if "evil" in key or "data" in key]


MANIFESTS = {
    "garbage": b"evil" * 100,
    "nothing": b"",
    "huge garbage": b"PAR1" + b"\0" * 20_000_000 + b"PAR1",
    "other columns": pa.table({"evil": [1]}),
    "other types": pa.table({"key": [1.5], "size": ["x"]}),
}


@pytest.mark.parametrize("body", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_a_manifest_that_is_none(forged, here, body):
    forged.forge(body)
    with pytest.raises(TargetError, match="manifest of what is published cannot be read") as raised:
        forged.pull(here)
    assert is_one_clear_line(raised.value)
    assert not here.exists()


def test_a_manifest_whose_text_is_none(forged, here):
    table = forged.manifest()
    names = pa.array([b"\xff", b"b", b"c"], pa.binary())
    index = table.schema.get_field_index("key")
    forged.forge(table.set_column(index, "key", names.view(pa.string())))
    with pytest.raises(TargetError, match="manifest of what is published") as raised:
        forged.pull(here)
    assert is_one_clear_line(raised.value)


def test_a_manifest_that_was_changed(forged, here, clean_environment, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(here.parent / "another-cache"))
    forged.put(f"{STATE}/manifests/{forged.head['manifest'][0]['digest']}.parquet", b"evil")
    with pytest.raises(TargetError, match="is damaged"):
        forged.pull(here)
    assert not here.exists()


PART = b'{"format": 1, "publication": "x", "manifest": [{"digest": "x", "objects": %b, "bytes": 1}]}'
HEADS = {
    "garbage": b"\xff\xfe\0",
    "nothing": b"",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "huge": b'{"format": 1, "x": "' + b"x" * 30_000_000,
    "no manifest": b'{"format": 1, "publication": "x"}',
    "a manifest of numbers": b'{"format": 1, "publication": "x", "manifest": [1, 2]}',
    "a long number": b'{"format": 1, "publication": "x", "manifest": [{"digest": "x", "objects": '
    + b"9" * 10**5
    + b', "bytes": 1}]}',
    "infinite": b'{"format": 1, "publication": "x", "manifest": [{"digest": "x", "objects": Infinity, "bytes": 1}]}',
    "newer": b'{"format": 999}',
    "a format of text": b'{"format": "1"}',
}


@pytest.mark.parametrize("body", HEADS.values(), ids=HEADS.keys())
def test_a_head_that_is_none(forged, here, body):
    forged.put(f"{STATE}/head.json", body)
    with pytest.raises(TargetError, match=r"the head cannot be read|by a newer zsync") as raised:
        forged.pull(here)
    assert is_one_clear_line(raised.value)
    assert not here.exists()


@pytest.mark.parametrize("digest", ["../../../../evil", "/etc/passwd", "x" * 5000, "", "a\nb"])
def test_a_head_that_names_parts_elsewhere(forged, here, digest):
    forged.put(
        f"{STATE}/head.json",
        json.dumps({**forged.head, "manifest": [{**forged.head["manifest"][0], "digest": digest}]}),
    )
    with pytest.raises(TargetError) as raised:
        forged.pull(here)
    assert is_one_clear_line(raised.value) or len(digest) > 1000
    assert "internal error" not in str(raised.value)
    assert not here.exists()


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 200_000, b'{"id": 1}', b'{"products": [], "product": "x"}'])
def test_a_record_of_a_publication_that_is_none(forged, here, body):
    forged.put(f"{STATE}/publications/{forged.head['publication']}.json", body)
    with pytest.raises(TargetError, match="record of a publication cannot be read") as raised:
        forged.pull(here, at=forged.head["publication"])
    assert is_one_clear_line(raised.value)
    assert not here.exists()


def test_verify_names_whatever_is_no_record(forged):
    url, options = f"s3://{forged.site.bucket}/run/files", {**forged.site.config()["storage"], "progress": False}

    def kinds():
        found = zsync.verify(url, **options).differences
        assert all("\n" not in item.message + item.key for item in found)
        return {item.kind for item in found}

    record, head = f"{STATE}/publications/{forged.head['publication']}.json", json.dumps(forged.head)
    for body in (b"{", b"[" * 200_000, b'{"products": [{"name": 1, "kind": []}], "product": 1}'):
        forged.put(record, body)
        assert kinds() == {"lost-record"}
    for keys, _ in KEYS.values():
        forged.forge(with_column(forged.manifest(), "key", keys))
        assert kinds() <= {"lost-record", "missing", "extra"}
    for body in [*MANIFESTS.values(), with_column(forged.manifest(), "size", [-1, 3, 5])]:
        forged.forge(body)
        assert "lost-record" in kinds()
    for body in HEADS.values():
        forged.put(f"{STATE}/head.json", body)
        assert kinds() == {"lost-record"}
    forged.put(f"{STATE}/head.json", head)
    forged.put(f"{STATE}/lease.json", b'{"by": 7}')
    assert kinds() == {"lost-record"}


def test_the_command_says_it_in_one_line(forged, here, run_zsync):
    forged.put(f"{STATE}/head.json", HEADS["deep"])
    site = forged.site
    env = {"AWS_ACCESS_KEY_ID": site.s3.access_key, "AWS_SECRET_ACCESS_KEY": site.s3.secret_key}
    done = run_zsync(
        "pull", f"s3://{site.bucket}/run/files", here, "--endpoint-url", site.s3.endpoint_url, "-q", env=env, check=1
    )
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("zsync: the head cannot be read: s3://")
