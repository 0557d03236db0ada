"""The pure parts of verifying: what is on record beside what is there, samples, digests, structure."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import md5

from zsync.errors import ConfigError
from zsync.storage import Headers, Version
from zsync.tables import MANIFEST, TARGET, table_of
from zsync.verifying.compare import compare, kept_versions
from zsync.verifying.difference import Difference, in_order
from zsync.verifying.repair import doubted_keys
from zsync.verifying.sampling import Sample
from zsync.verifying.structure import kind_of, sparse, stores_to_look_at, structure
from zsync.verifying.told import is_plain, same_headers
from zsync.verifying.zarr_checksum import zarr_checksum
from zsync.words import Kind


def manifest(rows):
    return table_of([{"key": key, "size": size, "etag": etag} for key, (size, etag) in rows.items()], MANIFEST)


def listing(rows):
    return table_of([{"key": key, "size": size, "etag": etag} for key, (size, etag) in rows.items()], TARGET)


OBJECTS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(0, 2), st.sampled_from(["x", "y", None])), max_size=6
)


@given(OBJECTS, OBJECTS)
def test_each_difference_is_found_and_nothing_else(recorded, there):
    def kind(key):
        if key not in there:
            return "missing"
        if key not in recorded:
            return "extra"
        (size, etag), (seen, tag) = recorded[key], there[key]
        if size != seen:
            return "size"
        return "overwritten" if None not in (etag, tag) and etag != tag else None

    expected = {(key, kind(key)) for key in {*recorded, *there} if kind(key)}
    found = compare("p", manifest(recorded), listing(there))
    assert {(item.key, item.kind) for item in found.differences} == expected
    here = compare("p", manifest(recorded), listing(there), is_here=True, counts=False)
    assert {(item.key, item.kind) for item in here.differences} == {
        pair for pair in expected if pair[1] in ("missing", "size")
    }
    assert here.touched == {key for key, what in expected if what == "overwritten"}


def test_versions_stand_for_what_was_published():
    recorded = manifest({"t/0": (3, "x"), "t/1": (3, "y")}).to_pylist()
    table = table_of(
        [{**row, "version": version} for row, version in zip(recorded, ("v1", "v2"), strict=True)], MANIFEST
    )
    kept = [Version("run/t/0", "v1", 3, "x"), Version("run/t/0", "v9", 4, "z"), Version("run/t/1", "v1", 3, "y")]
    there = kept_versions(table, kept, "run/")
    assert there.to_pylist() == [{"key": "t/0", "size": 3, "etag": "x"}]
    assert [item.key for item in compare("p", table, there).differences] == ["t/1"]


@pytest.mark.parametrize(
    ("found", "recorded", "same"),
    [
        (Headers("a/b", storage_class="STANDARD"), Headers("a/b"), True),
        (Headers("a/b"), Headers("a/b", storage_class="STANDARD"), True),
        (Headers("a/b", storage_class="GLACIER_IR"), Headers("a/b"), False),
        (Headers("a/b", "no-cache"), Headers("a/b"), False),
        (Headers("a/b", metadata=(("mtime", "1"),)), Headers("a/b"), False),
        (Headers("a/b", tags=(("k", "v"),)), Headers("a/b", tags=(("k", "v"),)), True),
    ],
)
def test_headers_are_compared_as_services_tell_them(found, recorded, same):
    assert same_headers(found, recorded.digest) is same


def test_an_encoding_that_changes_bytes_is_none_that_was_published():
    assert [is_plain(text) for text in ("", "aws-chunked", "gzip")] == [True, True, False]


@given(
    st.integers(0, 400),
    st.one_of(st.integers(0, 500).map(str), st.integers(0, 100).map(lambda n: f"{n}%")),
    st.integers(),
)
def test_a_sample_is_the_same_again_in_order_and_as_large_as_was_said(count, said, seed):
    items = list(range(count))
    chosen = Sample.parse(said, seed).of(items)
    assert chosen == Sample.parse(said, seed).of(items) == sorted(set(chosen))
    wanted = math.ceil(count * int(said[:-1]) / 100) if said.endswith("%") else int(said)
    assert len(chosen) == min(count, wanted)


@pytest.mark.parametrize("said", ["some", "-1", "101%", "1.5", "", "%"])
def test_what_is_no_sample_is_refused(said):
    with pytest.raises(ConfigError, match="no sample"):
        Sample.parse(said, 0)


@pytest.mark.parametrize(
    ("files", "digest"),
    [
        ({}, "481a2f77ab786a0f45aafd5db0971caa-0--0"),
        ({"zarr.json": b"{}"}, "f0699a280f5de8a2aa0eb26551eb2fa4-1--2"),
        ({".zgroup": b"{}", "t/.zarray": b"[]", "t/0.0": b"abc", "t/0.1": b"", "t-2/0": b"x", "a/b/c/d": b"deep",
          "\u00e9/0": b"e"}, "73fac39c4fa1b91d9550697369a64e07-7--13"),
    ],
)  # fmt: skip
def test_the_digest_is_that_of_the_package_zarr_checksum(files, digest):
    """Vectors made with zarr-checksum 0.4.7."""
    assert zarr_checksum((key, len(body), md5(body)) for key, body in reversed(files.items())) == digest


ZARRAY = {
    "zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4", "order": "C", "fill_value": None, "filters": None,
    "compressor": None,
}  # fmt: skip


def store(attributes=None, **consolidated):
    documents = {".zgroup": {"zarr_format": 2}, "t/.zarray": ZARRAY, "t/.zattrs": attributes or {}}
    listed = {"zarr_consolidated_format": 1, "metadata": {**documents, **consolidated}}
    return {key: json.dumps(document).encode() for key, document in {**documents, ".zmetadata": listed}.items()}


def looked_at(documents, *chunks):
    keys = [*documents, *chunks]
    return structure("p", Kind.ZARR, keys, [1] * len(keys), documents)


def test_a_store_by_itself():
    sound = looked_at(store(), "t/0", "t/1")
    assert not sound.differences
    assert not sparse("p", sound.layout)
    lacking = sparse("p", looked_at(store(), "t/0").layout)
    assert [(item.key, item.message[:6]) for item in lacking] == [("t", "1 of 2")]

    def kinds(*args, **more):
        return {(item.key, item.kind) for item in looked_at(store(*args, **more), "t/0", "t/9").differences}

    assert kinds() == {("t/9", "outside-grid")}
    assert kinds({"limit": math.nan}) == {
        ("t/9", "outside-grid"), ("t/.zattrs", "not-strict-json"), (".zmetadata", "not-strict-json"),
    }  # fmt: skip
    assert (".zmetadata", "stale-consolidated") in kinds(**{"t/.zarray": {**ZARRAY, "shape": [6]}})
    torn = {**store(), ".zmetadata": b'{"met'}
    assert [(item.key, item.kind) for item in looked_at(torn, "t/0").differences] == [(".zmetadata", "bad-metadata")]


def test_only_stores_of_which_metadata_differs_are_read():
    keys = ["a/.zgroup", "a/t/.zarray", "a/t/0", "b/.zgroup", "b/.zmetadata"]
    assert stores_to_look_at(Kind.ZARR, keys, {"a/t/0"}) == frozenset()
    assert stores_to_look_at(Kind.ZARR, keys, {"a/t/.zarray"}) == {"a"}
    assert stores_to_look_at(Kind.COG, keys, {"a/t/.zarray"}) == frozenset()
    assert [kind_of(["a.tif", "b"]), kind_of(["b"]), kind_of(keys)] == [Kind.COG, Kind.FILES, Kind.ZARR]


def test_what_is_doubted_is_sent_again_and_only_that():
    keys = [".zgroup", ".zmetadata", "t/.zarray", "t/0", "t/1", "u/0", "x"]

    def doubted(*pairs):
        return doubted_keys([Difference("p", key, kind, "") for key, kind in pairs], keys)

    assert doubted(("t/0", "content"), ("t/1", "headers"), ("gone", "overwritten")) == {"t/0", "t/1"}
    assert doubted(("t", "does-not-decode")) == {"t/.zarray", "t/0", "t/1"}
    assert doubted(("", "does-not-open")) == {".zgroup", ".zmetadata", "t/.zarray"}
    assert doubted((".zmetadata", "bad-metadata"), ("u/0", "outside-grid")) == {".zmetadata"}
    assert not doubted(("x", "extra"), ("t/2", "missing"), ("t/0", "unfinished-upload"))


def test_differences_come_once_in_order_and_without_what_does_not_matter():
    some = [
        Difference("p", key, kind, "") for key, kind in (("b", "size"), ("a", "extra"), ("b", "size"), ("b", "content"))
    ]
    assert [(item.key, item.kind) for item in in_order(some, ["extra"])] == [("b", "content"), ("b", "size")]
