"""Damage, told from removal by what is left (P11): documents, dimensions, rasters, and what a plan says is lost."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import rasterio
import zarr
from hypothesis import assume, given
from hypothesis import strategies as st
from layout_strategies import GROUP, ZGROUP, consolidate, files, trees, zarr_json, zarray
from rasterio.transform import from_origin
from trees import quiet_zarr, read_tree, weather, write_cog, write_store

from zsync.inventory.tiff import what_is_missing
from zsync.layout import describe, is_metadata, kept_findings, lost_attributes, lost_nodes, misfit_findings
from zsync.planning import ArrayChange, ChangeClass, losses_of
from zsync.planning.losses import losses_text
from zsync.tables import MANIFEST, PLAN, table_of
from zsync.words import Kind

ATTRIBUTES = {"units": "K"}


def look(objects):
    documents = {key: body for key, body in objects.items() if is_metadata(Kind.ZARR, key)}
    return describe(Kind.ZARR, "p", list(objects), documents)


def errors(objects):
    return [finding for finding in look(objects).findings if finding.level == "error"]


def lost(published, source):
    gone = published.keys() - source.keys()
    return [finding.key for finding in lost_nodes("p", gone, sorted(source), frozenset(published))]


# --- documents --------------------------------------------------------------------------------------------------------

NODES = (".zarray", ".zgroup", "zarr.json")


def view(objects):
    """Return what readers that open everything see: node to document and chunks."""
    nodes = {key.rpartition("/")[0]: body for key, body in objects.items() if key.rpartition("/")[2] in NODES}
    return {
        node: (body, sorted(key for key in objects if key.startswith(f"{node}/" if node else "") and key not in nodes))
        for node, body in nodes.items()
    }


@given(tree=trees(), data=st.data())
def test_p11_one_document_less_is_refused_or_is_a_removal(tree, data):
    """Whatever document is lost: a node of which anything is left that was published is never given up in silence."""
    victim = data.draw(st.sampled_from(sorted(key for key in tree.objects if key.rpartition("/")[2] in NODES)))
    source = {key: body for key, body in tree.objects.items() if key != victim}
    directory = victim.rpartition("/")[0]
    left = [key for key in source if key.startswith(f"{directory}/" if directory else "")]
    assert bool(lost(tree.objects, source)) == bool(left)
    if left:
        assert lost(tree.objects, source) == [victim]
    else:
        assert view(source).keys() == view(tree.objects).keys() - {directory}


@given(tree=trees(), data=st.data())
def test_p11_what_is_removed_with_all_below_it_is_no_damage(tree, data):
    path = data.draw(st.sampled_from(sorted(tree.nodes)))
    source = {key: body for key, body in tree.objects.items() if not key.startswith(f"{path}/" if path else "")}
    assert lost(tree.objects, source) == []
    assume(any(key.rpartition("/")[2] in NODES for key in source))
    assert errors(source) == []


@given(tree=trees(), data=st.data())
def test_p11_without_a_publication_consolidated_metadata_tells_of_arrays(tree, data):
    arrays = sorted(path for path, kind in tree.nodes.items() if kind == "array" and path)
    assume(arrays)
    path = data.draw(st.sampled_from(arrays))
    made = consolidate(look(tree.objects).stores[""])
    objects = {**tree.objects, **made}
    name = ".zarray" if tree.zarr_format == 2 else "zarr.json"
    source = {key: body for key, body in objects.items() if key != f"{path}/{name}"}
    chunks = [key for key in source if tree.array_of.get(key) == path and tree.roles[key] == "chunk"]
    assert bool(chunks) == any(finding.code == "lost-metadata" for finding in errors(source))


@pytest.mark.parametrize(
    "chunks",
    [["t/0.0", "t/1.0"], ["t/0/0"], ["t/c/0/0"], ["t/c.0.0"], ["t/c/0", "t/.zattrs"], ["t/0"], ["t/c"], ["g/t/0.1"]],
)
def test_p11_chunks_of_no_array_in_a_group(chunks):
    [found] = errors(files({".zgroup": ZGROUP, **dict.fromkeys(chunks, b"{}")}))
    assert (found.code, found.key) == ("lost-metadata", min(key for key in chunks if ".zattrs" not in key))
    assert "damaged: allow" in found.message
    assert [f.code for f in errors(files({"a/.zgroup": ZGROUP, "b.zarr/t/0.0": b"x"}))] == ["lost-metadata"]


def test_p11_attributes_and_arrays_without_a_group():
    arrays = {"s/t/.zarray": zarray(), "s/t/0": b"x"}
    [found] = errors(files({"s/.zattrs": ATTRIBUTES, **arrays}))
    assert (found.code, found.key) == ("lost-metadata", "s")
    assert errors(files({".zattrs": ATTRIBUTES, **arrays})) == [], "what lies above stores is nobody's"
    assert errors(files({".zgroup": ZGROUP, "s/.zattrs": ATTRIBUTES, **arrays})) == [], "a group without a document"
    assert errors(files(arrays)) == []


@pytest.mark.parametrize(
    "others",
    [
        ["notes/readme.md"], ["0.0"], ["t/01"], ["t/0.0.tmp"], ["logs/0", "logs/index.html"], ["1.txt"],
        ["n5/attributes.json", "n5/0/0"],
    ],
)  # fmt: skip
def test_other_files_in_a_group_are_no_damage(others):
    assert errors(files({".zgroup": ZGROUP, **dict.fromkeys(others, b"x")})) == []
    assert errors(files({"s/.zgroup": ZGROUP, "tiles/3/1": b"x"})) == []


def test_p11_a_store_that_was_published_by_its_parts():
    published = files({
        "s/.zgroup": ZGROUP, "s/.zattrs": ATTRIBUTES, "s/t/.zarray": zarray(), "s/t/0": b"x", "s/t/1": b"x",
        "s/g/.zgroup": ZGROUP, "s/g/u/.zarray": zarray(), "s/g/u/0": b"x",
        "r/zarr.json": GROUP, "r/t/zarr.json": zarr_json(), "r/t/c/0": b"x",
    })  # fmt: skip

    def without(*gone):
        return lost(published, {key: body for key, body in published.items() if key not in gone})

    assert without("s/.zgroup", "s/.zattrs") == ["s/.zgroup"]
    assert without("s/.zgroup", "s/.zattrs", "r/zarr.json") == ["r/zarr.json", "s/.zgroup"]
    assert without("s/.zgroup", "s/t/.zarray", "s/g/.zgroup") == ["s/.zgroup"], "what is above says it"
    assert without("s/t/.zarray", "s/t/0", "s/t/1") == []
    assert without("s/t/.zarray", "s/t/0") == ["s/t/.zarray"]
    assert without("s/g/.zgroup") == ["s/g/.zgroup"]
    assert without(*(key for key in published if key.startswith("r/"))) == []
    assert without("s/.zattrs") == []


def test_p11_what_lost_its_document_is_called_what_it_was():
    published = files({
        "s/.zgroup": ZGROUP, "s/t/.zarray": zarray(), "s/t/0": b"x", "s/g/.zgroup": ZGROUP, "s/g/u/.zgroup": ZGROUP,
        "r/zarr.json": GROUP, "r/t/zarr.json": zarr_json(), "r/t/c/0": b"x",
        "r/g/zarr.json": GROUP, "r/g/h/zarr.json": GROUP,
    })  # fmt: skip
    gone = ["s/t/.zarray", "s/g/.zgroup", "r/t/zarr.json", "r/g/zarr.json"]
    found = lost_nodes("p", gone, sorted(published.keys() - set(gone)), frozenset(published))
    assert [finding.message.partition(":")[0] for finding in found] == [
        "the group r/g has lost its zarr.json", "the array r/t has lost its zarr.json",
        "the group s/g has lost its .zgroup", "the array s/t has lost its .zarray",
    ]  # fmt: skip


def test_p11_what_is_there_for_the_first_time_is_not_what_was_left():
    published = files({"s/.zgroup": ZGROUP, "s/t/.zarray": zarray(), "s/t/0": b"x"})
    assert lost(published, files({"s/new/.zgroup": ZGROUP, "s/new/t/.zarray": zarray()})) == []
    as_v3 = files({"s/zarr.json": GROUP, "s/t/zarr.json": zarr_json(), "s/t/0": b"x"})
    assert lost(published, as_v3) == [], "the node is there, in another format"


def test_p11_many_that_are_lost_take_few_words_in_a_store_and_one_each_where_they_are_stores():
    arrays = files({f"s/t{number}/.zarray": zarray() for number in range(20)} | {"s/.zgroup": ZGROUP})
    chunks = {f"s/t{number}/0": b"x" for number in range(20)}
    assert len(lost(arrays | chunks, {"s/.zgroup": b"", **chunks})) == 1
    assert len(lost(arrays | chunks | {"u/.zarray": b"", "u/0": b""}, {**chunks, "u/0": b""})) == 2
    stores = files({f"{number}.zarr/.zgroup": ZGROUP for number in range(20)})
    parts = {f"{number}.zarr/t/.zarray": b"" for number in range(20)}
    assert len(lost(stores | parts, parts)) == 20


def test_p11_attributes():
    published = {"t/.zattrs": ATTRIBUTES, "u/.zattrs": {}, "t/.zarray": zarray()}
    [found] = lost_attributes("p", "s", ["t/.zattrs", "u/.zattrs", "v/.zattrs"], published)
    assert (found.key, "units" in found.message) == ("s/t/.zattrs", True)
    many = {"t/.zattrs": dict.fromkeys("edcba", 1)}
    assert "would lose a, b, c, d;" in lost_attributes("p", "s", many, many)[0].message


# --- what foreign writers make is sound -------------------------------------------------------------------------------


def nested(path, zarr_format):
    """Groups in groups as AnnData and OME-Zarr have them, with arrays without names of dimensions."""
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for place in ("X", "obs", "obsm/pca", "uns/a/b/c", "layers", "0", "labels/0", "A/1/0"):
        group = root.require_group(place)
        group.attrs["encoding-type"] = "dict"
        for name in ("data", "0", "1", "c"):
            group.create_array(name, shape=(4, 4), chunks=(2, 2), dtype="i4")[...] = 1
    root.create_array("scalar", shape=(), dtype="i4")[...] = 1
    root.create_array("line", shape=(5,), chunks=(2,), dtype="i4")[...] = 1


def without_groups(path, zarr_format):
    nested(path, zarr_format)
    for document in [*path.glob("*/.zgroup"), *path.glob("*/*/.zgroup"), *path.glob("uns/a/zarr.json")]:
        document.unlink()


def netcdf(path, zarr_format):
    """What netCDF-C writes beside the documents of Zarr."""
    write_store(path, weather(6, 8), chunks={"time": 5, "x": 4}, zarr_format=zarr_format)
    for name in (".nczgroup", "t2m/.nczarray", "t2m/.nczattr"):
        (path / name).write_text("{}")


def datatree(path, zarr_format):
    groups = {"north": weather(4, 8), "north/high": weather(9, 2)}
    write_store(path, weather(6, 8), groups=groups, chunks={"time": 5, "x": 4}, zarr_format=zarr_format)


def beside(path, zarr_format):
    """Things that people put in stores."""
    datatree(path, zarr_format)
    for name in ("README", "logs/2024/run.log", "north/preview.png", "t2m/.DS_Store"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("x")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("write", [nested, without_groups, netcdf, datatree, beside])
@pytest.mark.parametrize("consolidated", [True, False])
def test_sound_stores_of_many_writers_are_no_damage(tmp_path, zarr_format, write, consolidated):
    with quiet_zarr():
        write(tmp_path, zarr_format)
        if consolidated and write in (nested, datatree):
            zarr.consolidate_metadata(tmp_path)
    objects = read_tree(tmp_path)
    assert errors(objects) == []
    published = {**objects, **consolidate(look(objects).stores[""])}
    assert lost(published, objects) == []
    # What was pulled holds what zsync made, groups that never had a document of their own among it.
    assert errors(published) == []


# --- dimensions -------------------------------------------------------------------------------------------------------


def group_of(zarr_format, lengths, *, attributes=None, names=True):
    """Return the documents of a group with arrays along x, of some lengths."""
    if zarr_format == 2:
        objects = {"g/.zgroup": ZGROUP, ".zgroup": ZGROUP, "g/.zattrs": attributes or {}}
        for name, length in lengths.items():
            objects[f"g/{name}/.zarray"] = zarray((length,), (2,))
            objects[f"g/{name}/.zattrs"] = {"_ARRAY_DIMENSIONS": ["x"]} if names else {}
        return files(objects)
    named = {"dimension_names": ["x"]} if names else {}
    arrays = {f"g/{name}/zarr.json": zarr_json((length,), (2,), **named) for name, length in lengths.items()}
    return files({"zarr.json": GROUP, "g/zarr.json": GROUP | {"attributes": attributes or {}}, **arrays})


def misfits(before, after):
    published = {key: json.loads(body) for key, body in before.items()}
    return [finding.key for finding in misfit_findings("p", look(after).stores[""], published)]


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    ("before", "after", "options", "expected"),
    [
        ({"a": 2, "b": 2}, {"a": 4, "b": 2}, {}, ["g/b"]),
        ({"a": 2, "b": 2}, {"a": 4, "b": 4}, {}, []),
        ({"a": 2, "b": 2}, {"a": 4}, {}, []),
        ({"a": 2, "x": 2}, {"a": 2, "x": 3}, {}, ["g/x"]),
        ({"a": 2}, {"a": 2, "new": 3}, {}, ["g/new"]),
        ({"a": 2, "b": 3}, {"a": 4, "b": 5}, {}, []),
        ({"0": 2}, {"0": 4, "1": 2}, {"attributes": {"multiscales": []}}, []),
        ({"0": 2}, {"0": 4, "1": 2}, {"attributes": {"ome": {"multiscales": []}}}, []),
    ],
)
def test_p11_what_fitted_must_fit(zarr_format, before, after, options, expected):
    assert misfits(group_of(zarr_format, before), group_of(zarr_format, after, **options)) == expected
    unnamed = group_of(zarr_format, before, names=False)
    assert misfits(unnamed, group_of(zarr_format, after)) == []
    assert misfits(group_of(zarr_format, {"a": 1}), group_of(zarr_format, {"a": 1}, names=False)) == ["g/a"]


def test_p11_the_dimensions_of_netcdf():
    def named(length):
        return {**zarray((length,), (2,)), "_NCZARR_ARRAY": {"dimrefs": ["/x"]}}

    def group(a, b):
        return files({".zgroup": ZGROUP, "a/.zarray": named(a), "b/.zarray": named(b)})

    assert misfits(group(2, 2), group(2, 4)) == ["b"]
    assert misfits(group(2, 3), group(2, 4)) == []


def test_p11_an_array_with_a_dimension_that_has_no_name_keeps_a_group_from_being_a_dataset():
    def group(*names):
        return files({"zarr.json": GROUP, "a/zarr.json": zarr_json((2, 4), (2, 2), dimension_names=names)})

    assert misfits(group("y", "x"), group("y", None)) == ["a"]
    assert misfits(group("y", None), group("y", None)) == []


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_stays_beside_an_array_must_have_its_length(zarr_format):
    store = look({f"s/{key}": body for key, body in group_of(zarr_format, {"a": 4, "x": 4}).items()}).stores["s"]

    def told(kept, group="g"):
        documents = {key.replace("g/", f"{group}/"): json.loads(body) for key, body in kept.items()}
        return kept_findings("p", store, documents)

    [found] = told(group_of(zarr_format, {"a": 2, "b": 2, "c": 4}))
    assert (found.level, found.code, found.key) == ("error", "kept-array", "s/g/b")
    assert "stays in the target with 2 along x, and the source has 4" in found.message
    assert told(group_of(zarr_format, {"b": 4})) == []
    assert told(group_of(zarr_format, {"b": 2}), group="other") == []
    assert told(group_of(zarr_format, {"b": 2}, names=False)) == []
    assert told(group_of(5 - zarr_format, {"b": 2})) == [], "readers of this store do not find it"


# --- rasters ----------------------------------------------------------------------------------------------------------


def raster(path, *, driver="COG", **options):
    values = np.random.default_rng(3).integers(0, 2**16, (700, 700)).astype("u2")
    profile = {"width": 700, "height": 700, "count": 1, "dtype": "uint16", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", driver=driver, transform=from_origin(0, 50, 0.1, 0.1), **profile, **options) as file:
        file.write(values, 1)
    return path


WRITERS = {
    "cog": {"blocksize": 128, "compress": "DEFLATE"},
    "cog, big": {"blocksize": 128, "bigtiff": "YES"},
    "tiles": {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256},
    "strips": {"driver": "GTiff", "compress": "LZW"},
    "one strip": {"driver": "GTiff", "blockysize": 700},
    "big endian": {"driver": "GTiff", "endianness": "BIG"},
    "sparse": {"driver": "GTiff", "sparse_ok": True, "tiled": True},
}


@pytest.mark.parametrize("writer", WRITERS)
def test_p11_a_raster_is_whole_or_it_is_not(tmp_path, writer):
    path = raster(tmp_path / "a.tif", **WRITERS[writer])
    assert what_is_missing(str(path)) is None
    body = path.read_bytes()
    for share in (0.9999, 0.9, 0.5, 0.1, 0.01):
        path.write_bytes(body[: int(len(body) * share)])
        assert "ends before" in (what_is_missing(str(path)) or ""), share


def test_rasters_with_masks_overviews_and_empty_tiles_are_whole(tmp_path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = raster(tmp_path / "a.tif", **WRITERS["sparse"])
        with rasterio.open(path, "r+") as file:
            file.write_mask(np.eye(700, dtype="u1") * 255)
            file.build_overviews([2, 4])
    assert what_is_missing(str(path)) is None
    empty = tmp_path / "empty.tif"
    profile = {"width": 512, "height": 512, "count": 1, "dtype": "uint8", "tiled": True, "sparse_ok": True}
    with rasterio.open(empty, "w", driver="GTiff", transform=from_origin(0, 1, 1, 1), **profile):
        pass
    assert what_is_missing(str(empty)) is None


@pytest.mark.parametrize("body", [b"", b"II", b"II*\0", b"no TIFF at all", b"II*\0" + bytes(4)])
def test_what_is_no_tiff_is_left_to_others(tmp_path, body):
    (tmp_path / "f").write_bytes(body)
    missing = what_is_missing(str(tmp_path / "f"))
    assert missing == ("the file ends before its directory" if body == b"II*\0" else None)


def test_directories_in_a_circle_come_to_an_end(tmp_path):
    (tmp_path / "f").write_bytes(b"II*\0" + struct.pack("<IHI", 8, 0, 8))
    assert what_is_missing(str(tmp_path / "f")) is None


@given(body=st.binary(max_size=200), magic=st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]))
def test_any_bytes_have_an_answer(tmp_path_factory, body, magic):
    path = tmp_path_factory.getbasetemp() / "any.tif"
    path.write_bytes(magic + body)
    what_is_missing(str(path))


def test_a_small_cog_is_read_once_and_whole(tmp_path):
    path = write_cog(tmp_path / "a.tif", np.ones((32, 32), "f4"))
    assert what_is_missing(str(path)) is None
    path.write_bytes(path.read_bytes()[:-8])
    assert what_is_missing(str(path)) == "the file ends before 1 of its 1 tiles"


# --- losses -----------------------------------------------------------------------------------------------------------


def planned(*rows):
    usual = {"product": "p", "store": "s", "role": "metadata", "stage": "retire", "action": "retire"}
    return table_of([{**usual, "reason": "gone from the source", **row} for row in rows], PLAN)


def test_what_readers_lose():
    source = look(files({"s/zarr.json": GROUP, "s/t/zarr.json": zarr_json((40,), (10,), dimension_names=["time"])}))
    table = planned(
        {"key": "s/g/zarr.json"}, {"key": "s/g/u/zarr.json"}, {"key": "s/g/u/c/0"},
        {"key": "s/v/zarr.json", "array": "v"}, {"key": "s/v/c/0", "array": "v", "role": "chunk"},
        {"key": "r/.zgroup", "store": "r"}, {"key": "r/a/.zarray", "store": "r"},
        {"key": "s/t/c/1", "array": "t", "role": "chunk", "reason": "vanished chunk"}, {"key": "x.tif", "role": "cog"},
        {"key": "y.TIFF", "role": "cog"}, {"key": "y.tif.ovr", "role": "sidecar"},
        {"key": "kept/.zgroup", "action": "keep", "stage": "group", "reason": "retire: keep"},
        {"key": "waits/.zgroup", "action": "keep", "stage": "group", "reason": "grace"},
        {"key": "waited/.zgroup", "action": "keep", "stage": "group", "reason": "grace"},
    )  # fmt: skip
    manifest = table_of([{"key": "waited/.zgroup", "gone_s": 1}, {"key": "waits/.zgroup"}], MANIFEST)
    shrink = ArrayChange("p", "s", "t", ChangeClass.SHRINK, 0, (50,), (40,))
    losses = losses_of("p", table, source.stores, [shrink], manifest)
    assert {(loss.kind, loss.key, loss.inside) for loss in losses} == {
        ("group", "s/g", None), ("array", "s/g/u", "s/g"), ("array", "s/v", None), ("store", "r", None),
        ("array", "r/a", "r"), ("range", "s/t", None), ("chunks", "s/t", None), ("rasters", "x.tif", None),
        ("store", "waits", None),
    }  # fmt: skip
    assert losses_text(losses, 8) == [
        "store: r, waits", "group: s/g", "array: s/v", "rasters: 2, the first is x.tif", "with them: 2 arrays",
        "range: time 40..49 of 50 (s/t)", "chunks: 1 of s/t, fill value from then on",
    ]  # fmt: skip
    assert losses_text([], 8) == []


def test_what_is_lost_with_others_is_named_by_the_nearest():
    table = planned(*({"key": f"{group}/zarr.json"} for group in ("g", "g/u", "g/u/v")))
    losses = losses_of("p", table, {}, [], table_of([], MANIFEST))
    assert [(loss.kind, loss.key, loss.inside) for loss in losses] == [
        ("store", "g", None), ("group", "g/u", "g"), ("group", "g/u/v", "g/u"),
    ]  # fmt: skip
    assert [loss.to_dict()["count"] for loss in losses] == [1, 1, 1]
    assert losses_of("p", planned(), {}, [], table_of([], MANIFEST)) == []


def test_ranges_are_lost_along_the_axes_that_get_shorter():
    """Also where an array is replaced; and one of other dimensions is another array."""
    documents = {"s/zarr.json": GROUP} | {
        f"s/{name}/zarr.json": zarr_json((4, 9), (2, 3), dimension_names=names)
        for name, names in (("named", ["y", "x"]), ("half", ["y", None]), ("none", None))
    }
    stores = look(files(documents)).stores
    changes = [
        ArrayChange("p", "s", "named", ChangeClass.RESIZE, 0, (8, 5), (4, 9)),
        ArrayChange("p", "s", "half", ChangeClass.INCOMPATIBLE, 0, (5, 9), (4, 9)),
        ArrayChange("p", "s", "none", ChangeClass.SHRINK, 0, (4, 1010), (4, 9)),
        ArrayChange("p", "s", "named", ChangeClass.INCOMPATIBLE, 0, (99,), (4, 9)),
        ArrayChange("p", "s", "named", ChangeClass.REMOVED),
    ]
    losses = losses_of("p", planned(), stores, changes, table_of([], MANIFEST))
    assert [(loss.key, loss.detail, loss.count) for loss in losses] == [
        ("s/named", "y 4..7 of 8", 4), ("s/half", "axis 0 4..4 of 5", 1), ("s/none", "axis 1 9..1,009 of 1,010", 1001),
    ]  # fmt: skip


def test_chunks_are_counted_by_array():
    gone = {"role": "chunk", "reason": "vanished chunk"}
    table = planned(
        *({"key": f"s/t/{number}", "array": "t", **gone} for number in range(3)),
        {"key": "0", "store": "", "array": "", **gone}, {"key": "r/t/0", "store": "r", "array": "t", **gone},
    )  # fmt: skip
    losses = losses_of("p", table, {}, [], table_of([], MANIFEST))
    assert {(loss.kind, loss.key, loss.count) for loss in losses} == {
        ("chunks", "", 1), ("chunks", "r/t", 1), ("chunks", "s/t", 3)
    }  # fmt: skip
