"""Trees of files and of objects, and makers of Zarr stores and COGs. Nothing here goes through zsync."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

import numpy as np
import xarray as xr
from dask.base import tokenize
from servers import S3Server, lasting_client, opened, signed

Tree = Mapping[str, "bytes | str | Tree"]


def write_tree(root: Path, tree: Tree) -> Path:
    """Write ``{"a": {"b": b"..."}}`` as files; keys may hold slashes, an empty mapping is an empty directory."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in tree.items():
        path = root / name
        if isinstance(content, Mapping):
            write_tree(path, content)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def read_tree(root: Path) -> dict[str, bytes]:
    """Return every file below a directory: key to bytes."""
    return {key: _bytes(path) for key, path in _files(os.fspath(root), "")}


def _files(directory: str, above: str) -> Iterator[tuple[str, str]]:
    """Yield keys and paths in order; a `Path` for each takes longer than to read the file."""
    with contextlib.suppress(FileNotFoundError, PermissionError), os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{above}{entry.name}/")
            elif entry.is_file():
                yield above + entry.name, entry.path


def _bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def md5(content: bytes) -> str:
    """Return what a server's ETag is for an object that was put whole."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def s3_tree(server: S3Server, bucket: str, prefix: str = "") -> dict[str, tuple[int, str]]:
    """Return every object below a prefix: key relative to it, to size and ETag (without quotes)."""
    return {
        key.removeprefix(prefix).lstrip("/"): (size, etag.strip('"'))
        for key, size, etag in listing(server, bucket, prefix)
    }


def s3_bytes(
    server: S3Server, bucket: str, prefix: str = "", known: dict[tuple[str, str], bytes] | None = None
) -> dict[str, bytes]:
    """Return every object below a prefix: key relative to it, to bytes.

    Who looks again and again hands over what is `known` of the bucket, by key and ETag: only the rest is asked for.
    """
    known, found = {} if known is None else known, {}
    for key, _, etag in listing(server, bucket, prefix):
        if (key, etag) not in known:
            known[key, etag] = _body(server, bucket, key)
        found[key.removeprefix(prefix).lstrip("/")] = known[key, etag]
    return found


_PLAIN = re.compile(r"\.?\w[\w.@=-]*(/\.?[\w@][\w.@=-]*)*", re.ASCII)


def _body(server: S3Server, bucket: str, key: str) -> bytes:
    """Return an object's bytes: through obstore, ten times as quick, if it has no idea of its own about the key."""
    if _PLAIN.fullmatch(key):
        return opened(server, bucket).get(key).bytes().to_bytes()
    return lasting_client(server).get_object(Bucket=bucket, Key=key)["Body"].read()


def listing(server: S3Server, bucket: str, prefix: str) -> Iterator[tuple[str, int, str]]:
    """Yield key, size and ETag of every object below a prefix.

    botocore's models take ten times as long to understand an answer.
    """
    query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
    while True:
        found = ET.fromstring(signed(server, "GET", bucket, query))
        place = found.tag.removesuffix("ListBucketResult")
        for entry in found.iter(f"{place}Contents"):
            key, size, etag = (entry.findtext(f"{place}{name}", "") for name in ("Key", "Size", "ETag"))
            yield unquote_plus(key), int(size), etag
        if found.findtext(f"{place}IsTruncated") != "true":
            return
        query = {**query, "continuation-token": found.findtext(f"{place}NextContinuationToken", "")}


def weather(n_time: int, nx: int, *, k: int = 1, dtype: str = "f4") -> xr.Dataset:
    """A dataset whose every value tells its index and the generation `k` it belongs to.

    Values of different generations differ everywhere and none is a fill value; the values of one generation do not
    depend on the extent. So any mix of two states, and any chunk that is missing, shows.
    """
    time, x = np.arange(n_time), np.arange(nx)
    return xr.Dataset(
        {"t2m": (("time", "x"), (time[:, None] * 1000.0 + x[None] + k / 8).astype(dtype), {"units": "K"})},
        coords={"time": (time + 7).astype("i4"), "x": (x + 3).astype("i4")},
        attrs={"title": "weather"},
    )


def write_store(
    path: Path,
    ds: xr.Dataset,
    *,
    zarr_format: int = 2,
    chunks: Mapping[str, int] | None = None,
    shards: Mapping[str, int] | None = None,
    groups: Mapping[str, xr.Dataset] | None = None,
    mode: str = "w",
) -> Path:
    """Write a dataset, and others as groups below it, with consolidated metadata at the root.

    Parameters
    ----------
    path
        Directory of the store.
    ds
        The root group.
    zarr_format
        2 or 3.
    chunks, shards
        Chunk and shard lengths by dimension. One-dimensional coordinates get chunks of 4000, as the pipeline writes
        them, so that a coordinate can grow without a change of its chunk shape.
    groups
        Datasets of groups by path, such as ``{"Auxiliary": ...}``.
    mode
        As xarray's: ``w`` replaces the store, ``a`` writes into it.
    """
    wanted = {"zarr_format": zarr_format, "chunks": chunks or {}, "shards": shards}
    data = {"": ds, **(groups or {})}
    if mode != "w" or sum(each.nbytes for each in data.values()) > _MOST_KEPT:
        _write_store(path, data, mode, **wanted)
        return path
    encodings = [{name: each[name].encoding for name in each.variables} for each in data.values()]
    token = tokenize(data, encodings, wanted)
    if token not in _kept:
        with tempfile.TemporaryDirectory() as directory:
            _write_store(Path(directory, "store"), data, mode, **wanted)
            _kept[token] = read_tree(Path(directory, "store"))
    shutil.rmtree(path, ignore_errors=True)
    return write_tree(path, _kept[token])


# What was written once, by all that it was made of: hundreds of tests begin with the same few stores.
_kept: dict[str, dict[str, bytes]] = {}
_MOST_KEPT = 2**20  # bytes


def _write_store(path: Path, data: Mapping[str, xr.Dataset], mode: str, **wanted: Any) -> None:
    import zarr

    with quiet_zarr():
        for group, each in data.items():
            each.to_zarr(
                path,
                group=group.strip("/") or None,
                mode="a" if group else mode,
                zarr_format=wanted["zarr_format"],
                consolidated=False,
                encoding={
                    str(name): _encoding(each[name], wanted["chunks"], wanted["shards"]) for name in each.variables
                },
            )
        zarr.consolidate_metadata(str(path))


def append(path: Path, ds: xr.Dataset, *, group: str | None = None, dim: str = "time") -> None:
    """Append along a dimension, as the pipeline does on each run."""
    import zarr

    with quiet_zarr():
        ds.to_zarr(path, group=group, append_dim=dim, consolidated=False)
        zarr.consolidate_metadata(str(path))


def _encoding(variable: xr.DataArray, chunks: Mapping[str, int], shards: Mapping[str, int] | None) -> dict[str, Any]:
    if variable.ndim == 1:
        return {"chunks": (4000,)}
    lengths = tuple(chunks.get(str(dim), length) for dim, length in variable.sizes.items())
    if shards is None or not variable.ndim:
        return {"chunks": lengths}
    return {
        "chunks": lengths,
        "shards": tuple(
            shards.get(str(dim), length) for (dim, _), length in zip(variable.sizes.items(), lengths, strict=True)
        ),
    }


@contextlib.contextmanager
def quiet_zarr() -> Iterator[None]:
    """Silence zarr's remarks on format 3: consolidated metadata is not in the specification yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part", category=UserWarning)
        yield


def write_cog(
    path: Path, array: np.ndarray[Any, Any], *, west: float = -10.0, north: float = 5.0, cell: float = 0.5
) -> Path:
    """Write a two-dimensional array as a COG in longitude and latitude."""
    import rasterio
    from rasterio.transform import from_origin

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = array.shape
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=height,
        width=width,
        count=1,
        dtype=array.dtype.name,
        crs="EPSG:4326",
        transform=from_origin(west, north, cell, cell),
        nodata=float("nan") if array.dtype.kind == "f" else None,
        blocksize=128,
        compress="DEFLATE",
    ) as cog:
        cog.write(array, 1)
    return path
