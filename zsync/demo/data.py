"""Products as a pipeline leaves them, made from real observations: what the demo, tests and benchmarks publish.

The input comes with the package `iris-sample-data`: OSTIA's monthly sea-surface temperature of the tropics, and the air
temperature of a climate simulation (E1) with a calendar of 360 days. The products are those of a satellite pipeline:
a directory of Zarr stores, one a site (`pre_qf`), one Zarr store of everything after quality filtering (`post_qf`),
and a directory of COGs made from both.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from zsync.errors import ConfigError, SourceError
from zsync.version import install

if TYPE_CHECKING:
    from collections.abc import Iterator

MISSION = "ostia"
# Regions of the tropical oceans that climate indices are made of: degrees east, from and to.
SITES = {
    "west-indian": (50.0, 70.0),
    "east-indian": (90.0, 110.0),
    "nino4": (160.0, 210.0),
    "nino3": (210.0, 270.0),
    "atl3": (340.0, 360.0),
    "gulf-of-guinea": (0.0, 10.0),
}
PRE_QF, POST_QF, E1, COG = "ostia_pre_qf.zarr", "ostia_post_qf.zarr", "e1.zarr", "cog"
AUXILIARY = "Auxiliary"
VARIABLE = "surface_temperature"
MONTHS = 54

_SHORT_NAME = "sst"
# `time` has chunks much longer than itself: it can grow without becoming another array.
_CHUNKS = {"time": 6, "latitude": 9, "longitude": 36}
_TIME_CHUNK = 4000
_CELL = (360 / 432, 10 / 18)  # degrees of longitude and latitude


def make_products(root: Path, months: int) -> dict[str, dict[str, str]]:
    """Write the first months of all products.

    Parameters
    ----------
    root
        Directory to write to; products of the same names in it are replaced.
    months
        How many months of OSTIA, 54 at most; `append_month` adds more.

    Returns
    -------
    dict
        The `products` of a configuration whose `source` is `root`.
    """
    for name in (PRE_QF, POST_QF, E1, COG):
        shutil.rmtree(root / name, ignore_errors=True)
    every = slice(0, months)
    for site in SITES:
        _write_groups(site_store(root, site), *_cut(_pre_qf(), every, site))
    _write_groups(root / POST_QF, *_cut(_post_qf(), every))
    _write_e1(root / E1)
    _write_cogs(root / COG, every)
    return {
        "pre_qf": {"path": PRE_QF, "kind": "zarr"},
        "post_qf": {"path": POST_QF, "kind": "zarr"},
        "e1": {"path": E1, "kind": "zarr"},
        "cog": {"path": COG, "kind": "cog", "to": COG},
    }


def append_month(root: Path, month: int) -> None:
    """Add one month to the OSTIA products, as the next run of the pipeline does.

    Parameters
    ----------
    root
        Directory of the products.
    month
        Number of the month, counted from 0: as many as there are.
    """
    one = slice(month, month + 1)
    for site in SITES:
        _append_groups(site_store(root, site), *_cut(_pre_qf(), one, site))
    _append_groups(root / POST_QF, *_cut(_post_qf(), one))
    _write_cogs(root / COG, one)


def change_one_value(root: Path) -> tuple[Path, str, tuple[int, ...], float, float]:
    """Change one value of one chunk, such that the chunk's file keeps its size and its modification time.

    Tools that compare size and time do not see such a change.

    Parameters
    ----------
    root
        Directory of the products.

    Returns
    -------
    tuple
        Store, variable, index, the old value and the new one.
    """
    import zarr

    store = site_store(root, "nino3")
    array: Any = zarr.open_array(str(store / VARIABLE), mode="r+")
    chunk = store / VARIABLE / "0.0.0"
    before, content = chunk.stat(), chunk.read_bytes()
    for index in np.ndindex(array.chunks):
        old = np.float32(array[index])
        # The chunk is compressed: what another value does to its size is known when it is written.
        for new in (old + np.float32(step / 8) for step in range(1, 9)):
            array[index] = new
            if chunk.stat().st_size == before.st_size and chunk.read_bytes() != content:
                os.utime(chunk, ns=(before.st_atime_ns, before.st_mtime_ns))
                return store, VARIABLE, index, float(old), float(new)
        array[index] = old
    raise SourceError("no change of one value keeps the size of the chunk", str(chunk))


def site_store(root: Path, site: str) -> Path:
    """Return the path of a site's store."""
    return root / PRE_QF / MISSION / f"{site}.zarr"


def stores(root: Path) -> dict[Path, tuple[str | None, ...]]:
    """Return the products' Zarr stores, and the groups of each."""
    ostia = (None, AUXILIARY)
    return {**{site_store(root, site): ostia for site in SITES}, root / POST_QF: ostia, root / E1: (None,)}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence zarr's remark that consolidated metadata is not in the specification of format 3 yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part", category=UserWarning)
        yield


@functools.cache
def _sample(name: str) -> xr.Dataset:
    try:
        import iris_sample_data
    except ImportError as error:
        raise ConfigError("the demo's data is not installed", "iris-sample-data", install("demo")) from error
    # Times stay numbers with their units: that is what is stored, and what has to come back.
    with xr.open_dataset(Path(iris_sample_data.path) / name, engine="h5netcdf", decode_times=False) as file:
        return file.load().drop_encoding()


@functools.cache
def _pre_qf() -> tuple[xr.Dataset, xr.Dataset]:
    ostia = _sample("ostia_monthly.nc")
    auxiliary = ["time_bnds", "forecast_reference_time", "forecast_reference_time_bnds"]
    main = ostia[[VARIABLE, "latitude_longitude"]].drop_vars(["forecast_reference_time", "forecast_period"])
    sst = main[VARIABLE]
    far_out = (abs(sst - sst.mean("time")) > 2 * sst.std("time")).astype("i1")
    far_out.attrs = {"long_name": "further than two standard deviations from the mean of all months"}
    extra = ostia[auxiliary].drop_vars("forecast_period").assign(quality_flag=far_out)
    return main.assign_attrs(title="before quality filtering"), extra.assign_attrs(title="how it was made")


@functools.cache
def _post_qf() -> tuple[xr.Dataset, xr.Dataset]:
    main, extra = _pre_qf()
    sst = main[VARIABLE]
    good = np.where(extra["quality_flag"].values == 0, sst.values, np.float32("nan"))
    return main.assign({VARIABLE: sst.copy(data=good)}).assign_attrs(title="after quality filtering"), extra


def _cut(groups: tuple[xr.Dataset, xr.Dataset], months: slice, site: str | None = None) -> list[xr.Dataset]:
    west, east = (0.0, 360.0) if site is None else SITES[site]
    longitude = groups[0]["longitude"].values
    columns = np.flatnonzero((longitude >= west) & (longitude < east))
    return [group.isel(time=months, longitude=columns) for group in groups]


def _write_groups(store: Path, main: xr.Dataset, auxiliary: xr.Dataset) -> None:
    main.to_zarr(store, mode="w", zarr_format=2, consolidated=False, encoding=_encodings(main))
    auxiliary.to_zarr(
        store, group=AUXILIARY, mode="a", zarr_format=2, consolidated=False, encoding=_encodings(auxiliary)
    )
    _consolidate(store)


def _append_groups(store: Path, main: xr.Dataset, auxiliary: xr.Dataset) -> None:
    for group, data in ((None, main), (AUXILIARY, auxiliary)):
        still = [name for name, variable in data.variables.items() if "time" not in variable.dims]
        data.drop_vars(still).to_zarr(store, group=group, append_dim="time", consolidated=False)
    _consolidate(store)


def _consolidate(store: Path) -> None:
    import zarr

    with quiet():
        zarr.consolidate_metadata(str(store))


def _encodings(data: xr.Dataset) -> dict[str, dict[str, Any]]:
    from numcodecs import Blosc

    compressor = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)
    return {
        str(name): {"chunks": _chunk_shape(variable), "compressors": (compressor,), **_fill_value(variable)}
        for name, variable in data.variables.items()
        if variable.ndim
    }


def _chunk_shape(variable: xr.Variable) -> tuple[int, ...]:
    chunks = _CHUNKS if variable.ndim == 3 else {"time": _TIME_CHUNK}
    return tuple(
        min(chunks.get(str(dim), size), size) if dim != "time" else chunks["time"]
        for dim, size in variable.sizes.items()
    )


def _fill_value(variable: xr.Variable) -> dict[str, Any]:
    # A chunk that holds nothing else, over land, is not written at all.
    return {"_FillValue": np.float32("nan")} if variable.dtype == np.float32 and variable.ndim == 3 else {}


def _write_e1(store: Path) -> None:
    e1 = _sample("E1_north_america.nc")
    encodings: dict[str, dict[str, Any]] = {
        str(name): {"chunks": (_TIME_CHUNK, *variable.shape[1:])}
        for name, variable in e1.variables.items()
        if variable.dims[:1] == ("time",)
    }
    rows, columns = e1.sizes["latitude"], e1.sizes["longitude"]
    encodings["air_temperature"] = {"chunks": (12, rows, columns), "shards": (60, rows, columns)}
    e1.to_zarr(store, mode="w", zarr_format=3, consolidated=False, encoding=encodings)
    _consolidate(store)


def _write_cogs(directory: Path, months: slice) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for site in SITES:
        for word, groups in (("unfiltered", _pre_qf()), ("filtered", _post_qf())):
            main, _ = _cut(groups, months, site)
            times = xr.decode_cf(main[["time"]])["time"].dt.strftime("%Y%m").values
            for time, image in zip(times, main[VARIABLE].values, strict=True):
                name = f"{MISSION}_{site}_{time}_{word}_{_SHORT_NAME}.tif"
                _write_cog(directory / name, image, west=float(main["longitude"][0]), south=float(main["latitude"][0]))


def _write_cog(path: Path, image: Any, *, west: float, south: float) -> None:
    """Write an image whose rows go north, and whose first value's centre is at `west`, `south`."""
    import rasterio
    from rasterio.transform import from_origin

    width, height = _CELL
    left = (west if west < 180 else west - 360) - width / 2
    top = south + (image.shape[0] - 0.5) * height
    with rasterio.open(
        path,
        "w",
        driver="COG",
        count=1,
        height=image.shape[0],
        width=image.shape[1],
        dtype="float32",
        nodata=float("nan"),
        crs="EPSG:4326",
        transform=from_origin(left, top, width, height),
        blocksize=128,
        compress="DEFLATE",
    ) as cog:
        cog.write(image[::-1], 1)
