"""Change classes and the fence: pure functions over metadata documents."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.layout import describe, meaning_of, members_of, with_shapes
from zsync.planning import ChangeClass, classify, fence_of, incompatible_findings
from zsync.tables import PLAN
from zsync.words import Kind

V2 = {
    "zarr_format": 2, "shape": [10, 8], "chunks": [5, 4], "dtype": "<f4", "order": "C", "fill_value": "NaN",
    "filters": None, "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
}  # fmt: skip
V3 = {
    "zarr_format": 3, "node_type": "array", "shape": [10, 8], "data_type": "float32", "fill_value": 0.0,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [5, 4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [
        {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 0}},
    ],
    "attributes": {},
}  # fmt: skip
CLASSES = {ChangeClass.APPEND: "longer", ChangeClass.SHRINK: "shorter", ChangeClass.RESIZE: "both"}


def v2_documents(document, attributes=None):
    return {"t/.zarray": document, **({"t/.zattrs": attributes} if attributes is not None else {})}


def v3_documents(document, attributes=None):
    return {"t/zarr.json": {**document, "attributes": attributes or {}}}


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "<f8"}, {"chunks": [5, 8]}, {"order": "F"}, {"fill_value": 0}, {"dimension_separator": "/"},
        {"filters": [{"id": "delta", "dtype": "<f4"}]}, {"compressor": {"id": "zstd"}}, {"compressor": None},
    ],
)  # fmt: skip
def test_what_decides_how_v2_chunks_decode(change):
    old = meaning_of(v2_documents(V2), "t")
    new = meaning_of(v2_documents({**V2, **change}), "t")
    assert old.difference(new) is not None
    assert old.difference(old) is None


@pytest.mark.parametrize(
    "change",
    [
        {"data_type": "float64"},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [5, 8]}}},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}},
        {"fill_value": 1.0},
        {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}, V3["codecs"][1]]},
        {"codecs": V3["codecs"][:1]},
    ],
)
def test_what_decides_how_v3_chunks_decode(change):
    old = meaning_of(v3_documents(V3), "t")
    new = meaning_of(v3_documents({**V3, **change}), "t")
    assert old.difference(new) is not None


@pytest.mark.parametrize(
    ("documents", "base", "change"),
    [
        (v2_documents, V2, {"compressor": {**V2["compressor"], "clevel": 9, "shuffle": 2}}),
        (v2_documents, V2, {"shape": [20, 8]}),
        (v2_documents, V2, {"dimension_separator": "."}),
        (v3_documents, V3, {"codecs": [V3["codecs"][0], {"name": "zstd", "configuration": {"level": 9}}]}),
        (v3_documents, V3, {"storage_transformers": []}),
    ],
)
def test_what_does_not(documents, base, change):
    old, new = meaning_of(documents(base), "t"), meaning_of(documents({**base, **change}), "t")
    assert old.difference(new) is None


@pytest.mark.parametrize("documents", [v2_documents, v3_documents])
@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ({"scale_factor": 0.1}, {"scale_factor": 0.2}, True),
        ({"add_offset": 1}, {}, True),
        ({}, {"_FillValue": -999}, True),
        ({"units": "days since 2000-01-01"}, {"units": "days since 2001-01-01"}, True),
        ({"units": "days since 2000-01-01", "calendar": "noleap"}, {"units": "days since 2000-01-01"}, True),
        ({"units": "days since 2000-01-01", "calendar": "standard"}, {"units": "days since 2000-01-01"}, False),
        ({"units": "K"}, {"units": "degC"}, False),
        ({"long_name": "a"}, {"long_name": "b"}, False),
    ],
)
def test_packing_decides_too(documents, before, after, differs):
    base = V2 if documents is v2_documents else V3
    old, new = meaning_of(documents(base, before), "t"), meaning_of(documents(base, after), "t")
    assert (old.difference(new) is not None) == differs


def layout_of(documents):
    raw = {key: json.dumps(document).encode() for key, document in documents.items()}
    return describe(Kind.ZARR, "p", list(raw), raw).stores


def plan_rows(*rows):
    return pa.Table.from_pylist(
        [
            {"product": "p", "store": "", "array": "t", "role": "chunk", "stage": "data", "etag": None, **row}
            for row in rows
        ],
        schema=PLAN,
    )


shapes = st.tuples(st.integers(1, 30), st.integers(1, 30))


@given(old=shapes, new=shapes, zarr_format=st.sampled_from([2, 3]))
def test_resizes_are_told_by_their_shapes(old, new, zarr_format):
    documents, base = (v2_documents, V2) if zarr_format == 2 else (v3_documents, V3)
    group = (
        {".zgroup": {"zarr_format": 2}} if zarr_format == 2 else {"zarr.json": {"zarr_format": 3, "node_type": "group"}}
    )
    published = {"": documents({**base, "shape": list(old)})}
    stores = layout_of({**group, **documents({**base, "shape": list(new)})})
    [change] = classify("p", plan_rows(), stores, published)
    shorter, longer = any(map(int.__lt__, new, old)), any(map(int.__gt__, new, old))
    said = "both" if shorter and longer else "shorter" if shorter else "longer" if longer else None
    assert CLASSES.get(change.kind) == said
    assert change.needs_fence == shorter
    assert change.common_shape == tuple(map(min, old, new))
    # The fence shows the common extent in every document that shows the array, and in no other.
    seen = {**group, **published[""]}
    writes = fence_of([change], {"": seen})
    assert bool(writes) == shorter
    assert all(json.loads(write.content)["shape"] == list(change.common_shape) for write in writes if write.rank == 0)


def test_new_removed_updated_and_unchanged_arrays():
    group = {".zgroup": {"zarr_format": 2}}
    stores = layout_of({**group, **v2_documents(V2), "new/.zarray": V2})
    send = {"action": "send", "reason": "changed", "etag": "x"}
    rows = plan_rows(
        {"key": "t/0.0", **send},
        {"key": "t/1.1", **send},
        {"key": "gone/0.0", "array": "gone", "action": "retire", "etag": "x"},
        {"key": "new/0.0", "array": "new", "action": "send"},
    )
    changes = {change.array: change for change in classify("p", rows, stores, {"": {**group, **v2_documents(V2)}})}
    assert {name: change.kind for name, change in changes.items()} == {
        "t": ChangeClass.UPDATE, "new": ChangeClass.NEW, "gone": ChangeClass.REMOVED,
    }  # fmt: skip
    assert changes["t"].inside == 2


def test_a_chunk_beyond_the_old_extent_is_not_inside_it():
    stores = layout_of({".zgroup": {"zarr_format": 2}, **v2_documents({**V2, "shape": [20, 8]})})
    rows = plan_rows({"key": "t/1.0", "action": "send", "etag": "x"}, {"key": "t/2.0", "action": "send"})
    [change] = classify("p", rows, stores, {"": v2_documents(V2)})
    assert (change.kind, change.inside) == (ChangeClass.UPDATE, 1)


def test_an_incompatible_change_names_property_and_values_and_advises():
    stores = layout_of({".zgroup": {"zarr_format": 2}, "time/.zarray": {**V2, "shape": [12], "chunks": [12]}})
    changes = classify("p", plan_rows(), stores, {"": {"time/.zarray": {**V2, "shape": [10], "chunks": [10]}}})
    [finding] = incompatible_findings(changes, replaces=False)
    assert finding.level == "error"
    assert finding.key == "time"
    for part in ("chunk shape", "[10]", "[12]", "fixed chunk length", '"time"'):
        assert part in finding.message


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_consolidated_metadata_with_other_shapes_differs_in_nothing_else(zarr_format):
    if zarr_format == 2:
        document = {
            "zarr_consolidated_format": 1,
            "metadata": {".zgroup": {"zarr_format": 2}, "t/.zarray": V2, "u/.zarray": V2},
        }
    else:
        inner = {"t": V3, "u": V3}
        document = {
            "zarr_format": 3,
            "node_type": "group",
            "consolidated_metadata": {"kind": "inline", "metadata": inner},
        }
    changed = json.loads(with_shapes(document, {"t": (3, 2)}))
    key = "t/.zarray" if zarr_format == 2 else "t/zarr.json"
    assert members_of(changed)[key]["shape"] == [3, 2]
    assert members_of(document)[key]["shape"] == [10, 8]
    members_of(changed)[key]["shape"] = [10, 8]
    assert changed == document
    assert with_shapes(document, {"absent": (1, 1)}) is None
