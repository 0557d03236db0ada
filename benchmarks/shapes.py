"""What is sent in benchmarks: trees of different shapes, and how they change."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.transform import from_origin
from tools import make_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Shape:
    """A tree.

    Attributes
    ----------
    text
        What it is, for people.
    make
        Writes it into a directory that is there.
    products
        Directories in it that are products of their own; none if it is one.
    """

    text: str
    make: Callable[[Path], object]
    products: tuple[str, ...] = ()


def one_array(objects: int, size: int) -> Shape:
    """Return one Zarr v2 array of so many chunks."""
    text = f"{objects:,} x {size // 2**20} MiB" if size >= 2**20 else f"{objects:,} x {size / 1024:g} KiB"
    return Shape(text, lambda root: make_store(root, objects, size))


def _mission(root: Path, stores: int = 300, chunks: int = 70, rasters: int = 40) -> None:
    """Write a directory of Zarr v2 stores, one a site, and one of COGs: what a satellite pipeline leaves."""
    for number in range(stores):
        make_store(root / "pre_qf" / f"site{number:03}.zarr", chunks, 4096, columns=10, seed=number)
    (root / "cog").mkdir(parents=True)
    rng = np.random.default_rng(1)
    profile = {"driver": "COG", "dtype": "float32", "count": 1, "width": 512, "height": 512, "compress": "DEFLATE"}
    for number in range(rasters):
        where = {"crs": "EPSG:4326", "transform": from_origin(number, 10, 0.01, 0.01)}
        with rasterio.open(root / "cog" / f"{number:03}.tif", "w", **profile, **where) as raster:
            raster.write(rng.random((512, 512), "f4"), 1)


_THREE = ("one.zarr", "two.zarr", "three.zarr")


def _three(root: Path) -> None:
    for number, name in enumerate(_THREE):
        make_store(root / name, 100, 16 * 1024, seed=number)


SHAPES = {
    "few": one_array(2_000, 16 * 1024),
    "three": Shape("three products of 100 x 16 KiB", _three, _THREE),
    "small": one_array(10_000, 16 * 1024),
    "large": one_array(100, 8 * 2**20),
    "mission": Shape("300 Zarr stores of 70 chunks, 40 COGs", _mission, ("pre_qf", "cog")),
    "tiny": one_array(100_000, 1024),
    "huge": Shape("one of 2 GiB", lambda root: make_store(root, 1, 2**31, columns=1)),
    "million": one_array(1_000_000, 64),
}


def chunks_of(tree: Path) -> list[Path]:
    """Return the chunks of all arrays."""
    return sorted(path for path in tree.rglob("t2m/[0-9]*"))


def flip(tree: Path, share: float) -> None:
    """Flip a byte in a share of the chunks, keeping size and modification time."""
    for chunk in chunks_of(tree)[:: max(1, round(1 / share))]:
        status, body = chunk.stat(), bytearray(chunk.read_bytes())
        body[0] ^= 1
        chunk.write_bytes(body)
        os.utime(chunk, ns=(status.st_atime_ns, status.st_mtime_ns))


def flip_one(tree: Path) -> None:
    """Flip a byte of one chunk; of one in each store, where there are a few."""
    stores = [*tree.glob("*.zarr")] or [tree]
    for store in stores:
        flip(store, 1 / len(chunks_of(store)))


def touch_all(tree: Path) -> None:
    """Set the modification time of every file to now; no byte differs."""
    for path in tree.rglob("*"):
        os.utime(path)
