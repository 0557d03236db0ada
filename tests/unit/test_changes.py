"""Change classes and the fence: pure functions over metadata documents."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsync.layout import describe, meaning_of, members_of, with_shapes
from zsync.planning import (
    ArrayChange,
    BoundaryChunk,
    ChangeClass,
    boundary,
    classify,
    fence_of,
    incompatible_findings,
    removed_groups,
    summed_up,
)
from zsync.planning.incompatible import _fitting
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


def test_only_chunks_that_are_sent_across_the_edge_have_values_to_be_compared():
    group = {".zgroup": {"zarr_format": 2}}
    documents = {**v2_documents({**V2, "shape": [12, 8]}), "same/.zarray": V2, "other/.zarray": {**V2, "dtype": "<f8"}}
    stores = layout_of({**group, **documents})
    published = {**group, **v2_documents({**V2, "shape": [9, 8]}), "same/.zarray": V2, "other/.zarray": V2}
    sent = {"action": "send", "etag": "x"}
    rows = plan_rows(
        {"key": "t/1.0", **sent}, {"key": "t/1.1", **sent, "etag": None}, {"key": "t/2.0", **sent},
        {"key": "t/0.0", **sent}, {"key": "t/.zarray", "role": "metadata", **sent}, {"key": "t/9.9", **sent},
        {"key": "t/notes", **sent}, {"key": "same/1.0", "array": "same", **sent},
        {"key": "other/1.0", "array": "other", **sent},
    )  # fmt: skip
    changes = classify("p", rows, stores, {"": published})
    assert {change.array: change.inside for change in changes} == {"t": 3, "same": 1, "other": 1}
    assert boundary(rows, stores, changes) == [
        BoundaryChunk("", "t", "t/1.0", (5, 4), (4, 4), is_new=False),
        BoundaryChunk("", "t", "t/1.1", (5, 4), (4, 4), is_new=True),
    ]
    gone = plan_rows({"key": "t/1.0", "action": "retire", "etag": "x"})
    assert boundary(gone, stores, classify("p", gone, stores, {"": published})) == []
    told = classify("p", rows, stores, {"": published}, {"t/1.0", "t/1.1", "t/0.0"})
    assert next((change.kind, change.inside) for change in told if change.array == "t") == (ChangeClass.APPEND, 0)


def test_an_edge_that_runs_between_chunks_has_no_chunk_to_be_compared():
    documents = v2_documents({**V2, "shape": [15, 8]})
    stores = layout_of({".zgroup": {"zarr_format": 2}, **documents})
    rows = plan_rows({"key": "t/0.0", "action": "send", "etag": "x"}, {"key": "t/2.0", "action": "send"})
    [change] = classify("p", rows, stores, {"": v2_documents(V2)})
    assert (change.kind, change.inside) == (ChangeClass.UPDATE, 1)
    assert boundary(rows, stores, [change]) == []


@pytest.mark.parametrize("prefix", ["", "a.zarr"])
def test_a_store_that_is_itself_an_array_changes_like_any_other(prefix):
    key = f"{prefix}/" if prefix else ""
    stores = layout_of({f"{key}.zarray": {**V2, "shape": [12, 8]}})
    rows = plan_rows(
        *(
            {"key": f"{key}{name}", "store": prefix, "array": "", "action": "send", "etag": "x"}
            for name in ("0.0", "1.0")
        )
    )
    changes = classify("p", rows, stores, {prefix: {".zarray": {**V2, "shape": [9, 8]}}})
    assert [(change.name, change.kind, change.inside) for change in changes] == [
        (f"p/{prefix}".strip("/"), ChangeClass.UPDATE, 2)
    ]
    assert [chunk.key for chunk in boundary(rows, stores, changes)] == [f"{key}1.0"]


def test_where_no_metadata_of_a_store_changes_what_is_published_is_what_the_source_has():
    stores = layout_of({".zgroup": {"zarr_format": 2}, **v2_documents(V2), "u/.zarray": V2})
    rows = plan_rows({"key": "t/0.0", "action": "send", "etag": "x"})
    changes = {change.array: change for change in classify("p", rows, stores, {})}
    assert {name: (change.kind, change.inside) for name, change in changes.items()} == {
        "t": (ChangeClass.UPDATE, 1), "u": (ChangeClass.UNCHANGED, 0),
    }  # fmt: skip
    rows = plan_rows({"key": "t/.zarray", "role": "metadata", "action": "send"})
    assert [change.kind for change in classify("p", rows, stores, {})] == [ChangeClass.NEW, ChangeClass.UNCHANGED]


def both_formats(shape_v2, shape_v3):
    keys = {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}}
    codecs = {"codecs": [V3["codecs"][0]]}
    v3 = {**V3, **keys, **codecs, "shape": shape_v3, "fill_value": 1.0}
    return {"t/.zarray": {**V2, "compressor": None, "shape": shape_v2}, "t/zarr.json": v3}


def test_a_node_of_two_formats_is_compared_in_one_that_both_sides_have():
    """As `zarr migrate v3` leaves it: what readers of v2 saw they see still; appended to is what v3 says."""
    source = both_formats([10, 8], [20, 8])
    stores = layout_of({".zgroup": {"zarr_format": 2}, **source})
    for published, kind in (
        ({"t/.zarray": source["t/.zarray"]}, ChangeClass.UNCHANGED),
        ({"t/zarr.json": source["t/zarr.json"]}, ChangeClass.UNCHANGED),
        (both_formats([10, 8], [10, 8]), ChangeClass.APPEND),
    ):
        [change] = classify("p", plan_rows(), stores, {"": published})
        assert change.kind == kind, published


def test_arrays_and_groups_that_stay_in_the_target_are_not_removed():
    group = {".zgroup": {"zarr_format": 2}}
    stores = layout_of({**group, **v2_documents(V2)})
    published = {"": {**group, **v2_documents(V2), "g/.zgroup": group[".zgroup"], "g/u/.zarray": V2}}
    keys = ("g/.zgroup", "g/u/.zarray")
    usual = {"array": None, "role": "metadata", "etag": "x"}
    for reason, action in (("retire: keep", "keep"), ("not selected", "keep"), ("gone from the source", "retire")):
        rows = plan_rows(*({**usual, "key": key, "action": action, "reason": reason} for key in keys))
        goes = action == "retire"
        changes = classify("p", rows, stores, published)
        assert [change.array for change in changes if change.kind == ChangeClass.REMOVED] == ["g/u"] * goes
        assert removed_groups(rows, stores, published) == {"": {"g"} if goes else set()}


def test_a_fence_leaves_out_what_goes_and_is_written_once():
    """Deepest first, like every group stage; who opens a group that goes by itself sees it whole."""

    def consolidated(**nodes):
        return {"zarr_consolidated_format": 1, "metadata": nodes}

    long, group = {**V2, "shape": [10, 8]}, {"zarr_format": 2}
    inner = {"u/.zarray": long, "gone/.zgroup": group}
    published = {
        "g/u/.zarray": long, "g/.zmetadata": consolidated(**inner), "g/gone/.zmetadata": consolidated(),
        "other/.zmetadata": consolidated(), "t/.zarray": {**V2, "shape": [4, 8]},
        ".zmetadata": consolidated(**{f"g/{key}": document for key, document in inner.items()}),
    }  # fmt: skip
    changes = [
        ArrayChange("p", "s", "g/u", ChangeClass.SHRINK, 0, (10, 8), (4, 8)),
        ArrayChange("p", "s", "t", ChangeClass.SHRINK, 0, (4, 8), (4, 8)),  # as a run that was cut off left it
    ]
    writes = fence_of(changes, {"s": published}, {"s": {"g/gone"}})
    assert [(write.key, write.rank) for write in sorted(writes, key=lambda write: write.rank)] == [
        ("s/g/u/.zarray", 0), ("s/g/.zmetadata", 999), ("s/.zmetadata", 1000),
    ]  # fmt: skip
    shown = {write.key.removeprefix("s/"): json.loads(write.content) for write in writes}
    short = {**V2, "shape": [4, 8]}
    assert shown["g/u/.zarray"] == short
    assert shown["g/.zmetadata"]["metadata"] == {"u/.zarray": short}
    assert shown[".zmetadata"]["metadata"] == {"g/u/.zarray": short}
    assert fence_of(changes, {"s": published | shown}, {"s": {"g/gone"}}) == []
    assert fence_of([*changes[1:], ArrayChange("p", "r", "u", ChangeClass.REMOVED)], {"r": published}) == []


def test_of_chunks_whose_place_is_not_known_all_may_be_inside():
    unknown = {**V3, "chunk_key_encoding": {"name": "suffix", "configuration": {"suffix": ".bin"}}}
    stores = layout_of({"zarr.json": {"zarr_format": 3, "node_type": "group"}, **v3_documents(unknown)})
    rows = plan_rows({"key": "t/c/9/9.bin", "action": "send", "etag": "x"})
    [change] = classify("p", rows, stores, {"": v3_documents({**unknown, "shape": [4, 8]})})
    assert (change.kind, change.inside) == (ChangeClass.UPDATE, 1)
    assert boundary(rows, stores, [change]) == []


def test_an_incompatible_change_names_property_and_values_and_advises():
    stores = layout_of({".zgroup": {"zarr_format": 2}, "time/.zarray": {**V2, "shape": [12], "chunks": [12]}})
    changes = classify("p", plan_rows(), stores, {"": {"time/.zarray": {**V2, "shape": [10], "chunks": [10]}}})
    [finding] = incompatible_findings(changes, replaces=False)
    assert finding.level == "error"
    assert finding.key == "time"
    for part in ("chunk shape", "[10]", "[12]", "fixed chunk length", "chunks=(4000,)", "on_incompatible: replace"):
        assert part in finding.message


@pytest.mark.parametrize(
    ("path", "attributes", "shape", "advised"),
    [
        ("time", {"_ARRAY_DIMENSIONS": ["time"]}, [12], "A coordinate in a single chunk changes"),
        ("time", {"_ARRAY_DIMENSIONS": ["time"]}, [12], 'encoding={"time": {"chunks": (4000,)}}'),
        ("t2m", {"_ARRAY_DIMENSIONS": ["time", "x"]}, [5000, 8], 'encoding={"t2m": {"chunks": (8000, 8)}}'),
        ("X/data", {"encoding-type": "array"}, [12], "for instance chunks=(4000,);"),  # AnnData
        ("", {"_ARRAY_DIMENSIONS": ["time"]}, [12], "for instance chunks=(4000,);"),
        ("", None, [12, 8], "for instance chunks=(4000, 8);"),
    ],
)
def test_advice_fits_who_wrote_the_array(path, attributes, shape, advised):
    def documents(shape):
        given = {".zgroup": {"zarr_format": 2}} if path else {}
        key = f"{path}/" if path else ""
        given[f"{key}.zarray"] = {**V2, "shape": shape, "chunks": shape}
        return given | ({f"{key}.zattrs": attributes} if attributes else {})

    changes = classify("p", plan_rows(), layout_of(documents(shape)), {"": documents([10, *shape[1:]])})
    [finding] = incompatible_findings(changes, replaces=False)
    assert advised in finding.message
    assert '""' not in finding.message
    assert "on_incompatible: replace" in finding.message


def test_all_incompatible_arrays_are_named_in_one_line():
    names = [f"variable_number_{n:02d}" for n in range(60)]
    group = {".zgroup": {"zarr_format": 2}}
    old = group | {f"{name}/.zarray": V2 for name in names}
    new = group | {f"{name}/.zarray": {**V2, "dtype": "<f8"} for name in names}
    findings = incompatible_findings(classify("p", plan_rows(), layout_of(new), {"": old}), replaces=False)
    assert [finding.key for finding in findings] == names
    told = summed_up(findings).message
    assert told.startswith("60 incompatible changes of published arrays: variable_number_00, variable_number_01, ")
    assert "variable_number_19 and 40 more. The first: data type was '<f4' and is now '<f8'" in told
    assert summed_up(findings[:1]) == findings[0]
    assert _fitting(["longer than fits", "b"], 4) == "longer than fits and 1 more"
    three = summed_up(findings[:3]).message
    assert all(name in three for name in names[:3])
    assert "more" not in three.partition("The first")[0]


def test_a_store_of_another_format_is_told_as_such_before_all_else():
    names = ["t2m", "time", "x"]
    old = {".zgroup": {"zarr_format": 2}, **{f"{name}/.zarray": V2 for name in names}}
    new = {"zarr.json": {"zarr_format": 3, "node_type": "group"}, **{f"{name}/zarr.json": V3 for name in names}}
    changes = classify("p", plan_rows(), layout_of(new), {"": old})
    [finding] = incompatible_findings(changes, replaces=False)
    assert finding.key == ""
    assert finding.message.startswith(
        "the published store is Zarr v2, and the source is Zarr v3: none of t2m, time, x "
    )


def test_what_is_to_be_replaced_is_a_warning():
    documents = [{".zgroup": {"zarr_format": 2}, **v2_documents({**V2, "dtype": dtype})} for dtype in ("<f4", "<f8")]
    changes = classify("p", plan_rows(), layout_of(documents[1]), {"": documents[0]})
    migrated = classify("p", plan_rows(), layout_of({"zarr.json": V3}), {"": {".zarray": V2}})
    for found, key in ((changes, "t"), (migrated, "")):
        [refused] = incompatible_findings(found, replaces=False)
        [told] = incompatible_findings(found, replaces=True)
        assert [(finding.level, finding.key) for finding in (refused, told)] == [("error", key), ("warning", key)]
        assert told.message.endswith("; it is replaced, and until that is done readers do not find the store")
        assert "none of" not in told.message, "a store that is itself an array has no others to be named"


def test_a_list_of_chunks_that_goes_on_is_an_append():
    def document(shape, *edges):
        grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [list(edges), 4]}}
        return v3_documents({**V3, "shape": [shape, 8], "chunk_grid": grid})

    group = {"zarr.json": {"zarr_format": 3, "node_type": "group"}}
    old, new = document(13, 5, 5, 3), document(20, 5, 5, 3, 7)
    rows = plan_rows({"key": "t/c/3/0", "action": "send"}, {"key": "t/zarr.json", "action": "send", "etag": "x"})
    [change] = classify("p", rows, layout_of(group | new), {"": old})
    assert (change.kind, change.inside) == (ChangeClass.APPEND, 0)
    [back] = classify("p", plan_rows(), layout_of(group | old), {"": new})
    assert back.kind == ChangeClass.SHRINK
    rows = plan_rows({"key": "t/c/2/0", "action": "send", "etag": "x"})
    [other] = classify("p", rows, layout_of(group | document(15, 5, 5, 5)), {"": old})
    assert other.kind == ChangeClass.INCOMPATIBLE


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
