"""Consolidated metadata, by hand: what counts as true, what is made, and what two documents share."""

from __future__ import annotations

import json
import math

import pytest
from layout_strategies import GROUP, ZGROUP, consolidate, files, zarr_json, zarray

from zsync.layout import describe, is_metadata, members_of, remade, same_document, with_shape, with_shapes
from zsync.words import Kind

INLINE = {"kind": "inline", "must_understand": False}


def store_of(documents):
    objects = files(documents)
    assert all(is_metadata(Kind.ZARR, k) for k in objects)
    return describe(Kind.ZARR, "p", list(objects), objects).stores[""]


def zmetadata(**metadata):
    return {"metadata": metadata, "zarr_consolidated_format": 1}


def inline(metadata, **group):
    return GROUP | group | {"consolidated_metadata": INLINE | {"metadata": metadata}}


NODES_V2 = {".zgroup": ZGROUP, "a/.zarray": zarray(), "a/.zattrs": {"units": "K"}, "g/.zgroup": ZGROUP}
TRUE_V2 = dict(NODES_V2)
NODES_V3 = {"a/zarr.json": zarr_json(), "g/zarr.json": GROUP}
TRUE_V3 = {"a": zarr_json(), "g": GROUP}


@pytest.mark.parametrize(
    "metadata",
    [
        TRUE_V2,
        TRUE_V2 | {".zattrs": {}, "g/.zattrs": {}},
        TRUE_V2 | {"g/.zgroup": ZGROUP | {"consolidated_metadata": INLINE | {"metadata": {}}}},
        TRUE_V2 | {"a/.zarray": zarray(fill_value=math.nan)},
        dict(reversed(TRUE_V2.items())),
    ],
)
def test_true_v2(metadata):
    assert consolidate(store_of(NODES_V2 | {".zmetadata": zmetadata(**metadata)})) == {}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": [], "zarr_consolidated_format": 1},
        {"metadata": TRUE_V2, "zarr_consolidated_format": 2},
        zmetadata(),
        zmetadata(**{k: v for k, v in TRUE_V2.items() if k != ".zgroup"}),
        zmetadata(**{k: v for k, v in TRUE_V2.items() if k != "a/.zarray"}),
        zmetadata(**{k: v for k, v in TRUE_V2.items() if k != "a/.zattrs"}),
        zmetadata(**{k: v for k, v in TRUE_V2.items() if k != "g/.zgroup"}),
        zmetadata(**TRUE_V2 | {"a/.zarray": zarray((5,))}),
        zmetadata(**TRUE_V2 | {"a/.zarray": [1]}),
        zmetadata(**TRUE_V2 | {"a/.zattrs": {"units": "C"}}),
        zmetadata(**TRUE_V2 | {".zattrs": {"title": "other"}}),
        zmetadata(**TRUE_V2 | {"gone/.zarray": zarray()}),
        zmetadata(**TRUE_V2 | {"gone/.zattrs": {}}),
    ],
)
def test_untrue_v2(document):
    store = store_of(NODES_V2 | {".zmetadata": document})
    made = consolidate(store)
    assert list(made) == [".zmetadata"]
    assert made == consolidate(store_of(NODES_V2))


@pytest.mark.parametrize(
    "metadata",
    [
        TRUE_V3,
        TRUE_V3 | {"g": inline({})},
        dict(reversed(TRUE_V3.items())),
        TRUE_V3 | {"a": zarr_json(fill_value=math.nan, storage_transformers=[], dimension_names=None)},
    ],
)
def test_true_v3(metadata):
    assert consolidate(store_of({"zarr.json": inline(metadata)} | NODES_V3)) == {}


@pytest.mark.parametrize(
    "root",
    [
        GROUP,
        GROUP | {"consolidated_metadata": None},
        GROUP | {"consolidated_metadata": {"metadata": TRUE_V3}},
        GROUP | {"consolidated_metadata": INLINE | {"metadata": None}},
        inline({}),
        inline({"a": zarr_json()}),
        inline(TRUE_V3 | {"gone": GROUP}),
        inline(TRUE_V3 | {"a": zarr_json((5,))}),
        inline(TRUE_V3 | {"a": zarr_json(attributes={"units": "K"})}),
        inline(TRUE_V3 | {"a": None}),
    ],
)
def test_untrue_v3(root):
    made = consolidate(store_of({"zarr.json": root} | NODES_V3))
    assert list(made) == ["zarr.json"]
    document = json.loads(made["zarr.json"])
    assert document["consolidated_metadata"]["metadata"]["a"] == zarr_json()
    assert {k: v for k, v in document.items() if k != "consolidated_metadata"} == GROUP


def test_what_is_made_v2():
    made = consolidate(store_of(NODES_V2 | {".zattrs": {"z": 1, "a": 2}}))
    metadata = json.loads(made[".zmetadata"])["metadata"]
    assert metadata == {
        ".zattrs": {"z": 1, "a": 2},
        ".zgroup": ZGROUP,
        "a/.zattrs": {"units": "K"},
        "a/.zarray": zarray(),
        "g/.zattrs": {},
        "g/.zgroup": ZGROUP | {"consolidated_metadata": INLINE | {"metadata": {}}},
    }
    assert list(metadata[".zattrs"]) == ["z", "a"]


def strictly(body):
    """Parse JSON as others do: what Python takes and RFC 8259 does not have is an error."""

    def refuse(word):
        raise ValueError(word)

    document = json.loads(body, parse_constant=refuse)
    body.decode("ascii")
    json.dumps(document, ensure_ascii=False).encode()  # no half of a surrogate pair
    return document


def test_fill_values_that_are_no_numbers_become_the_texts_that_zarr_has_for_them():
    arrays = {
        "a/.zarray": zarray(fill_value=math.nan), "b/.zarray": zarray(dtype="<c8", fill_value=[math.inf, -math.inf]),
    }  # fmt: skip
    listed = strictly(consolidate(store_of({".zgroup": ZGROUP} | arrays))[".zmetadata"])["metadata"]
    assert listed["a/.zarray"]["fill_value"] == "NaN"
    assert listed["b/.zarray"]["fill_value"] == ["Infinity", "-Infinity"]
    made = consolidate(store_of({"zarr.json": GROUP, "a/zarr.json": zarr_json(fill_value=math.inf)}))
    inner = strictly(made["zarr.json"])["consolidated_metadata"]["metadata"]
    assert inner["a"]["fill_value"] == "Infinity"


UNFIT = [{"limit": math.nan}, {"a": [{"b": math.inf}]}, {"a": "\ud800"}, {"\udfff": 1}, {"a": -math.inf}]


def unfit_stores(attributes):
    yield ".zmetadata", {".zgroup": ZGROUP, "a/.zarray": zarray(), "a/.zattrs": attributes}
    yield ".zmetadata", {".zgroup": ZGROUP, ".zattrs": attributes, "a/.zarray": zarray()}
    yield "zarr.json", {"zarr.json": GROUP, "a/zarr.json": zarr_json(attributes=attributes)}
    yield "zarr.json", {"zarr.json": GROUP | {"attributes": attributes}, "a/zarr.json": zarr_json()}


@pytest.mark.parametrize("attributes", UNFIT)
def test_what_json_cannot_say_is_not_put_into_a_document_that_says_all(attributes):
    for key, documents in unfit_stores(attributes):
        [made] = remade(store_of(documents))
        assert (made.key, made.what, made.body) == (key, "missing", None)
        assert made.unfit is not None
        assert consolidate(store_of(documents)) == {}


def test_numbers_that_python_takes_for_infinite_count_as_such():
    store = store_of({"zarr.json": b'{"zarr_format": 3, "node_type": "group", "attributes": {"a": 1e999}}'})
    [made] = remade(store)
    assert made.unfit == "Infinity in attributes.a"


def test_what_is_said_twice_is_said_once_in_what_is_made():
    raw = b'{"zarr_format": 3, "node_type": "group", "attributes": {"a": 1, "a": 2}}'
    made = strictly(consolidate(store_of({"zarr.json": raw, "a/zarr.json": zarr_json()}))["zarr.json"])
    assert made["attributes"] == {"a": 2}  # as zarr-python, JavaScript and C++ read it


MISSING = [NODES_V2, NODES_V3 | {"zarr.json": GROUP}]
UNTRUE = [
    NODES_V2 | {".zmetadata": zmetadata(**TRUE_V2 | {"a/.zarray": zarray((9,))})},
    NODES_V3 | {"zarr.json": inline({"a": zarr_json((9,)), "g": GROUP})},
]
TRUE = [NODES_V2 | {".zmetadata": zmetadata(**TRUE_V2)}, NODES_V3 | {"zarr.json": inline(TRUE_V3)}]


@pytest.mark.parametrize(
    ("how", "missing", "untrue"),
    [
        ("auto", "added", "renewed"), ("always", "added", "renewed"), ("renew", None, "renewed"),
        ("never", None, "removed"), ("as-is", "missing", "untrue"),
    ],
)  # fmt: skip
def test_what_each_way_does_about_what_is_missing_or_untrue(how, missing, untrue):
    for documents in TRUE:
        assert remade(store_of(documents), how=how) == []
    for sources, what in ((MISSING, missing), (UNTRUE, untrue)):
        for documents in sources:
            made = remade(store_of(documents), how=how)
            assert [item.what for item in made] == ([] if what is None else [what])
            assert all((item.body is None) == (how == "as-is" or item.key + how == ".zmetadatanever") for item in made)


def test_consolidated_metadata_that_is_left_out_leaves_the_rest_of_its_document():
    [made] = remade(store_of(UNTRUE[1]), how="never")
    assert json.loads(made.body) == GROUP


def test_what_is_shown_for_moments_is_fit_too():
    for attributes in UNFIT:
        mixed = attributes | {"units": "K"}
        array = zarr_json((9,), attributes=mixed, fill_value=math.nan)
        for document in (
            zmetadata(**{"t/.zarray": zarray((9,), fill_value=math.nan), "t/.zattrs": mixed}),
            inline({"t": array}, attributes=attributes),
        ):
            shown = strictly(with_shapes(document, {"t": (3,)}))
            [array, *_] = members_of(shown).values()
            assert (array["shape"], array["fill_value"]) == ([3], "NaN")
            assert '"units": "K"' in json.dumps(shown)
        assert strictly(with_shape(zarr_json((9,), attributes=attributes), (3,)))["shape"] == [3]


def test_copies_of_a_groups_metadata_are_given_the_same_shapes():
    """zarr-python 3.0 put them into the root's."""
    inner = inline({"t": zarr_json((9,)), "gone": GROUP})
    shown = json.loads(with_shapes(inline({"g": inner}), {"g/t": (3,), "g/gone": None}))
    [group] = shown["consolidated_metadata"]["metadata"].values()
    [(name, array)] = group["consolidated_metadata"]["metadata"].items()
    assert (name, array["shape"]) == ("t", [3])
    assert with_shapes(inline({"g": inner, "h": 3}), {"other/t": (3,), "h/t": (3,)}) is None


@pytest.mark.parametrize("name", [".zarray", ".zgroup", ".zattrs"])
def test_nothing_that_is_left_out_is_listed(name):
    document = zmetadata(**{f"t/{name}": {}, "tt/.zgroup": ZGROUP})
    assert json.loads(with_shapes(document, {"t": None}))["metadata"] == {"tt/.zgroup": ZGROUP}
    assert with_shapes(document, {"u": None}) is None


@pytest.mark.parametrize("inside", [None, {}])
def test_consolidated_metadata_that_lists_nothing_is_borne(inside):
    for document in (
        {"zarr_consolidated_format": 1, "metadata": inside}, GROUP | {"consolidated_metadata": inside},
        GROUP | {"consolidated_metadata": {"metadata": inside}}, {"zarr_consolidated_format": 1}, GROUP,
    ):  # fmt: skip
        assert members_of(document) == {}
        assert with_shapes(document, {"t": (1,), "u": None}) is None


def test_siblings_apart_are_brought_together():
    nodes = {f"{g}/{n}/zarr.json": zarr_json() for g in "ab" for n in "xy"} | {f"{g}/zarr.json": GROUP for g in "ab"}
    listed = {"a": GROUP, "b": GROUP} | {path: zarr_json() for path in ("a/x", "b/x", "a/y", "b/y")}
    made = consolidate(store_of(nodes | {"zarr.json": inline(listed)}))
    order = list(json.loads(made["zarr.json"])["consolidated_metadata"]["metadata"])
    assert order == ["a", "b", "a/x", "a/y", "b/x", "b/y"]


def test_subgroups_are_made_anew_only_where_untrue():
    nodes = {"g/a/.zarray": zarray()} | {f"{group}.zgroup": ZGROUP for group in ("", "g/", "h/", "hh/", "hh/i/", "k/")}
    own = {
        "g/.zmetadata": zmetadata(**{".zgroup": ZGROUP, "a/.zarray": zarray((9,))}),
        "h/.zmetadata": zmetadata(**{".zgroup": ZGROUP}),
        ".zmetadata": zmetadata(**nodes),
    }
    made = consolidate(store_of(nodes | own))
    assert list(made) == ["g/.zmetadata"]
    assert json.loads(made["g/.zmetadata"])["metadata"]["a/.zarray"] == zarray()


def test_subgroups_of_v3_are_made_anew_only_where_untrue():
    nodes = {"g/a/zarr.json": zarr_json(), "h/zarr.json": inline({}), "k/zarr.json": GROUP}
    root = inline({"g": GROUP, "g/a": zarr_json(), "h": GROUP, "k": GROUP})
    made = consolidate(store_of(nodes | {"zarr.json": root, "g/zarr.json": inline({"a": zarr_json((9,))})}))
    assert list(made) == ["g/zarr.json"]
    assert json.loads(made["g/zarr.json"])["consolidated_metadata"]["metadata"] == {"a": zarr_json()}


@pytest.mark.parametrize("documents", [{".zarray": zarray()}, {"zarr.json": zarr_json()}, {"zarr.json": b"{"}])
def test_nothing_is_made_of_what_is_no_group(documents):
    assert consolidate(store_of(documents)) == {}


def test_nodes_that_readers_do_not_find_are_not_listed():
    mixed = {"zarr.json": GROUP, "old/.zarray": zarray(), "a/zarr.json": zarr_json(), "a/b/zarr.json": zarr_json()}
    made = consolidate(store_of(mixed))
    assert set(json.loads(made["zarr.json"])["consolidated_metadata"]["metadata"]) == {"a"}


# The union with what stays in the target


def union_v2(source, extra):
    return json.loads(consolidate(store_of({".zgroup": ZGROUP} | source), extra)[".zmetadata"])["metadata"]


def test_union_lists_what_stays():
    metadata = union_v2({"a/.zarray": zarray()}, {"b/.zarray": zarray((7,)), "b/.zattrs": {"kept": 1}})
    assert metadata["a/.zarray"] == zarray()
    assert metadata["b/.zarray"] == zarray((7,))
    assert metadata["b/.zattrs"] == {"kept": 1}


def test_source_wins():
    metadata = union_v2(
        {"a/.zarray": zarray(), "a/.zattrs": {"n": 1}}, {"a/.zarray": zarray((7,)), "a/.zattrs": {"n": 2}}
    )
    assert metadata["a/.zarray"] == zarray()
    assert metadata["a/.zattrs"] == {"n": 1}


def test_source_array_in_place_of_a_group_that_stays():
    extra = {"a/.zgroup": ZGROUP, "a/.zattrs": {"n": 1}, "a/x/.zarray": zarray(), "a/x/y/.zgroup": ZGROUP}
    metadata = union_v2({"a/.zarray": zarray()}, extra)
    assert {k for k in metadata if k.startswith("a")} == {"a/.zarray", "a/.zattrs"}
    assert metadata["a/.zattrs"] == {}


def test_source_group_in_place_of_an_array_that_stays():
    metadata = union_v2({"a/.zgroup": ZGROUP, "a/x/.zarray": zarray()}, {"a/.zarray": zarray(), "a/.zattrs": {"n": 1}})
    assert {k for k in metadata if k.endswith(".zarray")} == {"a/x/.zarray"}
    assert metadata["a/.zattrs"] == {}


def test_source_nodes_below_an_array_that_stays():
    metadata = union_v2({"a/x/.zarray": zarray()}, {"a/.zarray": zarray()})
    assert {k for k in metadata if k.endswith(".zarray")} == {"a/x/.zarray"}
    assert "a/.zgroup" in metadata


def test_union_leaves_true_metadata_only_where_it_is_true_of_the_union():
    true = NODES_V2 | {".zmetadata": zmetadata(**TRUE_V2)}
    assert consolidate(store_of(true), NODES_V2) == {}
    assert list(consolidate(store_of(true), {"more/.zgroup": ZGROUP})) == [".zmetadata"]


def test_union_ignores_the_other_format_and_what_is_no_metadata():
    true = {"zarr.json": inline(TRUE_V3)} | NODES_V3
    assert consolidate(store_of(true), {"b/.zarray": zarray(), "b/0": {}, "b/zarr.json": None}) == {}


def test_a_subgroup_that_stays_is_told_of_new_members():
    source = {"zarr.json": GROUP, "g/new/zarr.json": zarr_json()}
    made = consolidate(store_of(source), {"g/zarr.json": inline({"old": zarr_json()}), "g/old/zarr.json": zarr_json()})
    assert sorted(made) == ["g/zarr.json", "zarr.json"]
    assert set(json.loads(made["g/zarr.json"])["consolidated_metadata"]["metadata"]) == {"new", "old"}
    assert "consolidated_metadata" in json.loads(made["zarr.json"])["consolidated_metadata"]["metadata"]["g"]


# Sameness


def unequal(length, *chunks):
    """Return an array with chunks of unequal length."""
    grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [list(chunks)]}}
    return zarr_json((length,), chunk_grid=grid)


def without(document, key):
    return {k: v for k, v in document.items() if k != key}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (None, {}),
        (zarray(), without(zarray(), "dimension_separator")),
        (zarray(), without(zarray(), "filters")),
        (zarray(), without(zarray(), "compressor")),
        (zarray(), zarray(filters=[])),
        (zarray(), zarray(fill_value=math.nan)),
        (zarray(fill_value=math.inf), zarray(fill_value="Infinity")),
        (zarray(fill_value=-math.inf), zarray(fill_value="-Infinity")),
        (zarray(fill_value=0), zarray(fill_value=0.0)),
        (zarray(dtype="<c8", fill_value=[1, math.nan]), zarray(dtype="<c8", fill_value=[1.0, "NaN"])),
        (zarr_json(), without(zarr_json(), "attributes")),
        (zarr_json(), zarr_json(storage_transformers=[])),
        (zarr_json(), zarr_json(dimension_names=None)),
        (zarr_json(), zarr_json(dimension_names=[None])),
        (zarr_json(), zarr_json(chunk_key_encoding="default")),
        (zarr_json(), zarr_json(chunk_key_encoding={"name": "default", "configuration": {}})),
        (zarr_json(codecs=["bytes"]), zarr_json(codecs=[{"name": "bytes"}])),
        (
            zarr_json(codecs=["bytes"]),
            zarr_json(codecs=[{"name": "bytes", "configuration": {}, "must_understand": True}]),
        ),
        (zarr_json(data_type="int8"), zarr_json(data_type={"name": "int8"})),
        (GROUP, inline({"a": zarr_json()})),
        (ZGROUP, ZGROUP | {"consolidated_metadata": {}}),
        (zmetadata(**{"a/.zattrs": {}, ".zgroup": ZGROUP}), zmetadata(**{".zgroup": ZGROUP})),
        ({"a": math.nan}, {"a": math.nan}),
        (unequal(10, 5, 5, 3), zarr_json((10,), (5,))),  # the third chunk holds no cell
        (unequal(11, 5, 6, 3), unequal(11, 5, 6)),
    ],
)
def test_same(a, b):
    assert same_document(a, b)
    assert same_document(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (None, ZGROUP),
        (zarray(), zarray((5,))),
        (zarray((4, 4), (2, 2)), zarray((4, 4), (2, 2), dimension_separator="/")),
        (zarray(fill_value=None), zarray(fill_value=0)),
        (zarray(fill_value=0.0), zarray(fill_value=-0.0)),
        (zarray(dtype="<i8", fill_value=2**53), zarray(dtype="<i8", fill_value=2**53 + 1)),
        (zarray(), zarray(extra=1)),
        (zarr_json(), zarr_json(attributes={"a": 1})),
        (zarr_json(), zarr_json(dimension_names=["x"])),
        (zarr_json(), zarr_json(chunk_key_encoding="v2")),
        (zarr_json(codecs=["bytes"]), zarr_json(codecs=["bytes", "crc32c"])),
        (zarr_json(), zarr_json(extension={"must_understand": False})),
        (GROUP, GROUP | {"attributes": {"a": 1}}),
        (GROUP, ZGROUP),
        (zmetadata(**{".zgroup": ZGROUP}), zmetadata(**{".zgroup": ZGROUP, "a/.zgroup": ZGROUP})),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": True}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": None}, {}),
        ({"consolidated_metadata": 1}, {}),
        (unequal(11, 5, 5, 3), zarr_json((11,), (5,))),
        (unequal(11, 5, 6, 3), unequal(11, 6, 5)),
    ],
)
def test_not_same(a, b):
    assert not same_document(a, b)
    assert not same_document(b, a)
