"""Which arrays of a store come, and what of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr
import zarr

from zsync.errors import ConfigError
from zsync.layout import Dimensions, Store, join, lineage
from zsync.pulling.ranges import extent_of, indices_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zsync.inventory.snapshot import Snapshot
    from zsync.pulling.asked import Asked

UNREADABLE = (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, ImportError)  # as codecs fail


@dataclass(frozen=True, slots=True)
class Cut:
    """What of an array comes."""

    array: zarr.Array[Any]
    cut: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of that."""
        return tuple(part.stop - part.start for part in self.cut)


class Cutting:
    """Decides which arrays of a store come, and what of each."""

    def __init__(self, asked: Asked, store: Store, snapshot: Snapshot) -> None:
        self.asked, self.store, self.snapshot = asked, store, snapshot
        self.dimensions = Dimensions.of(store)
        self._ranges: dict[tuple[str, str], slice] = {}

    def cuts(self) -> dict[str, Cut]:
        """Return what of which array comes, by path."""
        named = self._named()
        wanted = self.dimensions.with_needed(named)
        out = self._nameless(wanted)
        closed = set[str]()
        for name in self.asked.select:
            self._look(name, wanted - out, out, closed)
        kept = [path for path in named if path not in out and group_of(path) not in closed]
        opened = {path: self._opened(path) for path in sorted(self.dimensions.with_needed(kept) - out)}
        return {path: Cut(array, self._cut(path)) for path, array in opened.items() if array is not None}

    def _opened(self, path: str) -> zarr.Array[Any] | None:
        """Open an array; one of which nobody here knows the codecs does not come."""
        try:
            return _array(self.snapshot, path, self.store.arrays[path].zarr_format)
        except UNREADABLE as error:
            self.asked.leave_out(join(self.store.prefix, path), f"it cannot be opened ({error})")
            return None

    def _named(self) -> list[str]:
        """Return the arrays that were asked for by name, or all of them."""
        found = []
        axes = (name for names in self.dimensions.names.values() for name in names if name)
        self.asked.known.update((path.rpartition("/")[2] for path in self.dimensions.shapes), axes)
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
                users.setdefault(group_of(path), []).append(path)
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
            found = indices_of(labels, name, self.asked.select[name], length)
            self.asked.extents.setdefault(name, extent_of(labels, name))
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
        except UNREADABLE as error:
            where = f"{self.asked.where}/{join(self.store.prefix, path)}"
            raise ConfigError(f"the labels of {name} cannot be decoded ({error})", where, "leave it out") from error

    def _length(self, path: str, name: str) -> int:
        return self.dimensions.shapes[path][self.dimensions.names[path].index(name)]

    def _cut(self, path: str) -> tuple[slice, ...]:
        names = self.dimensions.names.get(path) or (None,) * len(self.dimensions.shapes[path])
        cuts = []
        for name, length in zip(names, self.dimensions.shapes[path], strict=True):
            label = self.dimensions.label_of(group_of(path), name) if name else None
            cuts.append(self._ranges.get((label or group_of(path), name or ""), slice(0, length)))
        return tuple(cuts)


def group_of(path: str) -> str:
    """Return the group that an array lies in."""
    return path.rpartition("/")[0]


def _array(store: Snapshot, path: str, zarr_format: int) -> zarr.Array[Any]:
    return zarr.open_array(store, path=path, mode="r", zarr_format=format_of(zarr_format))


def format_of(zarr_format: int) -> Literal[2, 3]:
    """Return a format as zarr wants it told."""
    return 2 if zarr_format == 2 else 3
