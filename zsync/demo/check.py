"""Read published products as their users do, and compare every value with the source.

Zarr is read with xarray through s3fs, COGs with rasterio through GDAL's ``/vsis3/``: nothing here is zsync's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import xarray as xr
from rasterio.session import Session

from zsync.demo.data import COG, stores
from zsync.errors import VerifyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Compared:
    """How much was read back and found equal."""

    stores: int
    variables: int
    values: int
    cogs: int
    pixels: int


def check(root: Path, target: str, storage: Mapping[str, str]) -> Compared:
    """Compare everything that is published with its source, value by value.

    Parameters
    ----------
    root
        Directory of the products.
    target
        URL that they were published to, such as ``s3://bucket/prefix``.
    storage
        The `storage` of the configuration: `endpoint_url`, `region`, `access_key_id`, `secret_access_key`.

    Returns
    -------
    Compared
        What was compared.

    Raises
    ------
    VerifyError
        If anything differs: values, missing values, types, shapes, attributes, georeferencing.
    """
    sizes = [
        size
        for store, groups in stores(root).items()
        for group in groups
        for size in _check_group(store, group, f"{target}/{store.relative_to(root).as_posix()}", storage)
    ]
    images = sorted((root / COG).glob("*.tif"))
    # GDAL remembers what it has read under a name for as long as the process lives, unless it is told not to.
    fresh = {"CPL_VSIL_CURL_NON_CACHED": "/vsis3/", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    with rasterio.Env(session=_Keys(storage), **fresh):
        pixels = [_check_cog(image, f"{target}/{COG}/{image.name}") for image in images]
    return Compared(len(stores(root)), len(sizes), sum(sizes), len(images), sum(pixels))


def _check_group(store: Path, group: str | None, url: str, storage: Mapping[str, str]) -> list[int]:
    # Times are compared as the numbers that are stored.
    options: dict[str, Any] = {"group": group, "consolidated": True, "decode_times": False, "chunks": None}
    with (
        xr.open_zarr(store, **options) as here,
        xr.open_zarr(url, storage_options=s3fs_options(storage), **options) as there,
    ):
        where = url if group is None else f"{url} ({group})"
        _same(set(here.variables), set(there.variables), "variables", where)
        _same(here.attrs, there.attrs, "attributes", where)
        return [_check_variable(here[name], there[name], f"{where} {name}") for name in here.variables]


def _check_variable(here: xr.DataArray, there: xr.DataArray, where: str) -> int:
    _same(here.dims, there.dims, "dimensions", where)
    _same(here.attrs, there.attrs, "attributes", where)
    _same_values(here.values, there.values, where)
    return here.size


def _check_cog(path: Path, url: str) -> int:
    with rasterio.open(path) as here, rasterio.open(url.replace("s3://", "/vsis3/", 1)) as there:
        _same(here.profile["transform"], there.profile["transform"], "georeferencing", url)
        _same(here.crs, there.crs, "coordinate reference system", url)
        _same(here.tags(), there.tags(), "tags", url)
        expected = here.read()
        _same_values(expected, there.read(), url)
        return int(expected.size)


def _same_values(here: Any, there: Any, where: str) -> None:
    _same((here.dtype, here.shape), (there.dtype, there.shape), "type and shape", where)
    if not np.array_equal(here, there, equal_nan=here.dtype.kind == "f"):
        raise VerifyError("values differ from the source", where)


def _same(here: object, there: object, what: str, where: str) -> None:
    if here != there:
        raise VerifyError(f"{what} differ from the source ({there!r}, not {here!r})", where)


def s3fs_options(storage: Mapping[str, str]) -> dict[str, Any]:
    """Return the `storage_options` that xarray takes, from the `storage` of the configuration."""
    return {
        "key": storage["access_key_id"],
        "secret": storage["secret_access_key"],
        "endpoint_url": storage["endpoint_url"],
        "client_kwargs": {"region_name": storage["region"]},
        # Another publish may have come in between.
        "use_listings_cache": False,
    }


class _Keys(Session):  # type: ignore[misc]
    """GDAL's options for an S3 service: rasterio's own session for that wants boto3, which does no work in it."""

    def __init__(self, storage: Mapping[str, str]) -> None:
        scheme, _, host = storage["endpoint_url"].partition("://")
        self._options = {
            "AWS_ACCESS_KEY_ID": storage["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": storage["secret_access_key"],
            "AWS_REGION": storage["region"],
            "AWS_S3_ENDPOINT": host,
            "AWS_HTTPS": "YES" if scheme == "https" else "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
        }

    @property
    def credentials(self) -> dict[str, str]:
        return self._options

    def get_credential_options(self) -> dict[str, str]:
        return self._options
