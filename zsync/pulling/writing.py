"""Write arrays, cut, as a store of its own."""

from __future__ import annotations

import itertools
import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from zsync.errors import SourceError
from zsync.keys import under
from zsync.layout import join, lineage, with_fill, without_levels
from zsync.pulling.cutting import UNREADABLE, format_of, group_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from zsync.layout import Store
    from zsync.pulling.cutting import Cut

_BLOCK_BYTES = 2**25  # that are decoded at once, by each thread
_THREADS = 8
_ARRAY = {2: ".zarray", 3: "zarr.json"}


def write_store(store: Store, documents: Mapping[str, bytes], cuts: Mapping[str, Cut], to: Path) -> None:
    """Write arrays, cut, with the groups that they lie in.

    Raises
    ------
    SourceError
        One of them cannot be decoded.
    """
    for group in {above for path in cuts for above in lineage(group_of(path))} & set(store.groups):
        _write_group(store, documents, group, cuts, to)
    tasks = []
    for path, item in cuts.items():
        target = _made(store, documents, path, item.shape, to)
        tasks += [(item, target, block) for block in _blocks(target)]
    # Threads of our own: when one fails, the others are waited for before the directory goes.
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="zsync-part") as pool:
        list(pool.map(_copy, tasks))


def _write_group(store: Store, documents: Mapping[str, bytes], group: str, arrays: Iterable[str], to: Path) -> None:
    """Write a group's documents: without consolidated metadata, and without images that do not come."""
    inside = {path[len(group) + 1 :] if group else path for path in arrays if group in lineage(group_of(path))}
    is_v3 = join(group, "zarr.json") in store.documents
    for name in ("zarr.json",) if is_v3 else (".zgroup", ".zattrs"):
        key = join(group, name)
        if (document := store.documents.get(key)) is None:
            continue
        changed = {field: value for field, value in document.items() if field != "consolidated_metadata"}
        if not is_v3:
            changed = without_levels(changed, inside)
        elif isinstance(changed.get("attributes"), dict):
            changed["attributes"] = without_levels(changed["attributes"], inside)
        whole = join(store.prefix, key)
        _put(to, whole, documents[whole] if changed == document else _text(changed))


def _made(store: Store, documents: Mapping[str, bytes], path: str, shape: tuple[int, ...], to: Path) -> zarr.Array[Any]:
    """Make an array of another shape, and all else as it is."""
    zarr_format, directory = store.arrays[path].zarr_format, join(store.prefix, path)
    name, attributes = _ARRAY[zarr_format], join(directory, ".zattrs")
    _put(to, join(directory, name), _text({**store.documents[join(path, name)], "shape": list(shape)}))
    if zarr_format == 2 and attributes in documents:
        _put(to, attributes, documents[attributes])
    return zarr.open_array(str(to / directory), mode="r+", zarr_format=format_of(zarr_format))


def _text(document: dict[str, Any]) -> bytes:
    """Return a document that was changed; attributes that strict JSON cannot say stay as their writer has them."""
    return json.dumps(with_fill(document), indent=2).encode()


def _put(to: Path, key: str, body: bytes) -> None:
    path = Path(under(f"{to}/", key))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _blocks(array: zarr.Array[Any]) -> Iterator[tuple[slice, ...]]:
    """Yield regions that are whole chunks, or shards, and so many of them that few chunks are read twice."""
    steps = [max(step, 1) for step in (array.shards or array.chunks)]
    size = math.prod(steps) * max(array.dtype.itemsize, 1)
    for axis in reversed(range(len(steps))):
        times = max(1, min(-(-array.shape[axis] // steps[axis]), _BLOCK_BYTES // max(size, 1)))
        steps[axis], size = steps[axis] * times, size * times
    starts = (range(0, length, step) for length, step in zip(array.shape, steps, strict=True))
    for place in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, length))
            for start, step, length in zip(place, steps, array.shape, strict=True)
        )


def _copy(task: tuple[Cut, zarr.Array[Any], tuple[slice, ...]]) -> None:
    item, target, block = task
    there = tuple(slice(part.start + b.start, part.start + b.stop) for part, b in zip(item.cut, block, strict=True))
    try:
        target[block] = item.array[there]
    except UNREADABLE as error:
        raise SourceError(f"an array cannot be decoded ({error})", item.array.path, "pull it whole") from error
