# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["spatialdata==0.8.0", "zarr==3.4.2", "numpy==2.5.5"]
# ///
"""SpatialData writes images, labels, points (Parquet), shapes (GeoParquet) and tables into one hierarchy."""

from __future__ import annotations

import shutil
import warnings

warnings.simplefilter("ignore")

import anndata  # noqa: E402
import dask.dataframe as dd  # noqa: E402
import geopandas  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import spatialdata as sd  # noqa: E402
from corpus import Corpus  # noqa: E402
from shapely import Point  # noqa: E402
from spatialdata.models import Image2DModel, Labels2DModel, PointsModel, ShapesModel, TableModel  # noqa: E402

CORPUS = Corpus("SpatialData", "spatialdata", "zarr")


def specimen(k=0):
    image = Image2DModel.parse((np.arange(2 * 64).reshape(2, 8, 8) + k).astype("u1"), dims=("c", "y", "x"))
    labels = Labels2DModel.parse((np.arange(64).reshape(8, 8) // 16 + 1).astype("i4"), dims=("y", "x"))
    places = pd.DataFrame({"x": [1.0, 2, 3], "y": [1.0, 2, 3 + k], "gene": pd.Categorical(["a", "b", "a"])})
    points = PointsModel.parse(dd.from_pandas(places, npartitions=1))
    circles = geopandas.GeoDataFrame({"geometry": [Point(1, 1), Point(2, 2)], "radius": [1.0, 2.0]})
    shapes = ShapesModel.parse(circles)
    return sd.SpatialData(
        images={"image": image}, labels={"cells": labels}, points={"spots": points}, shapes={"circles": shapes}
    )


def table():
    obs = pd.DataFrame({"region": pd.Categorical(["cells"] * 4), "cell": [1, 2, 3, 4]}, index=list("abcd"))
    counts = anndata.AnnData(np.arange(8.0).reshape(4, 2).astype("f4"), obs=obs)
    return TableModel.parse(counts, region="cells", region_key="region", instance_key="cell")


def written(k=0):
    def write(store):
        shutil.rmtree(store, ignore_errors=True)
        specimen(k).write(store)

    return write


def with_table(store):
    held = sd.read_zarr(store)
    held["table"] = table()
    held.write_element("table")
    held.write_consolidated_metadata()


def without_points(store):
    held = sd.read_zarr(store)
    del held["spots"]
    held.delete_element_from_disk("spots")
    held.write_consolidated_metadata()


CORPUS.case("rewrite", "images, labels, points, shapes", "rewrite", written(), written(k=4))
CORPUS.case("table", "a table is added", "add", written(), with_table)
CORPUS.case("without", "points are removed", "remove", written(), without_points)
