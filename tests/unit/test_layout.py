"""What each key is, over a table of layouts."""

from __future__ import annotations

import json

import pytest
from layout_strategies import GROUP, ZGROUP, files, zarr_json, zarray

from zsync.config import Location, ResolvedProduct
from zsync.layout import Array, Grid, KeyEncoding, describe, is_metadata, key_findings, unfit_name
from zsync.layout.checks import in_order
from zsync.layout.codecs import unsafe_codec
from zsync.steps.inspect import kind_of
from zsync.tables import OBJECTS
from zsync.words import Finding, Kind


def look(objects, sizes=None, kind=Kind.ZARR):
    objects = files(objects)
    documents = {k: v for k, v in objects.items() if is_metadata(kind, k)}
    return describe(kind, "p", list(objects), documents, sizes)


def rows(layout):
    return {row["key"]: row for row in layout.objects.to_pylist()}


def said(layout, *levels):
    return [(f.code, f.key) for f in layout.findings if not levels or f.level in levels]


def only(layout, code):
    """Return the one finding of a layout."""
    assert [f.code for f in layout.findings] == [code], layout.findings
    assert layout.findings[0].product == "p"
    assert "\n" not in layout.findings[0].message
    return layout.findings[0]


def place(row):
    return row["store"], row["array"], row["role"], row["stage"], row["rank"], row["in_grid"]


V2 = {
    ".zattrs": {},
    ".zgroup": ZGROUP,
    ".zmetadata": {},
    "t/.zarray": zarray(),
    "t/.zattrs": {},
    "t/0": b"x",
    "t/1": b"x",
    "g/.zgroup": ZGROUP,
    "g/.zattrs": {},
    "g/.zmetadata": {},
    "g/h/.zgroup": ZGROUP,
    "g/h/s/.zarray": zarray((), ()),
    "g/h/s/0": b"x",
}
V3 = {
    "zarr.json": GROUP,
    "t/zarr.json": zarr_json(),
    "t/c/0": b"x",
    "t/c/1": b"x",
    "g/zarr.json": GROUP,
    "g/h/zarr.json": GROUP,
    "g/h/s/zarr.json": zarr_json((), ()),
    "g/h/s/c": b"x",
}
CHUNK = ("chunk", "data", 0, True)


UNEQUAL = {"name": "rectilinear"}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            V2,
            {
                ".zattrs": (None, "metadata", "root", 0, None),
                ".zgroup": (None, "metadata", "root", 1, None),
                ".zmetadata": (None, "consolidated", "root", 2, None),
                "t/.zarray": ("t", "metadata", "array", 1, None),
                "t/.zattrs": ("t", "metadata", "array", 0, None),
                "t/0": ("t", *CHUNK),
                "t/1": ("t", *CHUNK),
                "g/.zattrs": (None, "metadata", "group", -4, None),
                "g/.zgroup": (None, "metadata", "group", -3, None),
                "g/.zmetadata": (None, "consolidated", "group", -2, None),
                "g/h/.zgroup": (None, "metadata", "group", -7, None),
                "g/h/s/.zarray": ("g/h/s", "metadata", "array", 1, None),
                "g/h/s/0": ("g/h/s", *CHUNK),
            },
            id="v2",
        ),
        pytest.param(
            V3,
            {
                "zarr.json": (None, "metadata", "root", 2, None),
                "t/zarr.json": ("t", "metadata", "array", 1, None),
                "t/c/0": ("t", *CHUNK),
                "t/c/1": ("t", *CHUNK),
                "g/zarr.json": (None, "metadata", "group", -2, None),
                "g/h/zarr.json": (None, "metadata", "group", -6, None),
                "g/h/s/zarr.json": ("g/h/s", "metadata", "array", 1, None),
                "g/h/s/c": ("g/h/s", *CHUNK),
            },
            id="v3",
        ),
        pytest.param(
            {".zattrs": {}, ".zarray": zarray(), "0": b"x"},
            {
                ".zattrs": ("", "metadata", "root", 0, None),
                ".zarray": ("", "metadata", "root", 2, None),
                "0": ("", *CHUNK),
            },
            id="v2 array",
        ),
        pytest.param(
            {"zarr.json": zarr_json(), "c/1": b"x"},
            {"zarr.json": ("", "metadata", "root", 2, None), "c/1": ("", *CHUNK)},
            id="v3 array",
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "mission/site.zarr"])
def test_places(objects, expected, prefix):
    start = f"{prefix}/" if prefix else ""
    layout = look({start + key: content for key, content in objects.items()})
    assert layout.objects.schema == OBJECTS
    assert {k: place(r) for k, r in rows(layout).items()} == {start + k: (prefix, *v) for k, v in expected.items()}
    assert list(layout.stores) == [prefix]
    assert layout.findings == ()


def test_store():
    store = look({f"m/s.zarr/{k}": v for k, v in V2.items()}).stores["m/s.zarr"]
    grid = Grid((4,), (2,), KeyEncoding("v2", "."))
    assert store.prefix == "m/s.zarr"
    assert store.zarr_format == 2
    assert store.groups == ("", "g", "g/h")
    assert store.arrays["t"] == Array("t", 2, (4,), grid)
    assert set(store.arrays) == {"t", "g/h/s"}
    assert store.documents["g/h/s/.zarray"] == zarray((), ())
    assert set(store.documents) == {k for k in V2 if is_metadata(Kind.ZARR, k)}


def test_sharded_array_has_the_grid_of_its_shards():
    sharding = {"name": "sharding_indexed", "configuration": {"chunk_shape": [1], "codecs": [{"name": "bytes"}]}}
    layout = look({"zarr.json": zarr_json((6,), (4,), codecs=[sharding]), "c/0": b"x", "c/1": b"x", "c/2": b"x"})
    assert layout.stores[""].arrays[""].grid.size == 2
    assert only(layout, "outside-grid").key == "c/2"


@pytest.mark.parametrize(
    ("encoding", "keys"),
    [
        ("default", ["c/0/1"]),
        ({"name": "default"}, ["c/0/1"]),
        ({"name": "default", "configuration": {"separator": "."}}, ["c.0.1"]),
        ("v2", ["0.1"]),
        ({"name": "v2", "configuration": {}}, ["0.1"]),
        ({"name": "v2", "configuration": {"separator": "/"}}, ["0/1"]),
    ],
)
def test_key_encodings_of_v3(encoding, keys):
    layout = look(
        {"a/zarr.json": zarr_json((4, 4), (2, 2), chunk_key_encoding=encoding)} | {f"a/{k}": b"x" for k in keys}
    )
    assert [rows(layout)[f"a/{k}"]["in_grid"] for k in keys] == [True] * len(keys)
    assert layout.findings == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"chunk_grid": {"name": "rectilinear", "configuration": {"kind": "elsewhere", "chunk_shapes": [[1, 3]]}}},
        {"chunk_key_encoding": {"name": "suffix", "configuration": {"suffix": ".bin"}}},
        {"storage_transformers": [{"name": "elsewhere"}]},
    ],
)
def test_unknown_grids_are_not_accounted(changes):
    layout = look({"zarr.json": GROUP, "a/zarr.json": zarr_json(**changes), "a/c/9.bin": b"x", "a/notes.txt": b"x"})
    finding = only(layout, "unaccounted-grid")
    assert (finding.level, finding.key) == ("info", "a/zarr.json")
    assert layout.stores[""].arrays["a"].grid is None
    assert {place(rows(layout)[k]) for k in ("a/c/9.bin", "a/notes.txt")} == {("", "a", "chunk", "data", 0, None)}


def test_chunks_of_unequal_length_are_counted():
    grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[[5, 2], 3, 9], 4]}}
    array = {"zarr.json": GROUP, "a/zarr.json": zarr_json((13, 8), chunk_grid=grid)}
    layout = look(array | dict.fromkeys(("a/c/0/0", "a/c/2/1", "a/c/3/0"), b"x"))
    assert layout.stores[""].arrays["a"].grid.extent == (3, 2)  # the fourth row of chunks holds no cell
    assert [rows(layout)[key]["in_grid"] for key in ("a/c/0/0", "a/c/2/1", "a/c/3/0")] == [True, True, False]
    assert only(layout, "outside-grid").key == "a/c/3/0"


def test_many_stores():
    objects = {f"{site}/{k}": v for site in ("m/one.zarr", "m/two.zarr") for k, v in V3.items()}
    layout = look(objects | {"m/README": b"x"})
    assert list(layout.stores) == ["m/one.zarr", "m/two.zarr"]
    assert place(rows(layout)["m/README"]) == (None, None, "foreign", "data", 0, None)
    assert place(rows(layout)["m/two.zarr/g/h/s/c"]) == ("m/two.zarr", "g/h/s", *CHUNK)
    assert (only(layout, "foreign").level, only(layout, "foreign").key) == ("warning", "m/README")


def test_names_that_only_begin_alike_are_apart():
    layout = look({"a/.zarray": zarray(), "a/0": b"x", "ab/.zarray": zarray(), "ab/1": b"x", "a.b/0": b"x"})
    assert [rows(layout)[k]["store"] for k in ("a/0", "ab/1", "a.b/0")] == ["a", "ab", None]


def test_order_of_keys_is_kept():
    keys = list(V3)[::-1]
    documents = {k: v for k, v in files(V3).items() if is_metadata(Kind.ZARR, k)}
    assert describe(Kind.ZARR, "p", keys, documents).objects["key"].to_pylist() == keys


def test_nothing():
    layout = look({})
    assert layout.objects.num_rows == 0
    assert layout.objects.schema == OBJECTS
    assert layout.findings == ()


def test_no_store():
    layout = look({"b/x.tif": b"x", "a/y.tif": b"x"})
    assert said(layout, "error") == [("no-store", "a/y.tif")]
    assert said(layout, "warning") == []


# Metadata that does not do


def sharded(chunks):
    return [{"name": "sharding_indexed", "configuration": {"chunk_shape": chunks, "codecs": ["bytes"]}}]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        (".zgroup", b'\xef\xbb\xbf{"zarr_format": 2}'),
        (".zgroup", b'{"zarr_format": 2, "zarr_format": 2}'),
        (".zattrs", b'{"a": {"b": [{"c": 1, "c": 2}]}}'),
        ("zarr.json", b'{"zarr_format": 3, "node_type": "group", "attributes": {"a": 1, "a": 2}}'),
        (".zarray", zarray(dtype=[["a", "<i4"]], filters=[], order="F")),
        ("zarr.json", zarr_json(attributes=None, dimension_names=[None])),
        ("zarr.json", zarr_json(codecs=["numcodecs.fixedscaleoffset", "bytes", "numcodecs.zlib"])),
        ("zarr.json", zarr_json(codecs=["my.codec"])),
        ("zarr.json", zarr_json((0,), (0,), codecs=sharded([0]))),
        # A shard of [2, 6], turned, is one of [6, 2].
        (
            "zarr.json",
            zarr_json(
                (2, 6), (2, 6), codecs=[{"name": "transpose", "configuration": {"order": [1, 0]}}, *sharded([6, 1])]
            ),
        ),
    ],
)
def test_metadata_that_some_reader_opens_is_none_of_our_business(key, content):
    beside = {".zgroup": ZGROUP} if key == ".zattrs" else {}
    assert not said(look(beside | {key: content}), "error")


@pytest.mark.parametrize(
    ("key", "content", "what"),
    [
        (".zgroup", b"", "is empty"),
        (".zgroup", b'{"zarr_format": 2', "is not JSON"),
        (".zgroup", b"[2]", "is not a JSON object"),
        (".zgroup", b"\xff\xfe\x00", "is not JSON"),
        (".zgroup", b"[" * 100_000, "is not JSON"),
        (".zgroup", {"zarr_format": 3}, "zarr_format 3 in place of 2"),
        (".zgroup", {"zarr_format": True}, "zarr_format True"),
        (".zgroup", {}, "zarr_format None"),
        (".zarray", {"zarr_format": 2, "shape": [1]}, "lacks chunks, dtype"),
        (".zarray", zarray(zarr_format=3), "zarr_format 3"),
        (".zarray", zarray() | {"shape": "ab"}, "has a shape that is not a list of whole numbers"),
        (".zarray", zarray() | {"shape": [4.0]}, "has a shape that is not"),
        (".zarray", zarray() | {"shape": [True]}, "has a shape that is not"),
        (".zarray", zarray() | {"shape": [-1]}, "has a shape that is not"),
        (".zarray", zarray() | {"chunks": 2}, "has a chunks that is not"),
        (".zarray", zarray((4, 4), (2,)), "2 dimensions in shape and 1 in chunks"),
        (".zarray", zarray((4,), (0,)), "has a zero in chunks"),
        (".zarray", zarray(dimension_separator=["/"]), "has dimension_separator ['/']"),
        (".zattrs", b"null", "is not a JSON object"),
        (".zmetadata", b"", "is empty"),
        ("zarr.json", {"zarr_format": 3, "node_type": "leaf"}, "node_type 'leaf' in place of 'array' or 'group'"),
        ("zarr.json", {"zarr_format": 3}, "node_type None"),
        ("zarr.json", {"zarr_format": 2, "node_type": "group"}, "zarr_format 2 in place of 3"),
        ("zarr.json", {"zarr_format": 3, "node_type": "array"}, "lacks shape, data_type, chunk_grid"),
        ("zarr.json", zarr_json((4, 4), (2,)), "2 dimensions in shape and 1 in chunk_shape"),
        ("zarr.json", zarr_json((4,), (0,)), "has a zero in chunk_shape"),
        ("zarr.json", zarr_json(chunk_grid={"name": "regular"}), "has a chunk_shape that is not"),
        ("zarr.json", zarr_json(chunk_grid=7), "has a chunk_grid that is neither"),
        ("zarr.json", zarr_json(chunk_grid={"name": "new"}) | {"shape": 4}, "has a shape that is not"),
        ("zarr.json", zarr_json(chunk_key_encoding={"configuration": {}}), "has a chunk_key_encoding that is neither"),
        (
            "zarr.json",
            zarr_json(chunk_key_encoding={"name": "v2", "configuration": {"separator": "-"}}),
            "separator '-'",
        ),
        ("zarr.json", zarr_json(chunk_grid=UNEQUAL | {"configuration": {"chunk_shapes": [[1, 2]]}}), "end before"),
        ("zarr.json", zarr_json(chunk_grid=UNEQUAL | {"configuration": {"chunk_shapes": [4, 4]}}), "2 in chunk_shapes"),
        ("zarr.json", zarr_json(codecs={"name": "bytes"}), "has codecs that are not"),
        ("zarr.json", zarr_json(codecs=[3]), "has codecs that are not"),
        # What no reader opens, although it says which chunks there are
        (".zgroup", '{"zarr_format": 2}'.encode("utf-16"), "no text in UTF-8"),
        (".zgroup", b'{"zarr_format": 3, "zarr_format": 2}', "says 'zarr_format' twice, and not the same"),
        (
            "zarr.json",
            json.dumps(zarr_json((4,), (2,))).replace('"chunk_shape"', '"chunk_shape": [1], "chunk_shape"').encode(),
            "says 'chunk_shape' twice",
        ),
        (".zarray", zarray(dtype=4), "has a dtype that is neither"),
        (".zarray", zarray(order="A"), "has order 'A'"),
        (".zarray", zarray(compressor="zlib"), "has a compressor that is no object"),
        (".zarray", zarray(filters=[{"delta": 1}]), "has filters that are not"),
        ("zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": [1]}, "has attributes that are not"),
        ("zarr.json", zarr_json(dimension_names="x"), "has dimension_names that are not"),
        ("zarr.json", zarr_json(dimension_names=["x", None]), "has 2 dimension_names for 1 dimensions"),
        ("zarr.json", zarr_json(codecs=["transpose", "gzip"]), "codecs of which none make bytes"),
        ("zarr.json", zarr_json(codecs=["bytes", "vlen-utf8"]), "codecs of which bytes and vlen-utf8 make bytes"),
        ("zarr.json", zarr_json((4,), (4,), codecs=sharded([3])), "has shards of [4] that chunks of [3] do not fill"),
        ("zarr.json", zarr_json((4,), (4,), codecs=sharded([2, 2])), "has shards of [4] that chunks of [2, 2] do not"),
        ("zarr.json", zarr_json((4,), (4,), codecs=sharded(2)), "has a chunk_shape in its shards that is not a list"),
        (
            "zarr.json",
            zarr_json((4,), (4,), codecs=sharded([-2])),
            "has a chunk_shape in its shards that is not a list",
        ),
        ("zarr.json", zarr_json((4,), (4,), codecs=sharded([True])), "has a chunk_shape in its shards that is not"),
        ("zarr.json", zarr_json((4,), (4,), codecs=sharded([0])), "has shards of [4] that chunks of [0] do not fill"),
    ],
)
def test_bad_metadata(key, content, what):
    # Beside a .zattrs or .zmetadata a sound group, so that only one thing is wrong.
    beside = {".zgroup": ZGROUP} if key in {".zattrs", ".zmetadata"} else {}
    finding = only(look(beside | {key: content}), "bad-metadata")
    assert (finding.level, finding.key) == ("error", key)
    assert what in finding.message


@pytest.mark.parametrize(("levels", "is_fine"), [(498, True), (499, False)])
def test_metadata_may_be_five_hundred_levels_deep(levels, is_fine):
    nested = b'{"a":' * levels + b"[1]" + b"}" * levels
    found = look({".zgroup": ZGROUP, ".zattrs": b'{"b":' + nested + b"}"}).findings
    assert [finding.code for finding in found] == ([] if is_fine else ["bad-metadata"])


@pytest.mark.parametrize(("levels", "is_fine"), [(500, True), (501, False)])
def test_consolidated_metadata_holds_whatever_its_nodes_may_hold(levels, is_fine):
    """Around those it puts four levels of its own."""
    attributes = b'{"a":' * levels + b"1" + b"}" * levels
    node = b'{"zarr_format": 3, "node_type": "group", "attributes": %s}' % attributes
    inside = b'{"kind": "inline", "metadata": {"g": %s}}' % node
    root = b'{"zarr_format": 3, "node_type": "group", "consolidated_metadata": %s}' % inside
    assert [f.code for f in look({"zarr.json": root}).findings] == ([] if is_fine else ["bad-metadata"])
    listed = b'{"zarr_consolidated_format": 1, "metadata": {".zattrs": {"b": {"b": %s}}}}' % attributes
    assert [f.code for f in look({".zgroup": ZGROUP, ".zmetadata": listed}).findings] == (
        [] if is_fine else ["bad-metadata"]
    )


def test_every_form_of_a_codec_that_runs_what_it_decodes_is_seen():
    shard = {"name": "sharding_indexed", "configuration": {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle"}]}}
    for document in (
        {"codecs": [shard]}, {"codecs": ["bytes", "numcodecs.pickle"]}, {"filters": [{"id": "PICKLE"}]},
        {"compressor": {"id": "cloudpickle"}}, {"metadata": {"a/.zarray": {"filters": [{"id": "pickle"}]}}},
        {"consolidated_metadata": {"metadata": {"a": {"codecs": [shard]}}}},
    ):  # fmt: skip
        assert unsafe_codec(document) is not None, document
    for document in (
        {"filters": [{"id": "delta", "dtype": "<f4"}], "compressor": {"id": "blosc", "cname": "lz4"}},
        {"codecs": [{"name": "bytes"}, {"name": "zstd"}], "attributes": {"codecs": "pickle", "name": "pickle"}},
        {"metadata": {"a/.zattrs": {"filters": "pickle"}}}, {"name": "pickle", "note": {"id": "pickle"}},
        {"codecs": [{"name": "unpickled"}]},
    ):  # fmt: skip
        assert unsafe_codec(document) is None, document


def test_chunks_of_an_array_with_bad_metadata_are_still_chunks():
    layout = look({"zarr.json": GROUP, "a/zarr.json": b"{", "a/c/0": b"x"})
    assert place(rows(layout)["a/c/0"]) == ("", "a", "chunk", "data", 0, None)
    assert place(rows(layout)["a/zarr.json"]) == ("", "a", "metadata", "array", 1, None)
    assert said(layout) == [("bad-metadata", "a/zarr.json")]
    assert dict(layout.stores[""].arrays) == {}


def test_a_bad_document_with_nodes_below_it_is_a_groups():
    layout = look({"zarr.json": GROUP, "g/zarr.json": b"{", "g/a/zarr.json": zarr_json(), "g/a/c/0": b"x"})
    assert place(rows(layout)["g/zarr.json"]) == ("", None, "metadata", "group", -2, None)
    assert said(layout) == [("bad-metadata", "g/zarr.json")]


def test_codecs_that_a_writer_takes_for_granted_are_missed_by_some_readers():
    """As zarrita.js writes by default."""
    finding = only(look({"zarr.json": zarr_json(codecs=[]), "c/0": b"x"}), "incomplete-metadata")
    assert (finding.level, "lacks codecs" in finding.message) == ("warning", True)


@pytest.mark.parametrize("key", ["compressor", "fill_value", "order", "filters"])
def test_fields_that_some_readers_miss(key):
    document = zarray()
    del document[key]
    finding = only(look({".zarray": document, "0": b"x"}), "incomplete-metadata")
    assert finding.level == "warning"
    assert key in finding.message


def test_axes_without_length_may_have_chunks_without():
    layout = look({".zarray": zarray((0, 4), (0, 2))})
    assert layout.findings == ()
    assert layout.stores[""].arrays[""].grid.size == 0


# Structure


def test_two_formats_at_one_node():
    layout = look({".zgroup": ZGROUP, "zarr.json": GROUP})
    assert (only(layout, "two-formats").level, layout.stores[""].zarr_format) == ("info", 3)


V2_KEYS = {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}}


@pytest.mark.parametrize(
    ("document", "level"),
    [
        (zarr_json((4,), (2,), **V2_KEYS), None),
        (zarr_json((6,), (2,), **V2_KEYS), "warning"),  # appended to through v3
        (zarr_json((2,), (2,), **V2_KEYS), "error"),
        (zarr_json((4,), (4,), **V2_KEYS), "error"),
        (zarr_json((4,), (2,)), "error"),
        (zarr_json((4,), (2,), chunk_key_encoding={"name": "new"}), None),  # nobody knows which chunks it has
        (zarr_json((4,), (2,), chunk_key_encoding={"name": "v2", "configuration": {"separator": "/"}}), None),
        (zarr_json((4, 4), (2, 2), **V2_KEYS), "error"),
        (GROUP, "error"),
    ],
)
def test_two_formats_that_tell_of_other_chunks(document, level):
    layout = look({".zgroup": ZGROUP, "zarr.json": GROUP, "a/.zarray": zarray((4,), (2,)), "a/zarr.json": document})
    assert [f.level for f in layout.findings if f.key == "a/zarr.json"] == ([level] if level else [])


@pytest.mark.parametrize(("separator", "fits"), [(".", True), ("/", False)])
def test_two_formats_of_several_dimensions_need_the_same_keys(separator, fits):
    document = zarr_json((4, 4), (2, 2), chunk_key_encoding={"name": "v2", "configuration": {"separator": separator}})
    array = {"a/.zarray": zarray((4, 4), (2, 2)), "a/zarr.json": document}
    layout = look({".zgroup": ZGROUP, "zarr.json": GROUP, **array})
    assert [f.level for f in layout.findings if f.key == "a/zarr.json"] == ([] if fits else ["error"])


@pytest.mark.parametrize("prefix", ["", "a/"])
@pytest.mark.parametrize(
    ("name", "of_v2", "of_v3"), [(".zarray", zarray(), zarr_json(**V2_KEYS)), (".zgroup", ZGROUP, GROUP)]
)
def test_a_document_of_v2_beside_one_of_v3_goes_after_its_attributes(prefix, name, of_v2, of_v3):
    above = {"zarr.json": GROUP} if prefix else {}
    placed = rows(look(above | {f"{prefix}zarr.json": of_v3, f"{prefix}.zattrs": {}, f"{prefix}{name}": of_v2}))
    ranks = [placed[f"{prefix}{key}"]["rank"] for key in (".zattrs", name, "zarr.json")]
    assert ranks[0] < ranks[1] <= ranks[2]
    assert len({placed[f"{prefix}{key}"]["stage"] for key in (".zattrs", name, "zarr.json")}) == 1


REFERENCES = {"r.parq/.zmetadata": {"metadata": {}, "record_size": 10}, "r.parq/t/refs.0.parq": b"x"}


def test_references_of_kerchunk_beside_stores_are_no_store_that_lost_its_group():
    layout = look({**REFERENCES, "a.zarr/.zgroup": ZGROUP, "a.zarr/t/.zarray": zarray(), "a.zarr/t/0": b"x"})
    assert layout.findings == ()
    assert set(layout.stores) == {"a.zarr"}
    placed = {key: (row["role"], row["stage"], row["rank"]) for key, row in rows(layout).items()}
    assert placed["r.parq/t/refs.0.parq"] == ("foreign", "data", 0)
    assert placed["r.parq/.zmetadata"][:2] == ("index", "root")
    assert placed["r.parq/.zmetadata"][2] > placed["a.zarr/.zgroup"][2]


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        (REFERENCES, "references that kerchunk keeps in Parquet"),
        ({"refs/branch.main/ref.json": b"{}", "snapshots/1CECHNKREP0F1RSTCMT0": b"x"}, "an Icechunk repository"),
        ({"repo": b"x", "snapshots/1CECHNKREP0F1RSTCMT0": b"x", "chunks/A": b"x"}, "an Icechunk repository"),
        ({"a.zarr.zip": b"PK"}, "ZIP archives"),
    ],
)
def test_what_is_no_zarr_store_is_told_for_what_it_is(objects, says):
    finding = next(finding for finding in look(objects).findings if finding.code == "no-store")
    assert finding.message == f"there is no Zarr store here, but {says}; set kind: files"
    assert [f for f in look(objects, kind=Kind.FILES).findings if f.level == "error"] == []
    assert kind_of(ResolvedProduct("p", "/p", None, Location.parse("memory://p")), list(objects)) is Kind.FILES


def test_array_and_group_at_one_node():
    layout = look({".zgroup": ZGROUP, "a/.zgroup": ZGROUP, "a/.zarray": zarray(), "a/0": b"x"})
    finding = only(layout, "array-and-group")
    assert (finding.level, finding.key) == ("error", "a/.zarray")
    assert rows(layout)["a/0"]["in_grid"] is True


def test_node_inside_an_array():
    layout = look({"zarr.json": GROUP, "a/zarr.json": zarr_json(), "a/b/d/zarr.json": zarr_json(), "a/b/d/c/0": b"x"})
    finding = only(layout, "nested-in-array")
    assert (finding.level, finding.key) == ("error", "a/b/d/zarr.json")
    assert rows(layout)["a/b/d/c/0"]["array"] == "a/b/d"


@pytest.mark.parametrize(
    ("objects", "missing"),
    [
        ({".zgroup": ZGROUP, "a/b/.zarray": zarray()}, ["a/.zgroup"]),
        ({"zarr.json": GROUP, "a/b/d/zarr.json": zarr_json()}, ["a/b/zarr.json", "a/zarr.json"]),
    ],
)
def test_groups_without_metadata(objects, missing):
    layout = look(objects)
    assert said(layout, "warning") == [("implicit-group", key) for key in missing]
    assert said(layout) == said(layout, "warning")


def test_another_format_below():
    layout = look({"zarr.json": GROUP, "old/.zarray": zarray(), "old/0": b"x"})
    assert only(layout, "foreign-format").key == "old/.zarray"
    assert layout.stores[""].arrays["old"].zarr_format == 2
    assert rows(layout)["old/0"]["in_grid"] is True


def test_consolidated_metadata_without_its_group():
    layout = look({".zmetadata": {}, "a/.zarray": zarray(), "a/0": b"x"})
    assert said(layout, "error") == [("orphan-metadata", ".zmetadata")]
    assert list(layout.stores) == ["a"]


def test_attributes_without_their_node():
    layout = look({".zgroup": ZGROUP, "a/.zattrs": {}})
    finding = only(layout, "orphan-metadata")
    assert (finding.level, finding.key) == ("warning", "a/.zattrs")
    assert place(rows(layout)["a/.zattrs"]) == ("", None, "metadata", "group", -4, None)


@pytest.mark.parametrize("key", ["a/.zmetadata", "a/0/.zattrs", "a/0/.zmetadata"])
def test_metadata_names_where_an_array_has_none(key):
    layout = look({".zgroup": ZGROUP, "a/.zarray": zarray(), key: {}})
    assert only(layout, "foreign").key == key
    assert place(rows(layout)[key]) == ("", "a", "foreign", "data", 0, None)


# Chunks


@pytest.mark.parametrize(("count", "findings"), [(1, 1), (5, 5), (6, 1), (200, 1)])
def test_chunks_outside_the_grid(count, findings):
    layout = look({".zgroup": ZGROUP, "a/.zarray": zarray()} | {f"a/{i + 2}": b"x" for i in range(count)})
    assert [f.code for f in layout.findings] == ["outside-grid"] * findings
    assert {rows(layout)[f"a/{i + 2}"]["in_grid"] for i in range(count)} == {False}
    first = layout.findings[0]
    assert first.level == "error"
    assert ("(the first of" in first.message) == (count > 5)
    assert str(count) in first.message or count < 6


def test_a_chunk_outside_the_grid_is_explained():
    finding = only(look({"s/.zarray": zarray((4, 6), (2, 3)), "s/1.2": b"x"}), "outside-grid")
    assert finding.key == "s/1.2"
    assert "[1, 2]" in finding.message
    assert "[2, 2]" in finding.message
    assert "the array s " in finding.message
    assert "remove the leftover chunk" in finding.message


@pytest.mark.parametrize(
    "key", ["00", "+1", "-1", "1 ", "\u0661", "\u00b2", "0.0", "0/0", "", "c/0", "1_0", "0x1", "9" * 30]
)
def test_keys_that_are_no_chunks(key):
    layout = look({".zgroup": ZGROUP, "a/.zarray": zarray(), f"a/{key}": b"x"})
    finding = only(layout, "foreign")
    assert (finding.level, finding.key) == ("warning", f"a/{key}")
    assert place(rows(layout)[f"a/{key}"]) == ("", "a", "foreign", "data", 0, None)


def test_foreign_objects_are_counted_by_where_they_are():
    objects = {
        ".zgroup": ZGROUP,
        "a/.zarray": zarray(),
        "a/x": b"",
        "a/y/z": b"",
        "n.txt": b"",
        "b/n.txt": b"",
        "k": b"",
    }
    layout = look({f"s/{k}": v for k, v in objects.items()} | {"top": b""})
    assert said(layout) == [("foreign", "s/a/x"), ("foreign", "s/b/n.txt"), ("foreign", "top")]
    assert ["2" in layout.findings[0].message, "3" in layout.findings[1].message] == [True, True]
    assert place(rows(layout)["s/b/n.txt"]) == ("s", None, "foreign", "data", 0, None)


@pytest.mark.parametrize(
    ("document", "good", "bad"),
    [
        ((".zarray", zarray((4, 4), (2, 2))), "0.0", "0/1"),
        ((".zarray", zarray((4, 4), (2, 2), dimension_separator="/")), "0/0", "0.1"),
        (("zarr.json", zarr_json((4, 4), (2, 2))), "c/0/0", "c.0.1"),
        (("zarr.json", zarr_json((4,), (2,))), "c/0", "c.1"),
    ],
)
def test_wrong_separator(document, good, bad):
    name, content = document
    layout = look({name: content, good: b"x", bad: b"x"})
    finding = only(layout, "wrong-separator")
    assert (finding.level, finding.key) == ("error", bad)
    assert place(rows(layout)[bad]) == ("", "", "foreign", "data", 0, None)
    assert rows(layout)[good]["in_grid"] is True


def test_old_stores_that_do_not_name_their_separator():
    document = zarray((40, 40), (2, 2))
    del document["dimension_separator"]
    layout = look({".zarray": document} | {f"{i}/{j}": b"x" for i in range(20) for j in range(20)})
    assert "(the first of 400)" in only(layout, "wrong-separator").message


def test_empty_chunks():
    objects = {".zgroup": ZGROUP, "a/.zarray": zarray((40,), (2,))} | {f"a/{i}": b"x" for i in range(20)}
    sizes = [9, 9] + [1] * 20
    assert look(objects, sizes).findings == ()
    sizes[4] = 0
    finding = only(look(objects, sizes), "empty-chunk")
    assert (finding.level, finding.key) == ("error", "a/2")
    assert "the array a " in finding.message
    assert "(the first of 20)" in only(look(objects, [9, 9] + [0] * 20), "empty-chunk").message


def test_empty_foreign_objects_are_no_chunks():
    layout = look({".zgroup": ZGROUP, "_SUCCESS": b""}, [2, 0])
    assert [f.code for f in layout.findings] == ["foreign"]


def test_sizes_belong_to_keys():
    with pytest.raises(ValueError, match="zip"):
        look(V3, [1])


# Keys as such


def test_errors_come_first_then_warnings():
    said = [("info", "a"), ("warning", "b"), ("error", "d"), ("error", "c")]
    findings = [Finding(level, code, "p", "k", "m") for level, code in said]
    assert [(found.level, found.code) for found in in_order(findings)] == [
        ("error", "c"), ("error", "d"), ("warning", "b"), ("info", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "why"), [("a", None), ("a b.zarr", None), ("a/b", "slash"), ("..", "elsewhere"), ("", "empty part")]
)
def test_names_of_products_that_can_be_directories(name, why):
    found = unfit_name(name)
    assert found is None if why is None else why in found


@pytest.mark.parametrize("kind", list(Kind))
def test_keys_that_differ_by_case(kind):
    layout = look({"zarr.json": GROUP, "Notes": b"x", "notes": b"x", "STRASSE": b"x", "straße": b"x"}, kind=kind)
    clashes = [f for f in layout.findings if f.code == "case-clash"]
    assert [(f.level, f.key) for f in clashes] == [("warning", "Notes"), ("warning", "STRASSE")]
    assert "straße" in clashes[1].message


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("k" * 1024, 0),
        ("k" * 1025, 1),
        ("ü" * 512, 0),
        ("ü" * 513, 1),
        ("\U0001d11e" * 256, 0),
        ("\U0001d11e" * 257, 1),
    ],
)
def test_long_keys(kind, key, wrong):
    layout = look({"zarr.json": GROUP, key: b"x"}, kind=kind)
    assert [f.level for f in layout.findings if f.code == "key-too-long"] == ["error"] * wrong


def test_deep_keys_do_not_exhaust_the_stack():
    layout = look({"zarr.json": GROUP, "/".join("a" * 5000): b"x"})
    assert said(layout, "warning") == [("foreign", "/".join("a" * 5000))]


def test_keys_that_only_their_code_points_tell_apart():
    [finding] = key_findings("p", ["caf\u00e9.txt", "cafe\u0301.txt", "plain.txt"])
    assert finding.code == "unicode-clash"
    assert (finding.level, finding.key) == ("warning", "cafe\u0301.txt")
    assert "\\xe9" in finding.message
    assert key_findings("p", ["caf\u00e9", "cafe", "CAFE\u0301x"]) == []
