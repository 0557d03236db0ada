# /// script
# requires-python = ">=3.12"
# dependencies = ["rasterio==1.5.2", "numpy==2.5.5"]
# ///
"""GDAL writes rasters: its Zarr driver (formats 2 and 3)."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import rasterio
from corpus import Corpus
from rasterio.transform import from_origin

warnings.simplefilter("ignore")
ZARR = Corpus("GDAL (Zarr driver)", "rasterio")
GDAL = {"GDAL": rasterio.__gdal_version__}
ZARR.packages |= GDAL


def pixels(size=32, k=0, dtype="f4"):
    return (np.arange(size * size).reshape(size, size) % 97 + k + 1).astype(dtype)


def profile(size=32, **more):
    place = {"crs": "EPSG:4326", "transform": from_origin(5, 50, 0.1, 0.1)}
    return {"width": size, "height": size, "count": 1, "dtype": "float32", **place, **more}


def zarr(**options):
    def made(store):
        shutil.rmtree(store, ignore_errors=True)
        with rasterio.open(store, "w", driver="Zarr", **profile(), **options) as raster:
            raster.write(pixels(), 1)

    return made


def rewrite(store):
    with rasterio.open(store, "r+") as raster:
        raster.write(pixels(8, k=500), 1, window=rasterio.windows.Window(0, 0, 8, 8))


def tags(store):
    with rasterio.open(store, "r+") as raster:
        raster.update_tags(1, units="K")


def raster_of(store):
    with rasterio.open(store) as raster:
        return {"data": raster.read(1)}


V2, V3 = {"format": "ZARR_V2", "blocksize": "16,16"}, {"format": "ZARR_V3", "blocksize": "16,16"}
FORMS = {
    "v2": ("format 2", V2),
    "v2-zstd": ("format 2, zstd, keys with /", {**V2, "compress": "ZSTD", "dim_separator": "/"}),
    "v3": ("format 3", V3),
    "v3-gzip": ("format 3, gzip", {**V3, "compress": "GZIP"}),
    "geozarr": ("format 3, GeoZarr conventions", {**V3, "georeferencing_convention": "SPATIAL_PROJ"}),
}
for name, (layout, options) in FORMS.items():
    ZARR.case(f"{name}-rewrite", layout, "rewrite", zarr(**options), rewrite, read=raster_of)
    ZARR.case(f"{name}-attributes", layout, "attributes", zarr(**options), tags, read=raster_of)
