"""A part of what is published: some variables, a range along some dimensions, as a store of its own.

Only the chunks that hold it are read, as they are on record. The part is written aside first, and from there
goes through the same plan and stages as everything else.
"""

from __future__ import annotations

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import dask.threaded
import xarray as xr
import zarr

from zsync.errors import ConfigError
from zsync.inventory import Directory, Objects
from zsync.inventory.snapshot import Snapshot
from zsync.keys import checked, under
from zsync.layout import Store, describe
from zsync.verbs.pulling.scratch import scratch
from zsync.verbs.source import read_documents
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zsync.keys import Key

_RANGE = re.compile(r"(.*?)\.\.(.*)", re.DOTALL)
# What of an encoding makes the part look like the whole.
_ENCODING = (
    "chunks", "shards", "dtype", "compressors", "compressor", "filters", "serializer", "coordinates", "_FillValue",
    "fill_value",
)  # fmt: skip


@contextmanager
def written_part(
    origin: Objects, product: str, root: str, aside: Key, select: Mapping[str, str], variables: Sequence[str]
) -> Iterator[Directory]:
    """Write the part of a product aside, and take it away at the end.

    Parameters
    ----------
    origin
        The whole product.
    product
        Its name.
    root, aside
        A directory of the user's, and the one below it in which the part is written.
    select
        Ranges by dimension: ``2020-01..2020-03``, both ends included, or one label; either end may be left out.
    variables
        Names of variables; empty for all. The coordinates that they need come with them.

    Raises
    ------
    ConfigError
        There is no such variable or dimension, or nothing lies in a range.
    """
    documents = read_documents(origin, Kind.ZARR, origin.seen.keys, origin.seen.signatures)
    stores = describe(Kind.ZARR, product, origin.seen.keys, documents).stores
    if not stores:
        raise ConfigError("select and variables are for Zarr stores", origin.name, "leave them out")
    found: set[str] = set()
    with scratch(root, aside) as directory:
        for prefix, store in stores.items():
            snapshot, path = Snapshot(origin, prefix), str(directory)
            if prefix:
                path = under(path, prefix)
            wrote = False
            for group in sorted(store.groups):
                part = _part(_opened(snapshot, group), select, variables, found)
                for name in part.variables:
                    checked(f"{group}/{name}" if group else str(name))
                if variables and not part.data_vars:
                    continue
                mode: Literal["a", "w"] = "a" if wrote else "w"
                written = part.to_zarr(
                    path, group=group or None, mode=mode, consolidated=False, zarr_format=_format(store), compute=False
                )  # fmt: skip
                # Threads of our own: when one fails, the others are waited for before the directory goes.
                with ThreadPoolExecutor(thread_name_prefix="zsync-part") as pool:
                    written.compute(scheduler=dask.threaded.get, pool=pool)  # type: ignore[no-untyped-call]
                wrote = True
            if wrote:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
                    zarr.consolidate_metadata(path)
        _check_all_found(found, select, variables, origin.name)
        yield Directory(str(directory), product)


def _opened(store: Snapshot, group: str) -> xr.Dataset:
    """Open a group as it is stored: values that are packed or encoded come out as they went in, bit by bit."""
    whole: xr.Dataset = xr.open_zarr(
        store, group=group or None, consolidated=False,
        mask_and_scale=False, decode_times=False, decode_timedelta=False, concat_characters=False,
    )  # fmt: skip
    return whole


def _format(store: Store) -> Literal[2, 3]:
    return 2 if store.zarr_format == 2 else 3


def _part(whole: xr.Dataset, select: Mapping[str, str], variables: Sequence[str], found: set[str]) -> xr.Dataset:
    wanted = [name for name in variables if name in whole.data_vars]
    found.update(wanted)
    part = whole[wanted] if variables else whole
    labels = xr.decode_cf(whole[[name for name in select if name in whole.indexes]])
    for name, text in select.items():
        if name in part.dims:
            found.add(name)
            part = part.isel({name: _indices(labels, name, text, whole.sizes[name])})
            if not part.sizes[name]:
                raise ConfigError("nothing lies in this range", f"{name}={text}", f"it is {_extent(labels, name)}")
    for variable in part.variables.values():
        variable.encoding = {
            name: value for name, value in variable.encoding.items() if name in _ENCODING and value is not None
        }
    return part.chunk(_chunks(part))


def _chunks(part: xr.Dataset) -> dict[str, int]:
    """Return chunk lengths by dimension that are whole chunks, or shards, of all variables."""
    import math

    lengths: dict[str, int] = {}
    for variable in part.data_vars.values():
        stored = variable.encoding.get("shards") or variable.encoding.get("chunks") or variable.shape
        for name, length in zip(variable.dims, stored, strict=True):
            lengths[str(name)] = math.lcm(lengths.get(str(name), 1), int(length))
    return {name: min(length, max(part.sizes[name], 1)) if length >= part.sizes[name] else length
            for name, length in lengths.items()}  # fmt: skip


def _indices(labels: xr.Dataset, name: str, text: str, size: int) -> slice:
    """Return the range of indices that a range of labels names; of indices, if the dimension has no labels."""
    match = _RANGE.fullmatch(text)
    first, last = (match[1], match[2]) if match else (text, text)
    try:
        if name not in labels.indexes:
            return slice(int(first or 0), int(last) + 1 if last else size)
        index = labels.indexes[name]
        start, end = (_label(first, index), _label(last, index))
        if index.is_monotonic_decreasing and len(index) > 1:
            start, end = end, start
        return index.slice_indexer(start, end)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            "this is no range of the dimension", f"{name}={text}", f"it is {_extent(labels, name)}"
        ) from error


def _label(text: str, index: Any) -> Any:
    if not text:
        return None
    return float(text) if index.dtype.kind in "iuf" else text


def _extent(labels: xr.Dataset, name: str) -> str:
    index = labels.indexes.get(name)
    return "counted from 0, as it has no labels" if index is None else f"{index[0]}..{index[-1]}"


def _check_all_found(found: set[str], select: Mapping[str, str], variables: Sequence[str], where: str) -> None:
    missing = [name for name in (*select, *variables) if name not in found]
    if missing:
        raise ConfigError(
            "there is no such variable or dimension", f"{', '.join(missing)} in {where}", "check the names"
        )
