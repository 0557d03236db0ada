"""Open what was published in place, as it was published: `open_zarr` and `open_rasterio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError
from zsync.printable import listed
from zsync.snapshots.finding import HEAD, find_snapshot

if TYPE_CHECKING:
    import datetime as dt

    import rasterio
    import xarray as xr

    from zsync.snapshots.store import SnapshotStore

_NODES = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


def open_zarr(url: Any, *, at: str | dt.date | None = HEAD, group: str | None = None, **options: Any) -> xr.Dataset:
    """Open a published Zarr store as a dataset: one publication of it, whatever is published meanwhile.

    Nothing is loaded before it is used, and all of it is of this publication, today and, as long as the bucket keeps it
    (by versions, or with ``publish.keep_history``), years later. What is not to be had any more is an error, never a
    fill value.

    Parameters
    ----------
    url
        URL of a product, or of a store in it; or the path of a directory that was published to, or pulled.
    at
        ``head`` for what is published now; the id of a publication; or a time, to have what was published then (of a
        day: at its end, in UTC).
    group
        Path of a group in the store.
    **options
        Options of the configuration that tell how the bucket is reached, for instance ``endpoint_url``, ``profile`` or
        ``anonymous``; all others are those of `xarray.open_zarr`.

    Returns
    -------
    xarray.Dataset
        As `xarray.open_zarr` returns it. It may travel to dask's workers, which find credentials as this process did,
        unless they were given here.

    Raises
    ------
    ConfigError
        zsync published nothing there, or not then; or there is no store.
    GoneError
        Here, or when values are read: an object of the publication is not to be had any more.

    Examples
    --------
    >>> import zsync
    >>> now = zsync.open_zarr("s3://bucket/products/oco3_pre_qf.zarr")  # doctest: +SKIP
    >>> then = zsync.open_zarr("s3://bucket/products/oco3_pre_qf.zarr", at="2026-01-31")  # doctest: +SKIP
    >>> (now.xco2 - then.xco2).plot()  # doctest: +SKIP
    """
    if "storage_options" in options:
        raise ConfigError("storage_options are those of fsspec", "storage_options", "give endpoint_url, profile, ...")
    reach, rest = _split(options)
    from zsync.snapshots.store import SnapshotStore

    store, group = _opened(SnapshotStore(url, at=at, **reach), group)
    import xarray

    dataset: xr.Dataset = xarray.open_zarr(store, group=group, **rest)
    return dataset


def open_rasterio(
    url: Any, key: str | None = None, *, at: str | dt.date | None = HEAD, **options: Any
) -> rasterio.DatasetReader:
    """Open a published raster: as one publication has it, whatever is published meanwhile.

    What is read comes by ranges, tiles side by side. What lies beside the raster (``.aux.xml``, ``.msk``, ``.ovr``),
    and what a VRT names relative to itself, is of the same publication.

    Parameters
    ----------
    url
        URL of a product, or of the raster itself.
    key
        The raster in the product.
    at
        As for `open_zarr`.
    **options
        Options of the configuration that tell how the bucket is reached, for instance ``endpoint_url``, ``profile`` or
        ``anonymous``; all others are those of `rasterio.open`.

    Returns
    -------
    rasterio.DatasetReader
        As `rasterio.open` returns it. It holds no secret, and does not travel: each worker opens its own.

    Raises
    ------
    ConfigError
        zsync published nothing there, or not then, or no such raster.
    GoneError
        The raster is not to be had any more. When that comes out later, rasterio raises, and the log says why.

    Examples
    --------
    >>> import zsync
    >>> with zsync.open_rasterio("s3://bucket/cog", "2026/xco2.tif", at="2026-01-31") as raster:  # doctest: +SKIP
    ...     raster.read(1, window=((0, 512), (0, 512)))
    """
    reach, rest = _split(options)
    snapshot, path = find_snapshot(url, at, reach)
    path = "/".join(part for part in (path, (key or "").strip("/")) if part)
    from zsync.snapshots.files import SnapshotFiles
    from zsync.snapshots.reading import contents_of

    contents = contents_of(snapshot)
    if contents.size(path) is None:
        where = snapshot.place.location.child(path).url
        raise ConfigError(f"publication {snapshot.publication} has no such object", where, "check the key")
    files = SnapshotFiles(contents)
    import rasterio

    try:
        return rasterio.open(path, opener=files, **rest)
    except rasterio.errors.RasterioIOError as error:
        raise files.error or error from error


def _split(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what tells how a bucket is reached, and the rest."""
    from zsync.config import Storage

    reach = {name: value for name, value in options.items() if name in Storage.model_fields or name == "transport"}
    return reach, {name: value for name, value in options.items() if name not in reach}


def _opened(store: SnapshotStore, group: str | None) -> tuple[SnapshotStore, str | None]:
    """Return the Zarr store that a path is in, and the group in it: a product may be a tree of stores.

    Raises
    ------
    ConfigError
        There is none.
    """
    place = "/".join(part.strip("/") for part in (store.path, group or "") if part.strip("/"))
    if not any(store.contents.size(f"{place}/{name}".lstrip("/")) is not None for name in _NODES):
        inside = [name.removeprefix(store.path).strip("/") for name in store.contents.stores(store.path)]
        named = [name for name in inside if name]
        advice = f"name one in the URL: {listed(named)}" if named else "check the group" if inside else "check the URL"
        where = store.url if group is None else f"{store.url}, group {group}"
        raise ConfigError(f"publication {store.publication} has no Zarr store or group there", where, advice)
    if any(store.contents.size(f"{store.path}/{name}".lstrip("/")) is not None for name in _NODES):
        return store, group
    root = max(name for name in store.contents.stores(store.path) if f"{place}/".startswith(f"{name}/"))
    return type(store).of(store.snapshot, root), place.removeprefix(root).strip("/") or None
