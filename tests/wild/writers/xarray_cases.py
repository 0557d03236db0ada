"""What xarray is asked to write: layouts of products that people publish, with few cells."""

from __future__ import annotations

import warnings

import cftime
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from corpus import Corpus

warnings.simplefilter("ignore")


def times(n, first=0):
    return pd.date_range("2020-01-01", periods=n + first, freq="D")[first:].astype("datetime64[ns]")


def values(*shape, k=0.0):
    return (np.arange(np.prod(shape)).reshape(shape) + k + 1).astype("f4")


def oco3(n=4, first=0):
    """A gridded mission product: time, latitude and longitude, packed quality, text, 0-d mapping."""
    return xr.Dataset(
        {
            "xco2": (("time", "latitude", "longitude"), values(n, 4, 6, k=400 + first), {"units": "ppm"}),
            "xco2_quality_flag": (("time", "latitude", "longitude"), (values(n, 4, 6) % 2).astype("i1")),
            "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"}),
        },
        coords={"time": times(n, first), "latitude": np.linspace(-3, 3, 4), "longitude": np.linspace(0, 5, 6)},
        attrs={"title": "OCO-3", "Conventions": "CF-1.6"},
    )


def cmip(n=4, first=0):
    """A model on a calendar of its own, with bounds and a height."""
    when = [cftime.DatetimeNoLeap(1850, 1 + i % 12, 16) for i in range(first, first + n)]
    bounds = np.array([[cftime.DatetimeNoLeap(1850, 1 + i % 12, 1), t] for i, t in enumerate(when, first)])
    return xr.Dataset(
        {"tas": (("time", "lat", "lon"), values(n, 2, 3, k=250 + first)), "time_bnds": (("time", "bnds"), bounds)},
        coords={"time": ("time", when, {"bounds": "time_bnds"}), "lat": [0.0, 1], "lon": [0.0, 1, 2], "height": 2.0},
    )


def era5(n=4, first=0):
    """A reanalysis packed into integers, two-level members, text of stations."""
    ds = xr.Dataset(
        {
            "t2m": (("time", "latitude", "longitude"), 270 + values(n, 2, 4, k=first) / 4),
            "name": (("latitude",), np.array(["north", "south"], dtype=object)),
        },
        coords={"time": times(n, first), "latitude": [1.0, 0], "longitude": [0.0, 1, 2, 3], "number": 0},
    )
    ds["t2m"].encoding = {"dtype": "int16", "scale_factor": 0.25, "add_offset": 270.0, "_FillValue": -32767}
    return ds


def roms(n=2, first=0):
    """An ocean model: two-dimensional coordinates on staggered grids, chunked unlike the data."""
    return xr.Dataset(
        {
            "temp": (("ocean_time", "s_rho", "eta_rho", "xi_rho"), values(n, 2, 3, 4, k=first)),
            "u": (("ocean_time", "s_rho", "eta_rho", "xi_u"), values(n, 2, 3, 3, k=first)),
            "Vtransform": ((), np.int32(2)),
        },
        coords={
            "ocean_time": times(n, first),
            "lat_rho": (("eta_rho", "xi_rho"), values(3, 4)),
            "lon_rho": (("eta_rho", "xi_rho"), values(3, 4, k=9)),
            "lon_u": (("eta_rho", "xi_u"), values(3, 3)),
        },
    )


def wrf(n=2, first=0):
    """A weather model: times as text of fixed length, no coordinates but two-dimensional ones that have time."""
    text = np.array([f"2020-01-{1 + i:02}_00:00:00" for i in range(first, first + n)], "S19")
    shape = (n, 3, 3)
    return xr.Dataset(
        {"Times": (("Time",), text), "T2": (("Time", "south_north", "west_east"), values(*shape, k=first))},
        coords={"XLAT": (("Time", "south_north", "west_east"), values(*shape))},
    )


def geozarr(n=2, first=0):
    """Rows from north to south, a transform in attributes, a mapping that variables name."""
    ds = xr.Dataset(
        {"reflectance": (("time", "y", "x"), values(n, 4, 4, k=first), {"grid_mapping": "spatial_ref"})},
        coords={"time": times(n, first), "y": [3.5, 2.5, 1.5, 0.5], "x": [0.5, 1.5, 2.5, 3.5], "spatial_ref": 0},
        attrs={"proj:epsg": 32631, "spatial:transform": [1.0, 0, 0, 0, -1, 4]},
    )
    ds["spatial_ref"].attrs["GeoTransform"] = "0 1 0 4 0 -1"
    return ds


LAYOUTS = {
    "oco3": (oco3, "time", {"time": 2, "latitude": 2, "longitude": 3}),
    "cmip": (cmip, "time", {"time": 3}),
    "era5": (era5, "time", {"time": 2}),
    "roms": (roms, "ocean_time", {"ocean_time": 1}),
    "wrf": (wrf, "Time", {"Time": 1}),
    "geozarr": (geozarr, "time", {"time": 1, "y": 2, "x": 2}),
}


def chunks_of(ds, lengths):
    """Chunks of coordinates that grow have a length of their own, or no append would be one."""
    return {
        str(name): {
            **variable.encoding,
            "chunks": tuple(lengths.get(str(dim), size) for dim, size in variable.sizes.items()),
        }
        for name, variable in ds.variables.items()
        if variable.ndim
    }


def run(writer, formats):
    corpus = Corpus(writer, "xarray", "zarr")
    for zarr_format in formats:
        format_of = {"zarr_format": zarr_format} if len(formats) > 1 else {}
        suffix = f"-v{zarr_format}"
        for name, (make, dim, lengths) in LAYOUTS.items():
            layout = f"{make.__doc__.split(':')[0].strip(' .')}, format {zarr_format}"

            def first(store, make=make, lengths=lengths, format_of=format_of):
                ds = make()
                ds.to_zarr(store, mode="w", encoding=chunks_of(ds, lengths), **format_of)

            def append(store, make=make, dim=dim):
                ds = make(2, make().sizes[dim])
                ds = ds.drop_vars([v for v in ds.variables if dim not in ds[v].dims])
                ds = ds.drop_encoding() if hasattr(ds, "drop_encoding") else ds
                ds.to_zarr(store, append_dim=dim)

            corpus.case(name + suffix, layout, "append", first, append)

        def small(store, format_of=format_of):
            ds = oco3()
            ds.to_zarr(store, mode="w", encoding=chunks_of(ds, {"time": 2}), **format_of)

        def region(store):
            part = oco3(2)[["xco2"]].drop_vars(["latitude", "longitude", "time"]) * 0 + 7
            part.to_zarr(store, region={"time": slice(2, 4)})

        corpus.case("region" + suffix, f"a region is written, format {zarr_format}", "rewrite", small, region)

        def anew(store, format_of=format_of):
            ds = oco3(6)
            ds.to_zarr(store, mode="w", encoding=chunks_of(ds, {"time": 2}), **format_of)

        corpus.case("anew-longer" + suffix, f"written anew, longer, format {zarr_format}", "append", small, anew)

        def shorter(store, format_of=format_of):
            ds = oco3(3)
            ds.to_zarr(store, mode="w", encoding=chunks_of(ds, {"time": 2}), **format_of)

        corpus.case("anew-shorter" + suffix, f"written anew, shorter, format {zarr_format}", "shrink", small, shorter)

        def defaults(store, n=4, format_of=format_of):
            oco3(n).to_zarr(store, mode="w", **format_of)

        def defaults_longer(store, defaults=defaults):
            defaults(store, 6)

        corpus.case(
            "defaults-longer" + suffix,
            f"chunks left to xarray, written anew, longer, format {zarr_format}",
            "rechunk",
            defaults,
            defaults_longer,
        )

        def one_variable(store, format_of=format_of):
            oco3()[["xco2"]].rename(xco2="more").drop_vars(["time", "latitude", "longitude"]).to_zarr(store, mode="a")

        corpus.case("variable" + suffix, f"a variable more, format {zarr_format}", "add", small, one_variable)

        def without(store, format_of=format_of):
            ds = oco3().drop_vars("xco2_quality_flag")
            ds.to_zarr(store, mode="w", encoding=chunks_of(ds, {"time": 2}), **format_of)

        corpus.case(
            "without" + suffix, f"written anew without a variable, format {zarr_format}", "remove", small, without
        )

        def groups(store, format_of=format_of):
            for group, ds in {None: oco3(), "Auxiliary": roms(), "Meteo/wind": geozarr()}.items():
                options = {"group": group, "mode": "a" if group else "w", "consolidated": False, **format_of}
                ds.to_zarr(store, encoding=chunks_of(ds, {"time": 2}), **options)
            zarr.consolidate_metadata(str(store))

        def groups_change(store):
            ds = oco3(2, 4).drop_vars(["crs", "latitude", "longitude"])
            ds.to_zarr(store, append_dim="time", consolidated=False)
            zarr.consolidate_metadata(str(store))

        corpus.case("groups" + suffix, f"groups, format {zarr_format}", "append", groups, groups_change)

        def stores(directory, format_of=format_of):
            for name in ("oco3/lauder.zarr", "oco3/tsukuba.zarr", "oco2/lauder.zarr"):
                ds = oco3()
                ds.to_zarr(directory / name, mode="w", encoding=chunks_of(ds, {"time": 2}), **format_of)

        def stores_change(directory):
            oco3(2, 4).drop_vars(["crs", "latitude", "longitude"]).to_zarr(
                directory / "oco3/lauder.zarr", append_dim="time"
            )

        corpus.case("sites" + suffix, f"a directory of stores, format {zarr_format}", "append", stores, stores_change)

        if not hasattr(xr, "DataTree"):
            continue

        def tree(store, format_of=format_of, n=4):
            levels = {
                f"/{1 << i}": oco3(n).coarsen(latitude=1 << i, longitude=1 << i, boundary="trim").mean()
                for i in range(2)
            }
            levels = {path: ds.drop_vars("crs", errors="ignore") for path, ds in levels.items()}
            xr.DataTree.from_dict(
                {"/": xr.Dataset(attrs={"multiscales": [{"datasets": [*levels]}]}), **levels}
            ).to_zarr(
                store,
                mode="w",
                encoding={path: chunks_of(ds, {"time": 2}) for path, ds in levels.items()},
                **format_of,
            )

        def tree_change(store, format_of=format_of):
            tree(store, format_of, 6)

        corpus.case("pyramid" + suffix, f"a DataTree of levels, format {zarr_format}", "append", tree, tree_change)

        if zarr_format == 3:

            def sharded(store, n=4):
                ds = oco3(n)
                encoding = chunks_of(ds, {"time": 2, "latitude": 2, "longitude": 3})
                for name in ("xco2", "xco2_quality_flag"):
                    encoding[name]["shards"] = (4, 4, 6)
                ds.to_zarr(store, mode="w", encoding=encoding, zarr_format=3)

            def sharded_change(store):
                oco3(3, 4).drop_vars(["crs", "latitude", "longitude"]).to_zarr(store, append_dim="time")

            corpus.case("sharded", "shards", "append", sharded, sharded_change)
