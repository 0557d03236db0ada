# /// script
# requires-python = ">=3.12"
# dependencies = ["ome-zarr==0.21.0", "zarr==3.4.2", "numpy==2.5.5"]
# ///
"""ome-zarr-py writes OME-NGFF 0.4 (format 2) and 0.5 (format 3): images, labels, plates."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import zarr
from corpus import Corpus
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.writer import write_image, write_labels, write_plate_metadata, write_well_metadata

warnings.simplefilter("ignore")
CORPUS = Corpus("OME-Zarr", "ome-zarr", "zarr")


def pixels(k=0, channels=2, size=16):
    return (np.arange(channels * size * size).reshape(channels, size, size) % 251 + k).astype("u1")


def opened(store, fmt, mode="w"):
    return zarr.open_group(str(store), mode=mode, zarr_format=fmt.zarr_format)


def image(group, fmt, k=0, size=16, chunks=(1, 8, 8), **more):
    write_image(
        pixels(k, size=size), group, scale_factors=[2], axes="cyx", fmt=fmt, storage_options={"chunks": chunks, **more}
    )


def plate(group, fmt, wells=("A/1", "A/2", "B/1"), k=0):
    rows, columns = sorted({well[0] for well in wells}), sorted({well[2] for well in wells})
    write_plate_metadata(group, rows, columns, list(wells), fmt=fmt)
    for well in wells:
        inner = group.require_group(well)
        write_well_metadata(inner, ["0"], fmt=fmt)
        image(inner.require_group("0"), fmt, k)


for fmt in (FormatV04(), FormatV05()):
    name = fmt.version

    def first(store, fmt=fmt, **more):
        image(opened(store, fmt), fmt, **more)

    def labelled(store, fmt=fmt, k=0):
        group = opened(store, fmt, "a")
        write_labels((pixels(k)[0] > 100).astype("i4"), group, "cells", scale_factors=[2], axes="yx", fmt=fmt)

    def relabelled(store, fmt=fmt):
        shutil.rmtree(store / "labels")
        labelled(store, fmt, k=30)

    def both(store, fmt=fmt):
        first(store, fmt)
        labelled(store, fmt)

    def attributes(store, fmt=fmt):
        opened(store, fmt, "a").attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}

    def without_labels(store, fmt=fmt):
        shutil.rmtree(store / "labels")

    def screen(store, fmt=fmt):
        plate(opened(store, fmt), fmt)

    def more_wells(store, fmt=fmt):
        plate(opened(store, fmt), fmt, ("A/1", "A/2", "B/1", "B/2"))

    CORPUS.case(f"image-{name}-rewrite", f"an image of two levels, {name}", "rewrite", first, lambda s: first(s, k=3))
    CORPUS.case(f"image-{name}-attributes", f"an image of two levels, {name}", "attributes", first, attributes)
    CORPUS.case(f"image-{name}-larger", f"an image of two levels, {name}", "append", first, lambda s: first(s, size=24))
    CORPUS.case(f"labels-{name}-add", f"labels are added, {name}", "add", first, labelled)
    CORPUS.case(f"labels-{name}-rewrite", f"an image and labels, {name}", "rewrite", both, relabelled)
    CORPUS.case(f"labels-{name}-remove", f"an image and labels, {name}", "remove", both, without_labels)
    CORPUS.case(f"plate-{name}-add", f"a plate gets a well, {name}", "add", screen, more_wells)
    if name == "0.5":
        sharded = {"chunks": (1, 8, 8), "shards": (1, 16, 16)}
        CORPUS.case(
            "image-0.5-sharded", "an image in shards, 0.5", "rewrite",
            lambda s, o=sharded: first(s, **o), lambda s, o=sharded: first(s, k=3, **o),
        )  # fmt: skip
