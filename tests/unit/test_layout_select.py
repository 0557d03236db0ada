"""A part of a product: what it takes with it, and which arrays it would cut."""

from __future__ import annotations

import pytest
from layout_strategies import GROUP, ZGROUP, files, zarr_json, zarray

from zsync.layout import arrays_cut, describe, is_metadata, select, with_groups_above, with_sidecars
from zsync.words import Kind

OBJECTS = files({
    "s/.zgroup": ZGROUP, "s/.zattrs": {}, "s/.zmetadata": {}, "s/note": b"x",
    "s/g/.zgroup": ZGROUP, "s/g/t/.zarray": zarray(), "s/g/t/0": b"x", "s/g/t/1": b"x",
    "s/h/.zgroup": ZGROUP, "s/h/u/.zarray": zarray(), "s/h/u/0": b"x", "r/zarr.json": GROUP,
    "r/v/zarr.json": zarr_json((4, 4), (2, 2)), "r/v/c/0/0": b"x",
})  # fmt: skip


def layout_of(objects, kind=Kind.ZARR):
    documents = {key: body for key, body in objects.items() if is_metadata(kind, key)}
    return describe(kind, "p", list(objects), documents)


LAYOUT = layout_of(OBJECTS)


def chosen(layout, mask):
    return {key for key, is_chosen in zip(layout.objects["key"].to_pylist(), mask, strict=True) if is_chosen}


def only(*prefixes):
    return [key.startswith(prefixes) for key in OBJECTS]


def test_groups_above_come_with_what_lies_in_them():
    root = {"s/.zgroup", "s/.zattrs", "s/.zmetadata"}
    array = {"s/g/t/.zarray", "s/g/t/0", "s/g/t/1"}
    assert chosen(LAYOUT, with_groups_above(LAYOUT, only("s/g/t"))) == root | {"s/g/.zgroup"} | array
    assert chosen(LAYOUT, with_groups_above(LAYOUT, only("s/g/t/1"))) == root | {"s/g/.zgroup"} | array - {"s/g/t/0"}
    assert chosen(LAYOUT, with_groups_above(LAYOUT, only("s/note"))) == root | {"s/note"}
    assert chosen(LAYOUT, with_groups_above(LAYOUT, only("none"))) == set()


def test_a_part_has_the_nodes_of_which_it_has_documents_and_its_findings():
    assert [(finding.code, finding.key) for finding in LAYOUT.findings] == [("foreign", "s/note")]
    part = select(LAYOUT, with_groups_above(LAYOUT, only("s/g/t")))
    assert part.objects["key"].to_pylist() == [key for key in OBJECTS if key.startswith(("s/g/t", "s/.z", "s/g/.z"))]
    assert (list(part.stores), part.findings) == (["s"], ())
    store = part.stores["s"]
    assert (set(store.arrays), store.groups) == ({"g/t"}, ("", "g"))
    assert set(store.documents) == {".zgroup", ".zattrs", ".zmetadata", "g/.zgroup", "g/t/.zarray"}
    assert select(LAYOUT, [True] * len(OBJECTS)) == LAYOUT
    assert [finding.key for finding in select(LAYOUT, only("s/note")).findings] == ["s/note"]
    assert select(LAYOUT, only("s/g/t/0")).stores == {}


def test_what_is_said_of_the_product_as_a_whole_is_said_of_a_part():
    layout = layout_of({"a.tif": b"x"}, Kind.FILES)
    said = select(layout_of({}), []).findings
    assert said == layout_of({}).findings
    assert select(layout, [False]).objects.num_rows == 0


@pytest.mark.parametrize(
    ("directories", "cut"),
    [
        ([], []), (["r/v/c"], ["r/v"]), (["r/v/c/0"], ["r/v"]), (["r/v/0/1", "s/g/t/1"], ["r/v", "s/g/t"]),
        (["r/v/d"], []), (["r/v/c/x"], []), (["r/v/1/c"], []), (["r/v"], []), ([""], []), (["s/h/u/0"], []),
        (["s/g/0"], []), (["s/g/t/c", "s/g/t/0"], ["s/g/t"]),
    ],
)  # fmt: skip
def test_arrays_that_may_have_chunks_where_nobody_looked(directories, cut):
    assert arrays_cut(LAYOUT, only("r", "s/g"), directories) == cut


def test_what_belongs_to_a_raster_comes_with_it():
    keys = ["a.tif", "a.tif.msk", "a.tfw", "b.tif", "b.tif.msk", "c.txt", "lone.tif.ovr"]
    layout = layout_of(dict.fromkeys(keys, b"x"), Kind.COG)

    def taken(*names, excluded=()):
        mask = [key in names for key in keys]
        return chosen(layout, with_sidecars(layout, mask, excluded.__contains__))

    assert taken("a.tif", "c.txt") == {"a.tif", "a.tif.msk", "a.tfw", "c.txt"}
    assert taken("a.tif", excluded=("a.tfw",)) == {"a.tif", "a.tif.msk"}
    assert taken("b.tif.msk") == {"b.tif.msk"}
    assert taken("c.txt") == {"c.txt"}
    plain = layout_of({"a.tif": b"x", "c.txt": b"x"}, Kind.COG)
    assert with_sidecars(plain, (True, False), {"a.tif"}.__contains__) == [True, False]
