# /// script
# requires-python = ">=3.11"
# dependencies = ["netCDF4==1.7.5.1.post1", "numpy==2.5.5"]
# ///
"""NCZarr: the netCDF-C library writes format 2 with attributes of its own, and none consolidated."""

from __future__ import annotations

import os
import shutil

import netCDF4
import numpy as np
from corpus import Corpus

CORPUS = Corpus("NCZarr", "netCDF4")
CORPUS.packages["netcdf-c"] = netCDF4.__netcdf4libversion__


def dataset(store, mode, kind="nczarr"):
    """Open a store; who updates one is asked whether it is there, as if a URL were a path."""
    os.path.exists = lambda _: True
    return netCDF4.Dataset(f"file://{store}#mode={kind},file", mode)


def found(store):
    def visit(group, path):
        for name, variable in group.variables.items():
            variable.set_auto_maskandscale(False)
            yield f"{path}/{name}".strip("/"), np.asarray(variable[...])
        for name, inner in group.groups.items():
            yield from visit(inner, f"{path}/{name}")

    with dataset(store, "r") as root:
        return dict(visit(root, ""))


def values(*shape, k=0):
    return (np.arange(np.prod(shape)).reshape(shape) + k + 1).astype("f4")


def make(kind="nczarr", limit=None, groups=True, title="NCZarr", **options):
    def made(store):
        shutil.rmtree(store, ignore_errors=True)
        with dataset(store, "w", kind) as root:
            root.title = title
            for group in (root, root.createGroup("inner")) if groups else (root,):
                group.createDimension("time", limit)
                group.createDimension("x", 3)
                time = group.createVariable("time", "i4", ("time",), chunksizes=(4,))
                time.units = "days since 2020-01-01"
                data = group.createVariable("t2m", "f4", ("time", "x"), chunksizes=(2, 3), **options)
                data.units = "K"
                time[:4] = np.arange(4)
                data[:4] = values(4, 3)
                group.createVariable("crs", "i4", ())[...] = 1

    return made


def append(store):
    with dataset(store, "r+") as root:
        for group in (root, *root.groups.values()):
            group.variables["time"][4:6] = np.arange(4, 6)
            group.variables["t2m"][4:6] = values(2, 3, k=40)


def rewrite(store):
    with dataset(store, "r+") as root:
        root["t2m"][1] = -1


CASES = {
    "append": ("groups, an unlimited dimension", "append", make(), append),
    "rewrite": ("groups", "rewrite", make(), rewrite),
    "rewrite-zarr": ("its pure Zarr mode", "rewrite", make("zarr", 4, groups=False), rewrite),
    "rewrite-deflated": ("deflated and shuffled", "rewrite", make(zlib=True, shuffle=True), rewrite),
    "attributes": ("groups", "attributes", make(), make(title="other")),
}
for name, (layout, does, first, change) in CASES.items():
    CORPUS.case(name, layout, does, first, change, read=found)
