# /// script
# requires-python = ">=3.12"
# dependencies = ["rasterio==1.5.2", "rio-cogeo==7.0.4", "numpy==2.5.5"]
# ///
"""GDAL writes COGs, their sidecars, mosaics and catalogs; rio-cogeo writes some."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import rasterio
from corpus import Corpus
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.transform import from_origin
from rio_cogeo import cog_profiles, cog_translate

warnings.simplefilter("ignore")
CORPUS = Corpus("GDAL (COG)", "rasterio", "rio-cogeo")
CORPUS.packages["GDAL"] = rasterio.__gdal_version__


def pixels(size=64, k=0, dtype="u1"):
    return ((np.arange(size)[:, None] // 7 + np.arange(size)[None] // 5 + k) % 97 + 1).astype(dtype)


def cog(path, k=0, size=64, west=5.0, mask=False, dtype="u1", **options):
    """Write a raster through GDAL's COG driver; an overview is there at this size as well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = {"crs": "EPSG:4326", "transform": from_origin(west, 50, 0.1, 0.1)}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=size, height=size, count=1, dtype=dtype, **place) as raster:
            raster.write(pixels(size, k, dtype), 1)
            if mask:
                raster.write_mask(pixels(size, k) % 2 == 0)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            more = {"blocksize": 128, "overview_count": 1, "compress": "deflate", **options}
            copy(memory.name, path, driver="COG", **more)


def read(directory):
    held = {}
    for path in sorted(directory.rglob("*.tif")):
        with rasterio.open(path) as raster:
            held[path.relative_to(directory).as_posix()] = raster.read()
    return held


def case(name, layout, does, make, change, product="cog"):
    def first(directory):
        shutil.rmtree(directory)
        directory.mkdir()
        make(directory)

    CORPUS.case(name, layout, does, first, change, read=read, product=product)


def item(directory, name):
    document = {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": {"data": {"href": f"./{name}.tif"}}}
    (directory / f"{name}.json").write_text(json.dumps(document, indent=1))


def collection(directory):
    links = [{"rel": "item", "href": f"./{path.stem}.json"} for path in sorted(directory.glob("*.tif"))]
    document = {"type": "Collection", "id": "days", "links": links}
    (directory / "collection.json").write_text(json.dumps(document, indent=1))


def mosaic(directory):
    """A VRT over all rasters of a directory, as gdalbuildvrt writes it."""
    sources = "".join(
        f'<SimpleSource><SourceFilename relativeToVRT="1">{path.name}</SourceFilename><SourceBand>1</SourceBand>'
        f'<DstRect xOff="{64 * n}" yOff="0" xSize="64" ySize="64"/></SimpleSource>'
        for n, path in enumerate(sorted(directory.glob("*.tif")))
    )
    width = 64 * len(list(directory.glob("*.tif")))
    band = f'<VRTRasterBand dataType="Byte" band="1">{sources}</VRTRasterBand>'
    (directory / "all.vrt").write_text(f'<VRTDataset rasterXSize="{width}" rasterYSize="64">{band}</VRTDataset>\n')


def days(directory, numbers=(1, 2, 3), k=0):
    for n in numbers:
        cog(directory / f"oco3_lauder_2020-01-{n:02}_filtered_xco2.tif", k=n + k, west=5 + 6.4 * n)
        item(directory, f"oco3_lauder_2020-01-{n:02}_filtered_xco2")
    mosaic(directory)
    collection(directory)


def without_a_day(directory):
    for path in directory.glob("*-02_*"):
        path.unlink()
    mosaic(directory)
    collection(directory)


case("days", "COGs, STAC, VRT", "append", days, lambda directory: days(directory, (4,)))
case("days-anew", "COGs, STAC, VRT", "rewrite", days, lambda directory: days(directory, (2,), k=30))
case("days-less", "COGs, STAC, VRT", "remove", days, without_a_day)


def beside(path):
    """Overviews, mask, statistics and a world file beside a raster, as gdaladdo -ro and others leave them."""
    cog(path, overviews="NONE")
    with rasterio.open(path) as raster:
        raster.statistics(1)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+", ignore_cog_layout_break=True) as raster:
        raster.build_overviews([2], Resampling.nearest)
    with rasterio.open(f"{path}.msk", "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8") as mask:
        mask.write(np.where(pixels() % 3, 255, 0).astype("u1"), 1)
    path.with_suffix(".tfw").write_text("0.1\n0\n0\n-0.1\n5.05\n49.95\n")


def family(directory):
    beside(directory / "a.tif")
    cog(directory / "b.tif", k=9)


def family_anew(directory):
    for path in directory.glob("a.*"):
        path.unlink()
    cog(directory / "a.tif", k=40)


case("family", "overviews, mask, statistics beside", "rewrite", lambda d: cog(d / "b.tif", k=9), family)
case("family-anew", "overviews, mask, statistics beside, then none", "rewrite", family, family_anew)

KINDS = {
    "masked": {"mask": True},
    "zstd": {"compress": "zstd", "predictor": "2"},
    "lerc": {"compress": "lerc", "dtype": "f4"},
    "lzw-web": {"compress": "lzw", "tiling_scheme": "GoogleMapsCompatible", "blocksize": 128},
    "sparse": {"sparse_ok": True},
    "big": {"bigtiff": "yes"},
    "no-overviews": {"overviews": "NONE"},
}


def kinds(directory, k=0):
    for name, options in KINDS.items():
        cog(directory / "kinds" / f"{name}.tif", k=k, **options)
    profile = cog_profiles.get("deflate")
    profile.update(blockxsize=128, blockysize=128)
    cog(directory / "source.tif", k=k)
    cog_translate(
        str(directory / "source.tif"), str(directory / "kinds" / "rio-cogeo.tif"), profile, quiet=True, in_memory=True
    )
    (directory / "source.tif").unlink()


case("kinds", "compressions, masks, sparse, BigTIFF", "rewrite", kinds, lambda directory: kinds(directory, k=50))


def plain(directory, k=0):
    place = {"crs": "EPSG:4326", "transform": from_origin(5, 50, 0.1, 0.1), "width": 64, "height": 64, "count": 1}
    for name, options in {"strips": {}, "tiled": {"tiled": True, "blockxsize": 32, "blockysize": 32}}.items():
        with rasterio.open(directory / f"{name}.tif", "w", driver="GTiff", dtype="uint8", **place, **options) as raster:
            raster.write(pixels(k=k), 1)


case("plain", "GeoTIFFs that are no COGs", "rewrite", plain, lambda directory: plain(directory, k=50))
case("as-files", "COGs published as files", "append", days, lambda directory: days(directory, (4,)), product="files")
