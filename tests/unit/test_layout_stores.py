"""Stores as zarr and xarray write them."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from layout_strategies import consolidate
from trees import read_tree, write_tree

from zsync.layout import describe, is_metadata
from zsync.words import Kind

pytestmark = [
    # zarr-python says that consolidated metadata of v3, and some of its types, are not in the specification.
    pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part"),
    pytest.mark.filterwarnings("ignore:The data type"),
    pytest.mark.filterwarnings("ignore:Object at"),
]

FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


def look(root):
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    keys = [p.relative_to(root).as_posix() for p in paths]
    documents = {k: p.read_bytes() for k, p in zip(keys, paths, strict=True) if is_metadata(Kind.ZARR, k)}
    return describe(Kind.ZARR, "p", keys, documents, [p.stat().st_size for p in paths])


def store_of(root):
    layout = look(root)
    assert [f for f in layout.findings if f.level == "error"] == []
    return layout.stores[""]


def apply(root, made):
    for key, content in made.items():
        (root / key).write_bytes(content)


def members(root, **options):
    """Return all that consolidated metadata says of a store."""
    group = zarr.open_group(root, mode="r", use_consolidated=True, **options)
    nodes = group.members(max_depth=None)
    told = {path: json.dumps(node.metadata.to_dict(), sort_keys=True) for path, node in nodes}
    return list(told), told, dict(group.attrs)


def dataset(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "t2m": (("time", "y", "x"), rng.random((n, 5, 4)).astype("f4"), {"units": "K", "ratio": 1e300}),
            "flag": (("y", "x"), rng.integers(0, 9, (5, 4)).astype("i2")),
            "name": ("x", np.array(["a", "bb", "ccc", "d"])),
            "ok": ("x", np.array([True, False, True, True])),
            "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"}),
        },
        coords={"time": np.arange(n).astype("M8[D]").astype("M8[ns]"), "x": np.arange(4.0)},
        attrs={"title": "Ünï", "history": ["a", "b"], "n": 1, "f": 1.0},
    )


@functools.cache
def nested(zarr_format, consolidated):
    """Return a store with nested groups, as xarray writes it: key to bytes."""
    with tempfile.TemporaryDirectory() as root:
        write_nested(root, zarr_format, consolidated)
        return read_tree(Path(root))


def write(root, zarr_format, *, consolidated=True):
    write_tree(root, nested(zarr_format, consolidated))


def write_nested(root, zarr_format, consolidated):
    for group in (None, "north", "north/high"):
        chunks = {"t2m": {"chunks": (2, 3, 2)}, "time": {"chunks": (4,)}}
        dataset().to_zarr(root, group=group, mode="a", zarr_format=zarr_format, consolidated=False, encoding=chunks)
    zarr.open_group(root, mode="r+").create_group("empty")
    if consolidated:
        zarr.consolidate_metadata(root)


@FORMATS
def test_all_chunks_are_found(tmp_path, zarr_format):
    write(tmp_path, zarr_format)
    layout = look(tmp_path)
    assert layout.findings == ()
    rows = layout.objects.to_pylist()
    assert {row["role"] for row in rows} <= {"chunk", "metadata", "consolidated"}
    store = layout.stores[""]
    assert set(store.groups) == {"", "north", "north/high", "empty"}
    for path, array in zarr.open_group(tmp_path, mode="r").members(max_depth=None):
        if isinstance(array, zarr.Array):
            grid = store.arrays[path].grid
            assert (store.arrays[path].shape, grid.chunks, grid.size) == (array.shape, array.chunks, array.nchunks)
            chunks = [row for row in rows if row["array"] == path and row["role"] == "chunk"]
            assert [row["in_grid"] for row in chunks] == [True] * array.nchunks_initialized


ENCODINGS = [
    (2, {"chunk_key_encoding": {"name": "v2", "separator": "."}}),
    (2, {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
    (3, {"chunk_key_encoding": {"name": "default", "separator": "/"}}),
    (3, {"chunk_key_encoding": {"name": "default", "separator": "."}}),
    (3, {"chunk_key_encoding": {"name": "v2", "separator": "."}}),
    (3, {"chunk_key_encoding": {"name": "v2", "separator": "/"}}),
]
SHAPES = [(), (7,), (7, 5), (3, 5, 4)]
# An array without dimensions has no shards.
CASES = [(*encoding, shape) for encoding in ENCODINGS for shape in SHAPES]
CASES += [(3, {"shards": (4,) * len(shape)}, shape) for shape in SHAPES if shape]


@pytest.mark.parametrize(("zarr_format", "options", "shape"), CASES)
def test_key_encodings(tmp_path, zarr_format, options, shape):
    chunks = (2,) * len(shape)
    array = zarr.create_array(
        tmp_path, shape=shape, chunks=chunks, dtype="f4", zarr_format=zarr_format, fill_value=0, **options
    )
    array[...] = 1
    layout = look(tmp_path)
    assert layout.findings == ()
    grid = layout.stores[""].arrays[""].grid
    chunk_rows = [row for row in layout.objects.to_pylist() if row["role"] == "chunk"]
    assert {row["key"] for row in chunk_rows} == {grid.key(i) for i in np.ndindex(grid.extent)}
    assert len(chunk_rows) == grid.size
    assert all(row["in_grid"] for row in chunk_rows)
    assert grid.chunks == options.get("shards", chunks)


# Consolidated metadata that is true


@FORMATS
def test_a_fresh_store_is_published_as_it_is(tmp_path, zarr_format):
    write(tmp_path, zarr_format)
    assert consolidate(store_of(tmp_path)) == {}


@FORMATS
def test_an_appended_store_is_published_as_it_is(tmp_path, zarr_format):
    encoding = {"t2m": {"chunks": (2, 3, 2)}, "time": {"chunks": (4,)}}
    dataset().to_zarr(tmp_path, zarr_format=zarr_format, consolidated=True, encoding=encoding)
    assert consolidate(store_of(tmp_path)) == {}
    dataset(4, seed=1).drop_vars(["flag", "name", "ok", "crs", "x"]).to_zarr(
        tmp_path, append_dim="time", consolidated=True
    )
    assert consolidate(store_of(tmp_path)) == {}
    assert store_of(tmp_path).arrays["t2m"].shape == (10, 5, 4)


@FORMATS
def test_types_and_codecs(tmp_path, zarr_format):
    root = zarr.create_group(tmp_path, zarr_format=zarr_format)
    dtypes = ["?", "u1", ">i4", "f2", "c8", "U3", "S3", "M8[s]", "m8[ns]", [("a", "i4"), ("b", "f8")], str]
    for number, dtype in enumerate(dtypes):
        root.create_array(f"d{number}", shape=(3,), dtype=dtype)
    for number, fill in enumerate([np.nan, np.inf, -np.inf, -0.0, 1e300, 3]):
        root.create_array(f"f{number}", shape=(3,), dtype="f8", fill_value=fill)
    root.create_array("plain", shape=(3,), dtype="f8", compressors=None)
    root.create_array("named", shape=(3,), dtype="f8", attributes={"a": {"b": [1, 1.0, None, True]}})
    before = store_of(tmp_path)
    zarr.consolidate_metadata(tmp_path)
    assert consolidate(store_of(tmp_path)) == {}
    ours = consolidate(before)
    assert ours != {}
    theirs = members(tmp_path)
    apply(tmp_path, ours)
    assert members(tmp_path) == theirs


def test_bare_nan_of_older_writers(tmp_path):
    zarr.create_group(tmp_path, zarr_format=2).create_array("a", shape=(3,), dtype="f8", fill_value=np.nan)
    text = (tmp_path / "a/.zarray").read_text()
    assert text.count('"NaN"') == 1
    (tmp_path / "a/.zarray").write_text(text.replace('"NaN"', "NaN"))
    made = consolidate(store_of(tmp_path))
    assert b'"fill_value": "NaN"' in made[".zmetadata"]
    zarr.consolidate_metadata(tmp_path)
    assert consolidate(store_of(tmp_path)) == {}


# Consolidated metadata that is missing, or no longer true


@FORMATS
@pytest.mark.parametrize("state", ["missing", "resized", "new attributes", "new array", "new group", "gone"])
def test_made_as_zarr_would(tmp_path, zarr_format, state):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, zarr_format, consolidated=state != "missing")
    root = zarr.open_group(ours, mode="r+", use_consolidated=False)
    if state == "resized":
        root["north/t2m"].resize((4, 5, 4))
    elif state == "new attributes":
        root["north/high/crs"].attrs["more"] = [1, 2.5]
    elif state == "new array":
        named = {"attributes": {"_ARRAY_DIMENSIONS": ["k"]}} if zarr_format == 2 else {"dimension_names": ["k"]}
        root["north"].create_array("new", shape=(3,), dtype="i4", **named)
    elif state == "new group":
        root.create_group("south/low")
    elif state == "gone":
        del root["north/high"]
    shutil.copytree(ours, theirs)
    made = consolidate(store_of(ours))
    assert list(made) == [".zmetadata" if zarr_format == 2 else "zarr.json"]
    apply(ours, made)
    zarr.consolidate_metadata(theirs)
    assert members(ours) == members(theirs)
    assert consolidate(store_of(ours)) == {}
    assert consolidate(store_of(theirs)) == {}
    for group in store_of(ours).groups:
        options = {"group": group or None, "consolidated": True}
        if state != "resized" or group != "north":
            xr.testing.assert_identical(xr.open_zarr(ours, **options).load(), xr.open_zarr(theirs, **options).load())


@FORMATS
def test_a_resized_array_is_read_at_its_new_length(tmp_path, zarr_format):
    dataset().to_zarr(tmp_path, zarr_format=zarr_format, consolidated=True, encoding={"time": {"chunks": (4,)}})
    root = zarr.open_group(tmp_path, mode="r+", use_consolidated=False)
    for name in ("t2m", "time"):
        root[name].resize((3, *root[name].shape[1:]))
    assert xr.open_zarr(tmp_path).sizes["time"] == 6
    apply(tmp_path, consolidate(store_of(tmp_path)))
    assert xr.open_zarr(tmp_path, consolidated=True).sizes["time"] == 3


@FORMATS
def test_subgroups_with_consolidated_metadata_of_their_own(tmp_path, zarr_format):
    write(tmp_path, zarr_format)
    zarr.consolidate_metadata(tmp_path, path="north")
    assert consolidate(store_of(tmp_path)) == {}
    zarr.open_group(tmp_path, mode="r+", use_consolidated=False)["north/high/flag"].resize((2, 2))
    made = consolidate(store_of(tmp_path))
    name = ".zmetadata" if zarr_format == 2 else "zarr.json"
    assert set(made) == {name, f"north/{name}"}
    apply(tmp_path, made)
    assert zarr.open_consolidated(tmp_path / "north")["high/flag"].shape == (2, 2)
    assert zarr.open_consolidated(tmp_path)["north/high/flag"].shape == (2, 2)
    assert consolidate(store_of(tmp_path)) == {}


@FORMATS
def test_xarray_writes_of_a_group_leave_the_root_to_be_made(tmp_path, zarr_format):
    dataset().to_zarr(tmp_path, group="north", zarr_format=zarr_format, consolidated=True)
    apply(tmp_path, consolidate(store_of(tmp_path)))
    assert consolidate(store_of(tmp_path)) == {}
    xr.testing.assert_identical(xr.open_zarr(tmp_path, group="north", consolidated=True).load(), dataset())


@FORMATS
def test_groups_without_metadata_are_listed(tmp_path, zarr_format):
    write(tmp_path, zarr_format)
    expected = members(tmp_path)
    for name in (".zgroup", ".zattrs", "zarr.json"):
        (tmp_path / "north" / name).unlink(missing_ok=True)
    layout = look(tmp_path)
    assert [f.code for f in layout.findings] == ["implicit-group"]
    for attributes in tmp_path.rglob(".zmetadata"):
        attributes.unlink()
    apply(tmp_path, consolidate(store_of(tmp_path)))
    order, told, _ = members(tmp_path)
    assert order == expected[0]
    assert {k for k in told if told[k] != expected[1][k]} <= {"north"}
    xr.testing.assert_identical(xr.open_zarr(tmp_path, group="north/high", consolidated=True).load(), dataset())


@FORMATS
def test_the_union_with_what_stays_in_the_target(tmp_path, zarr_format):
    source, target = tmp_path / "source", tmp_path / "target"
    write(target, zarr_format)
    dataset(3).to_zarr(source, zarr_format=zarr_format, consolidated=True, encoding={"time": {"chunks": (4,)}})
    extra = store_of(target).documents
    made = consolidate(store_of(source), extra)
    shutil.copytree(source, target, dirs_exist_ok=True)
    apply(target, made)
    assert xr.open_zarr(target, consolidated=True).sizes["time"] == 3
    assert xr.open_zarr(target, group="north/high", consolidated=True).sizes["time"] == 6
    assert consolidate(store_of(source), extra | {k: json.loads(v) for k, v in made.items()}) == made


def test_an_array_is_a_store(tmp_path):
    zarr.create_array(tmp_path, shape=(4,), dtype="i4", zarr_format=2)[:] = 1
    assert consolidate(store_of(tmp_path)) == {}
