"""What the files of cog and files products are, and content types."""

from __future__ import annotations

import pytest

from zsync.layout import content_type, describe, is_metadata, store_roots
from zsync.tables import OBJECTS
from zsync.words import Kind, Role

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@pytest.mark.parametrize(
    ("key", "role", "stage", "rank", "media"),
    [
        ("a.tif", "cog", "data", 0, COG),
        ("d/A.TIFF", "cog", "data", 0, COG),
        ("a.tif.aux.xml", "sidecar", "data", -10, "application/xml"),
        ("A.TIF.AUX.XML", "sidecar", "data", -10, "application/xml"),
        ("a.tif.msk", "sidecar", "data", -10, "image/tiff"),
        ("a.tif.ovr", "sidecar", "data", -10, "image/tiff"),
        ("a.tif.msk.ovr", "sidecar", "data", -10, "image/tiff"),
        ("a.tfw", "sidecar", "data", -10, "text/plain"),
        ("a.prj", "sidecar", "data", -10, "text/plain"),
        ("mosaic.vrt", "index", "root", 10, "application/xml"),
        ("items/a.json", "index", "root", 10, "application/json"),
        ("items/a.geojson", "index", "root", 10, "application/geo+json"),
        ("items/collection.json", "index", "root", 20, "application/json"),
        ("Catalog.JSON", "index", "root", 30, "application/json"),
        ("index.json", "index", "root", 30, "application/json"),
        ("index.geojson", "index", "root", 30, "application/geo+json"),
        ("latest.json", "index", "root", 30, "application/json"),
        ("my-catalog.json", "index", "root", 10, "application/json"),
        ("items.parquet", "index", "root", 20, "application/vnd.apache.parquet"),
        ("refs.0.parq", "index", "root", 10, "application/octet-stream"),
        (".zmetadata", "index", "root", 15, "application/octet-stream"),
        ("zmetadata", "index", "root", 15, "application/octet-stream"),
        ("tiles.gti.gpkg", "index", "root", 10, "application/geopackage+sqlite3"),
        ("tiles.gti.fgb", "index", "root", 10, "application/octet-stream"),
        ("tiles.gti", "index", "root", 10, "application/octet-stream"),
        ("mosaic.json.gz", "index", "root", 10, "application/gzip"),
        ("collection.json.gz", "index", "root", 20, "application/gzip"),
        ("refs.0.parquet", "index", "root", 10, "application/vnd.apache.parquet"),
        ("catalog.xml", "index", "root", 30, "application/xml"),
        ("a.gti.xml", "index", "root", 10, "application/xml"),
        ("a.vrt.xml", "index", "root", 10, "application/xml"),
        ("a.shp", "index", "root", 15, "application/octet-stream"),
        ("a.dbf", "index", "root", 10, "application/octet-stream"),
        ("catalog.html", "index", "root", 40, "text/html"),
        ("index.html", "index", "root", 40, "text/html"),
        ("catalog.json/readme", "file", "data", 0, "application/octet-stream"),
        ("iso.xml", "file", "data", 0, "application/xml"),
        ("preview.png", "file", "data", 0, "image/png"),
        ("tif", "file", "data", 0, "application/octet-stream"),
        ("x.tif/part", "file", "data", 0, "application/octet-stream"),
    ],
)
def test_cog(key, role, stage, rank, media):
    layout = describe(Kind.COG, "p", [key], {})
    (row,) = layout.objects.to_pylist()
    expected = {"key": key, "store": None, "array": None, "role": role, "stage": stage, "rank": rank, "in_grid": None}
    assert row == expected
    assert layout.objects.schema == OBJECTS
    assert layout.findings == ()
    assert content_type(Kind.COG, Role(role), key) == media


@pytest.mark.parametrize(
    ("key", "media"),
    [
        ("a.tif", "image/tiff"),
        ("A.CSV", "text/csv"),
        ("a.txt", "text/plain"),
        ("a.html", "text/html"),
        ("a.nc", "application/x-netcdf"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("zarr.json", "application/json"),
        ("csv", "application/octet-stream"),
        ("a.csv/b", "application/octet-stream"),
        ("a.unheard", "application/octet-stream"),
        (".zattrs", "application/octet-stream"),
    ],
)
def test_files(key, media):
    layout = describe(Kind.FILES, "p", [key], {})
    (row,) = layout.objects.to_pylist()
    is_index = key.endswith((".html", ".parquet", "zarr.json", ".zattrs"))
    assert (row["role"], row["stage"], row["store"]) == (("index", "root") if is_index else ("file", "data")) + (None,)
    assert content_type(Kind.FILES, Role.FILE, key) == media


def test_stores_among_files_are_told():
    keys = ["a.zarr/t/.zarray", "a.zarr/.zgroup", "a.zarr/t/0", "b/zarr.json", "b/c/zarr.json", "d.tif"]
    told = describe(Kind.COG, "p", keys, {}).findings
    assert {(found.level, found.code, found.key) for found in told} == {
        ("error", "zarr-as-cog", "a.zarr/.zgroup"), ("error", "zarr-as-cog", "b/c/zarr.json"),
    }  # fmt: skip
    assert [found.message.partition(" is ")[0] for found in told] == ["a.zarr", "b"]
    [alone] = describe(Kind.COG, "p", [".zgroup", "t/.zarray"], {}).findings
    assert (alone.key, alone.message.partition(" is ")[0]) == (".zgroup", "the product")
    [found] = describe(Kind.FILES, "p", keys, {}).findings
    assert (found.level, found.code, found.key) == ("warning", "zarr-as-files", "a.zarr/.zgroup")
    assert found.message.endswith("(the first of 2)")


@pytest.mark.parametrize(
    ("keys", "roots"),
    [
        (["a/.zgroup", "a/t/.zarray"], {"a"}), ([".zgroup", "t/.zarray", "x"], {""}), (["x.txt", "d/0"], set()),
        (["m/s.zarr/t/0"], {"m/s.zarr"}), (["o.zarr/m/s.zarr/t/0", "o.zarr/m/s.zarr/.zgroup"], {"o.zarr/m/s.zarr"}),
        (["s.zarr"], set()),
    ],
)  # fmt: skip
def test_roots_of_stores_are_told_by_documents_or_by_their_names(keys, roots):
    assert store_roots(keys) == roots


@pytest.mark.parametrize("kind", [Kind.COG, Kind.FILES])
def test_no_keys(kind):
    assert describe(kind, "p", [], {}).objects.num_rows == 0


@pytest.mark.parametrize(
    ("role", "key", "media"),
    [
        (Role.METADATA, "t2m/.zarray", "application/json"),
        (Role.METADATA, "zarr.json", "application/json"),
        (Role.CONSOLIDATED, ".zmetadata", "application/json"),
        (Role.CHUNK, "t2m/0.0", "application/octet-stream"),
        (Role.CHUNK, "t2m/0.json", "application/octet-stream"),
        (Role.FOREIGN, "README.md", "text/markdown"),
        (Role.FOREIGN, "x.tif", "image/tiff"),
    ],
)
def test_content_types_of_zarr(role, key, media):
    assert content_type(Kind.ZARR, role, key) == media


@pytest.mark.parametrize("name", [".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json"])
def test_is_metadata(name):
    assert is_metadata(Kind.ZARR, name)
    assert is_metadata(Kind.ZARR, f"a/b/{name}")
    assert not is_metadata(Kind.ZARR, f"a/{name}/x")
    assert not is_metadata(Kind.ZARR, f"a/x{name}")
    assert not is_metadata(Kind.COG, name)
    assert not is_metadata(Kind.FILES, name)
