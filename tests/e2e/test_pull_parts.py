"""Parts of stores that xarray does not open as one dataset, or not with the chunks that they have."""

from __future__ import annotations

import contextlib
from collections import Counter

import numpy as np
import pytest
import xarray as xr
import zarr
from servers import s3_client
from trees import quiet_zarr, read_tree

import zsync
from zsync.errors import ConfigError
from zsync.inventory import cache_directory


@pytest.fixture
def there(s3, bucket, tmp_path):
    """Puts a store into the bucket as another tool does, and pulls parts of it."""

    class There:
        root, here = tmp_path / "made", tmp_path / "here"

        def put(self, name):
            with contextlib.closing(s3_client(s3)) as client:
                for key, body in read_tree(self.root / name).items():
                    client.put_object(Bucket=bucket, Key=f"run/{name}/{key}", Body=body)

        def pull(self, name, dest="here", endpoint_url=s3.endpoint_url, **options):
            storage = {"endpoint_url": endpoint_url, "region": s3.region, "access_key_id": s3.access_key,
                       "secret_access_key": s3.secret_key}  # fmt: skip
            return zsync.pull(f"s3://{bucket}/run/{name}", tmp_path / dest, progress=False, **options, **storage)

        def open(self, name, dest="here", **options):
            with quiet_zarr():
                return xr.open_zarr(tmp_path / dest / name, chunks=None, **options).load()

    return There()


def ocean(n_time=6):
    """Two-dimensional coordinates, as of ROMS, WRF and NEMO, bounds, and a projection."""
    y, x = 8, 10
    values = np.arange(n_time * y * x, dtype="f4").reshape(n_time, y, x)
    lat, lon = np.meshgrid(np.linspace(10, 20, y), np.linspace(-5, 5, x), indexing="ij")
    hours = np.arange(n_time) * 24.0
    return xr.Dataset(
        {
            "temp": (("ocean_time", "eta_rho", "xi_rho"), values, {"grid_mapping": "crs", "units": "C"}),
            "mask": (("eta_rho", "xi_rho"), (lat > 15).astype("i1")),
            "spread": (("ocean_time",), hours.astype("f4")),
        },
        coords={
            "ocean_time": ("ocean_time", hours, {"units": "hours since 2020-01-01", "bounds": "ocean_time_bnds"}),
            "ocean_time_bnds": (("ocean_time", "nv"), np.stack([hours, hours + 24], 1)),
            "lat_rho": (("eta_rho", "xi_rho"), lat),
            "lon_rho": (("eta_rho", "xi_rho"), lon),
            "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"}),
        },
    )  # fmt: skip


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_coordinates_of_two_dimensions_whose_chunks_are_others(there, zarr_format):
    whole = ocean()
    chunks = {"temp": (2, 3, 4), "lat_rho": (8, 10), "lon_rho": (5, 3), "mask": (1, 10), "ocean_time": (512,)}
    encoding = {name: {"chunks": shape} for name, shape in chunks.items()}
    with quiet_zarr():
        whole.to_zarr(there.root / "roms.zarr", zarr_format=zarr_format, encoding=encoding)
        whole = xr.open_zarr(there.root / "roms.zarr", chunks=None).load()
    there.put("roms.zarr")
    select = {"ocean_time": "2020-01-02..2020-01-04", "xi_rho": "3..6"}
    digests = set(cache_directory().rglob("*.arrow"))
    result = there.pull("roms.zarr", select=select, variables=["temp"])
    assert set(cache_directory().rglob("*.arrow")) == digests  # of a directory that is gone nothing is remembered
    assert result.products[0].url.startswith("s3://")
    assert all(url.startswith("s3://") for url, _ in result.downloads())
    wanted = whole.sel(ocean_time=slice("2020-01-02", "2020-01-04")).isel(xi_rho=slice(3, 7))
    xr.testing.assert_identical(there.open("roms.zarr"), wanted.drop_vars(["mask", "spread"]))
    with quiet_zarr():
        assert zarr.open_array(there.here / "roms.zarr/lon_rho").chunks == (5, 3)
    there.pull("roms.zarr", "other", variables=["lat_rho"])
    assert set(there.open("roms.zarr", "other").variables) == {"lat_rho"}
    with pytest.raises(ConfigError, match="lat_rho is no dimension: it lies along eta_rho, xi_rho"):
        there.pull("roms.zarr", "third", select={"lat_rho": "10..12"})


def pyramid(root, zarr_format, *, named=True):
    """An OME-Zarr image of three levels, with a table beside it, of which the dimensions have no names."""
    group = zarr.open_group(root, mode="w", zarr_format=zarr_format)
    axes = [{"name": name, "type": kind} for name, kind in (("c", "channel"), ("y", "space"), ("x", "space"))]
    images = [{"axes": axes, "version": "0.4", "datasets": [{"path": str(level)} for level in range(3)]}]
    group.attrs.update({"multiscales": images} if zarr_format == 2 else {"ome": {"multiscales": images}})
    for level in range(3):
        size = 32 >> level
        names = {"dimension_names": ["c", "y", "x"]} if zarr_format == 3 and named else {}
        array = group.create_array(str(level), shape=(4, size, size), chunks=(1, 16, 16), dtype="u2", **names)
        array[:] = np.arange(4 * size * size).reshape(4, size, size)
    table = group.create_group("tables").create_array("areas", shape=(7,), chunks=(7,), dtype="f8")
    table[:] = np.arange(7.0)
    return group


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_metadata_is_asked_for_once(there, proxy, zarr_format):
    with quiet_zarr():
        ocean().to_zarr(there.root / "ocean.zarr", zarr_format=zarr_format)
    there.put("ocean.zarr")
    there.pull("ocean.zarr", select={"ocean_time": "2020-01-02..2020-01-03"}, endpoint_url=proxy.endpoint_url)
    asked = [exchange.key for exchange in proxy.completed if exchange.method == "GET" and ".zsync/" not in exchange.key]
    documents = [key for key in asked if key.endswith((".zarray", ".zattrs", ".zgroup", "zarr.json"))]
    assert len(documents) > 8
    assert [key for key, times in Counter(documents).items() if times > 1] == []


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_pyramids_of_images(there, zarr_format):
    group = pyramid(there.root / "image.zarr", zarr_format, named=zarr_format == 3)
    there.put("image.zarr")
    result = there.pull("image.zarr", select={"c": "1..2"})
    assert [f.key for f in result.findings if f.code == "not-selectable"] == ["tables/areas"]
    part = zarr.open_group(there.here / "image.zarr", mode="r")
    for level in "012":
        np.testing.assert_array_equal(part[level][:], group[level][1:3])
    there.pull("image.zarr", "one", select={"x": "4..9", "y": "..7"}, variables=["0"])
    part = zarr.open_group(there.here.parent / "one/image.zarr", mode="r")
    np.testing.assert_array_equal(part["0"][:], group["0"][:, :8, 4:10])
    attributes = part.attrs.asdict()
    [image] = attributes.get("ome", attributes)["multiscales"]
    assert image["datasets"] == [{"path": "0"}]
    with pytest.raises(ConfigError, match=r"x is not one dimension there \(32 in 0, 16 in 1, 8 in 2\)"):
        there.pull("image.zarr", "none", select={"x": "4..9"})
    assert not (there.here.parent / "none/image.zarr").exists()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_without_names_are_told_and_other_groups_come(there, zarr_format):
    with quiet_zarr():
        ocean().to_zarr(there.root / "mixed.zarr", group="model", zarr_format=zarr_format)
        for path, shape in (("plain/a", (6, 5)), ("plain/b", ())):
            array = zarr.create_array(
                there.root / "mixed.zarr", name=path, shape=shape, dtype="i4", zarr_format=zarr_format
            )
            array[...] = 3
    there.put("mixed.zarr")
    result = there.pull("mixed.zarr", select={"ocean_time": "2020-01-03"})
    (told,) = [finding for finding in result.findings if finding.code == "not-selectable"]
    assert "plain/a does not come: its dimensions have no names" in told.message
    assert there.open("mixed.zarr", group="model").sizes["ocean_time"] == 1
    there.pull("mixed.zarr", "two", variables=["a"])
    assert zarr.open_group(there.here.parent / "two/mixed.zarr", mode="r")["plain/a"][:].tolist() == [[3] * 5] * 6
    there.pull("mixed.zarr", "group", variables=["plain"])
    assert sorted(zarr.open_group(there.here.parent / "group/mixed.zarr/plain", mode="r")) == ["a", "b"]
    with pytest.raises(ConfigError, match="its dimensions have no names"):
        there.pull("mixed.zarr", "three", select={"ocean_time": "2020-01-03"}, variables=["a"])


def test_labels_of_a_group_above_and_lengths_that_do_not_fit(there):
    with quiet_zarr():
        whole = ocean()
        whole[["ocean_time", "ocean_time_bnds"]].to_zarr(there.root / "tree.zarr", zarr_format=3)
        whole[["temp"]].drop_vars("ocean_time").to_zarr(there.root / "tree.zarr", group="deep/er", mode="a")
        whole[["temp"]].isel(ocean_time=slice(4)).drop_vars("ocean_time").to_zarr(
            there.root / "tree.zarr", group="short", mode="a"
        )
    there.put("tree.zarr")
    result = there.pull("tree.zarr", select={"ocean_time": "2020-01-02..2020-01-03"}, variables=["temp"])
    assert [f.key for f in result.findings if f.code == "not-selectable"] == ["short/temp"]
    part = zarr.open_group(there.here / "tree.zarr", mode="r")
    np.testing.assert_array_equal(part["deep/er/temp"][:], whole.temp.values[1:3])
    assert part["ocean_time_bnds"].shape == (2, 2)
    assert "short" not in part
