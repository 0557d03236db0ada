"""A part of what is published: some variables, a range along some dimensions, as a store of its own.

Only the chunks that hold it are read, as they are on record, array by array: no reader has to be able to open a group
as a whole. The part is written aside first, and from there goes through the same plan and stages as everything else.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr
import zarr

from zsync.errors import ConfigError, SourceError
from zsync.inventory import Directory, Objects
from zsync.inventory.snapshot import Snapshot
from zsync.keys import under
from zsync.layout import Dimensions, Store, describe, examples, join, lineage, with_fill, without_levels
from zsync.pulling.scratch import scratch
from zsync.steps.inspect import read_documents
from zsync.words import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from zsync.keys import Key

_RANGE = re.compile(r"(.*?)\.\.(.*)", re.DOTALL)
_BLOCK_BYTES = 2**25  # that are decoded at once, by each thread
_THREADS = 8
_ARRAY = {2: ".zarray", 3: "zarr.json"}
_UNREADABLE = (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, ImportError)  # as codecs fail


@contextmanager
def written_part(
    origin: Objects, product: str, root: str, aside: Key, select: Mapping[str, str], variables: Sequence[str]
) -> Iterator[tuple[Directory, tuple[Finding, ...]]]:
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
        Names or paths of arrays, or paths of groups; empty for all. The coordinates that they need come with them.

    Yields
    ------
    tuple
        The part, and what of the product nothing could be selected from.

    Raises
    ------
    ConfigError
        There is no such variable or dimension, nothing lies in a range, or there is nothing to select from.
    """
    documents = read_documents(origin, Kind.ZARR, origin.seen.keys, origin.seen.signatures)
    stores = describe(Kind.ZARR, product, origin.seen.keys, documents).stores
    if not stores:
        raise ConfigError("select and variables are for Zarr stores", origin.name, "leave them out")
    asked = _Asked(origin.name, product, select, variables)
    cuts = {
        prefix: _StorePart(asked, store, Snapshot(origin, prefix, documents)).cuts() for prefix, store in stores.items()
    }
    asked.refuse_if_nothing(any(cuts.values()))
    with scratch(root, aside) as directory:
        directory.mkdir()
        for prefix, arrays in cuts.items():
            if arrays:
                _write(stores[prefix], documents, arrays, directory)
        yield Directory(str(directory), product), tuple(asked.findings)


@dataclass(slots=True)
class _Asked:
    """What was asked for, and what was found of it."""

    where: str
    product: str
    select: Mapping[str, str]
    variables: Sequence[str]
    found: set[str] = field(default_factory=set)
    in_range: set[str] = field(default_factory=set)  # names of dimensions of which something lies in the range
    extents: dict[str, str] = field(default_factory=dict)
    coordinates: dict[str, str] = field(default_factory=dict)  # what was taken for a dimension, and what it lies along
    left_out: dict[str, list[str]] = field(default_factory=dict)  # groups and arrays, by the reason

    def leave_out(self, place: str, why: str) -> None:
        """Take note that a group or an array does not come."""
        self.left_out.setdefault(why, []).append(place)

    @property
    def findings(self) -> list[Finding]:
        """What does not come, and why; few for many."""
        return [
            Finding(
                "warning", "not-selectable", self.product, place,
                f"{place or 'the root group'} does not come{more}: {why}",
            )
            for why, places in self.left_out.items()
            for place, more in examples(places)
        ]  # fmt: skip

    def refuse_if_nothing(self, anything: bool) -> None:  # noqa: FBT001
        """Raise if something that was asked for is nowhere, or nothing is left.

        Raises
        ------
        ConfigError
            That is so.
        """
        for name in self.select:
            if name not in self.found and name in self.coordinates:
                raise ConfigError(
                    f"{name} is no dimension: it lies along {self.coordinates[name]}",
                    self.where,
                    "select along these, counted from 0 where they have no labels",
                )
        if missing := [name for name in (*self.variables, *self.select) if name not in self.found]:
            if self.left_out and not any(name in self.variables for name in missing):
                raise self._nothing()
            raise ConfigError(
                "there is no such variable or dimension", f"{', '.join(missing)} in {self.where}", "check the names"
            )
        for name, text in self.select.items():
            if name in self.extents and name not in self.in_range:
                raise ConfigError("nothing lies in this range", f"{name}={text}", f"it is {self.extents[name]}")
        if not anything:
            raise self._nothing()

    def _nothing(self) -> ConfigError:
        said = [item.message for item in self.findings]
        more = f"; and {len(said) - 3} more" if len(said) > 3 else ""
        why = "; ".join(said[:3]) + more if said else "there are no arrays"
        return ConfigError(f"nothing can be selected: {why}", self.where, "pull it whole")


class _StorePart:
    """Decides which arrays of a store come, and what of each."""

    def __init__(self, asked: _Asked, store: Store, snapshot: Snapshot) -> None:
        self.asked, self.store, self.snapshot = asked, store, snapshot
        self.dimensions = Dimensions.of(store)
        self._ranges: dict[tuple[str, str], slice] = {}

    def cuts(self) -> dict[str, _Cut]:
        """Return what of which array comes, by path."""
        named = self._named()
        wanted = self.dimensions.with_needed(named)
        out = self._nameless(wanted)
        closed = set[str]()
        for name in self.asked.select:
            self._look(name, wanted - out, out, closed)
        kept = [path for path in named if path not in out and _group(path) not in closed]
        opened = {path: self._opened(path) for path in sorted(self.dimensions.with_needed(kept) - out)}
        return {path: _Cut(array, self._cut(path)) for path, array in opened.items() if array is not None}

    def _opened(self, path: str) -> zarr.Array[Any] | None:
        """Open an array; one of which nobody here knows the codecs does not come."""
        try:
            return _array(self.snapshot, path, self.store.arrays[path].zarr_format)
        except _UNREADABLE as error:
            self.asked.leave_out(join(self.store.prefix, path), f"it cannot be opened ({error})")
            return None

    def _named(self) -> list[str]:
        """Return the arrays that were asked for by name, or all of them."""
        found = []
        for path in self.dimensions.shapes:
            calls = {path.rpartition("/")[2], join(self.store.prefix, path), *lineage(path)} - {""}
            names = [name for name in self.asked.variables if name.strip("/") in calls]
            self.asked.found.update(names)
            if names or not self.asked.variables:
                found.append(path)
        return found

    def _nameless(self, wanted: Iterable[str]) -> set[str]:
        """Return the arrays of which no range can be had, for their dimensions have no names."""
        if not self.asked.select:
            return set()
        out = {path for path in wanted if path not in self.dimensions.names}
        for path in sorted(out):
            why = "its dimensions have no names, so that no range of it can be selected"
            self.asked.leave_out(join(self.store.prefix, path), why)
        return out

    def _look(self, name: str, wanted: Iterable[str], out: set[str], closed: set[str]) -> None:
        """See what a range of one dimension is in each group that has it; what has no such range is left out."""
        users: dict[str, list[str]] = {}
        for path in sorted(wanted):
            if name in self.dimensions.names.get(path, ()):
                users.setdefault(_group(path), []).append(path)
            elif path.rpartition("/")[2] == name:
                along = (axis for axis in self.dimensions.names.get(path, ()) if axis)
                self.asked.coordinates.setdefault(name, ", ".join(along))
        for group, paths in users.items():
            self.asked.found.add(name)
            label = self.dimensions.label_of(group, name)
            lengths = {path: self._length(path, name) for path in ([label] if label else paths)}
            place = join(self.store.prefix, group)
            if len(set(lengths.values())) > 1:
                said = ", ".join(f"{length} in {path.rpartition('/')[2]}" for path, length in lengths.items())
                self.asked.leave_out(place, f"{name} is not one dimension there ({said}); name one array by variables")
                out.update(paths)
                closed.add(group)
                continue
            length = next(iter(lengths.values()))
            misfits = [path for path in paths if self._length(path, name) != length]
            for path in misfits:
                self.asked.leave_out(join(self.store.prefix, path), f"its {name} is not as long as that of {label}")
            out.update(misfits)
            if not self._range(label or group, name, label, length):
                self.asked.leave_out(place, f"nothing lies in {name}={self.asked.select[name]}")
                out.update(paths)
                closed.add(group)

    def _range(self, scope: str, name: str, label: str | None, length: int) -> bool:
        """Find the indices of a range, and return whether there are any."""
        if (scope, name) not in self._ranges:
            labels = self._labels(label, name) if label else xr.Dataset()
            found = _indices(labels, name, self.asked.select[name], length)
            self.asked.extents.setdefault(name, _extent(labels, name))
            self._ranges[scope, name] = slice(*found.indices(length))
        cut = self._ranges[scope, name]
        if cut.stop > cut.start:
            self.asked.in_range.add(name)
        return bool(cut.stop > cut.start)

    def _labels(self, path: str, name: str) -> xr.Dataset:
        """Return the labels of a dimension, decoded as xarray does it."""
        try:
            array = _array(self.snapshot, path, self.store.arrays[path].zarr_format)
            return xr.decode_cf(xr.Dataset({name: ((name,), array[:], array.attrs.asdict())}))
        except _UNREADABLE as error:
            where = f"{self.asked.where}/{join(self.store.prefix, path)}"
            raise ConfigError(f"the labels of {name} cannot be decoded ({error})", where, "leave it out") from error

    def _length(self, path: str, name: str) -> int:
        return self.dimensions.shapes[path][self.dimensions.names[path].index(name)]

    def _cut(self, path: str) -> tuple[slice, ...]:
        names = self.dimensions.names.get(path) or (None,) * len(self.dimensions.shapes[path])
        cuts = []
        for name, length in zip(names, self.dimensions.shapes[path], strict=True):
            label = self.dimensions.label_of(_group(path), name) if name else None
            cuts.append(self._ranges.get((label or _group(path), name or ""), slice(0, length)))
        return tuple(cuts)


def _group(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class _Cut:
    """What of an array comes."""

    array: zarr.Array[Any]
    cut: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(part.stop - part.start for part in self.cut)


def _array(store: Snapshot, path: str, zarr_format: int) -> zarr.Array[Any]:
    return zarr.open_array(store, path=path, mode="r", zarr_format=_format(zarr_format))


def _format(zarr_format: int) -> Literal[2, 3]:
    return 2 if zarr_format == 2 else 3


def _write(store: Store, documents: Mapping[str, bytes], cuts: Mapping[str, _Cut], to: Path) -> None:
    """Write arrays, cut, with the groups that they lie in."""
    for group in {above for path in cuts for above in lineage(_group(path))} & set(store.groups):
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
    inside = {path[len(group) + 1 :] if group else path for path in arrays if group in lineage(_group(path))}
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
    return zarr.open_array(str(to / directory), mode="r+", zarr_format=_format(zarr_format))


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


def _copy(task: tuple[_Cut, zarr.Array[Any], tuple[slice, ...]]) -> None:
    item, target, block = task
    there = tuple(slice(part.start + b.start, part.start + b.stop) for part, b in zip(item.cut, block, strict=True))
    try:
        target[block] = item.array[there]
    except _UNREADABLE as error:
        raise SourceError(f"an array cannot be decoded ({error})", item.array.path, "pull it whole") from error


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
    if index is None:
        return "counted from 0, as it has no labels"
    return f"{index[0]}..{index[-1]}" if len(index) else "empty"
