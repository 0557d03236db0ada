"""What a target goes through in the crash tests: a state before, one after, and what readers may see between them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from servers import opened
from target import CHUNKS, absent
from trees import quiet_zarr, read_tree, s3_bytes, weather, write_cog, write_store

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = {
    "v2": {"zarr_format": 2},
    "v3": {"zarr_format": 3},
    "sharded": {"zarr_format": 3, "shards": {"time": 10, "x": 8}},
}

Data = xr.Dataset
Check = Callable[["View"], None]


@dataclass
class View:
    """The target as readers see it while nobody publishes, and what they may see."""

    target: OnServer | OnDisk | Kept
    before: dict[str, Data]  # by place of the store; empty if nothing was published
    after: dict[str, Data]
    seen: dict[object, Data | str] = field(default_factory=dict)

    def read(self, store: str, *, consolidated: bool = True) -> Data | str:
        """Open and read a store whole, with what every reader uses: xarray and zarr."""
        what = (store, consolidated, self.target.version(store))
        if what not in self.seen:
            self.seen[what] = self._read(store, consolidated=consolidated)
        return self.seen[what]

    def _read(self, store: str, *, consolidated: bool) -> Data | str:
        try:
            with quiet_zarr(), warnings.catch_warnings():
                # Chunks of an array whose metadata is retired already, seen by who lists the store.
                warnings.filterwarnings("ignore", message="Object at .* is not recognized as a component")
                return xr.open_zarr(self.target.open(store), chunks=None, consolidated=consolidated).load()
        except Exception as error:
            return "NotConsolidated" if str(error) == ".zmetadata" else type(error).__name__


@dataclass
class OnServer:
    """A target where it is."""

    server: object
    bucket: str
    prefix: str

    def open(self, store: str):
        """Open a store as zarr does."""
        import zarr

        return zarr.storage.ObjectStore(opened(self.server, self.bucket, f"{self.prefix}/{store}"), read_only=True)

    def version(self, _store: str) -> object:
        """Return what is another when the store is: it is looked at while it stays as it is."""
        return id(self)

    def below(self, place: str) -> dict[str, bytes]:
        """Return the objects of a directory."""
        return s3_bytes(self.server, self.bucket, f"{self.prefix}/{place}/")


@dataclass
class OnDisk:
    """A directory of this machine, of which somebody may have read all files already: they need not be read again."""

    root: Path
    files: dict[str, bytes] | None = None

    def open(self, store: str) -> Path:
        """Open a store as zarr does."""
        return self.root / store

    def version(self, store: str) -> object:
        """Return what is another when the store is."""
        return frozenset(self.below(store).items())

    def below(self, place: str) -> dict[str, bytes]:
        """Return the files of a directory."""
        return read_tree(self.root / place) if self.files is None else below(self.files, place)


@dataclass
class Kept:
    """What was in a target at some time, read from memory: who opens it is asked for no request of a server."""

    bodies: dict[str, bytes]

    def open(self, store: str):
        """Open a store as zarr does."""
        import zarr

        buffer = zarr.core.buffer.default_buffer_prototype().buffer
        objects = {key: buffer.from_bytes(body) for key, body in self.below(store).items()}
        return zarr.storage.MemoryStore(objects, read_only=True)

    def version(self, store: str) -> object:
        """Return what is another when the store is."""
        return frozenset(self.below(store).items())

    def below(self, place: str) -> dict[str, bytes]:
        """Return the objects of a directory."""
        return below(self.bodies, place)


def below(bodies: dict[str, bytes], place: str) -> dict[str, bytes]:
    return {key[len(place) + 1 :]: body for key, body in bodies.items() if key.startswith(f"{place}/")}


@dataclass
class Scenario:
    """How the source changes between two publishes, and what may be seen meanwhile.

    Attributes
    ----------
    before, after
        Write the source, in a format; None where nothing was published before.
    check
        Raises unless readers see what the promises allow.
    options
        What the second publish needs.
    """

    before: Callable[[Path, dict], dict[str, Data]] | None
    after: Callable[[Path, dict], dict[str, Data]]
    check: Check
    options: dict = field(default_factory=lambda: {"max_delete": "100%", "rewrites": "inplace"})


def same(left, right) -> bool:
    return isinstance(left, Data) and left.equals(right)


def single(*extent, **how):
    """Write one store."""

    def write(root, layout):
        write_store(root / "a.zarr", weather(*extent, **how), chunks=CHUNKS, **layout)
        return {"a.zarr": weather(*extent, **how)}

    return write


def partly(*extent):
    """Write one store of which some chunks are others, and some are not."""

    def write(root, layout):
        data = weather(*extent).load()
        data.t2m[:10] += 1
        write_store(root / "a.zarr", data, chunks=CHUNKS, **layout)
        return {"a.zarr": data}

    return write


def with_more(extra):
    """Write one store, with a variable and a group more or without."""

    def write(root, layout):
        data = weather(7, 8)
        more = data.assign(wind=data.t2m + 1) if extra else data
        write_store(root / "a.zarr", more, chunks=CHUNKS, groups={"Auxiliary": data} if extra else None, **layout)
        return {"a.zarr": more}

    return write


def tree(n_time):
    """Write a directory of two stores."""

    def write(root, layout):
        places = {f"tree.zarr/oco3/{name}.zarr": weather(n_time, 4, k=k) for k, name in enumerate(("a", "b"), 1)}
        for place, data in places.items():
            write_store(root / place, data, chunks=CHUNKS, **layout)
        return places

    return write


def three(n_time):
    """Write two stores and a directory of COGs with an index."""

    def write(root, layout):
        stores = {"pre_qf.zarr": weather(n_time, 4), "post_qf.zarr": weather(n_time, 4, k=2)}
        for name, data in stores.items():
            write_store(root / name, data, chunks=CHUNKS, **layout)
        for day in range(0, n_time, 5):
            write_cog(root / "cog" / f"{day}.tif", np.full((32, 32), day, "float32"))
        (root / "cog" / "index.json").write_text(json.dumps(n_time))
        return stores

    return write


def check_states(view: View) -> None:
    """Readers see the old extent, the new one, or what both have in common; never another value."""
    for store, after in view.after.items():
        before = view.before.get(store)
        states = [after]
        if before is not None:
            common = {dim: min(before.sizes[dim], after.sizes[dim]) for dim in after.sizes}
            states += [before, after.isel({dim: slice(0, length) for dim, length in common.items()})]
        seen = view.read(store)
        assert any(same(seen, state) for state in states) or (before is None and absent(seen)), (store, seen)
        bypassing = view.read(store, consolidated=False)
        # Arrays turn over one by one there: lengths may conflict (ValueError), values are never wrong.
        fine = bypassing == "ValueError" if isinstance(bypassing, str) else any(same(bypassing, s) for s in states)
        assert fine or (before is None and absent(bypassing)), (store, bypassing)


def check_update(view: View) -> None:
    """In place an update is not atomic; but each value is the old one or the new one, and none is missing."""
    for store, after in view.after.items():
        for consolidated in (True, False):
            seen = view.read(store, consolidated=consolidated)
            assert isinstance(seen, Data), seen
            for name, values in seen.variables.items():
                old, new = (np.asarray(state[name]) for state in (view.before[store], after))
                assert np.all((values.values == old) | (values.values == new)), name


def check_removal(view: View) -> None:
    """Readers see it all, or none of what was removed; who bypasses consolidated metadata sees it go one by one."""
    [(store, after)] = view.after.items()
    before = view.before[store]
    seen = view.read(store)
    assert same(seen, before) or same(seen, after), seen
    bypassing = view.read(store, consolidated=False)
    assert same(bypassing, before) or same(bypassing, after), bypassing


def check_together(view: View) -> None:
    """P4: each product is old or new; and once one shows the new state, all data of the others is there."""
    check_states(view)
    objects = view.target.below("cog")
    index = objects.get("index.json")
    if index is not None:
        assert {f"{day}.tif" for day in range(0, json.loads(index), 5)} <= objects.keys()
    shows_new = index == b"10" or any(same(view.read(store), after) for store, after in view.after.items())
    if shows_new:
        for store, after in view.after.items():
            bypassing = view.read(store, consolidated=False)
            assert same(bypassing, after) or absent(bypassing), (store, bypassing)


def check_replacement(view: View) -> None:
    """Readers see the old array, no store, or the new array."""
    for store, after in view.after.items():
        seen = view.read(store)
        assert same(seen, view.before[store]) or same(seen, after) or absent(seen), seen
        bypassing = view.read(store, consolidated=False)
        fine = same(bypassing, view.before[store]) or same(bypassing, after)
        assert fine or absent(bypassing) or bypassing == "ValueError", bypassing


def check_flip(view: View) -> None:
    """Readers see all that was, or all that is to be; who bypasses consolidated metadata sees that of each array.

    Coordinates of v2 have no other keys: where they shrink the common extent is shown before.
    """
    for store, after in view.after.items():
        before = view.before[store]
        states = [before, after]
        if ".zgroup" in view.target.below(store):
            common = {dim: min(before.sizes[dim], after.sizes[dim]) for dim in after.sizes}
            states += [data.isel({dim: slice(0, length) for dim, length in common.items()}) for data in states]
        seen = view.read(store)
        assert any(same(seen, state) for state in states), (store, seen)
        bypassing = view.read(store, consolidated=False)
        if bypassing != "ValueError":
            assert isinstance(bypassing, Data), bypassing
            for name, values in bypassing.variables.items():
                assert any(values.equals(state.variables[name]) for state in states), name


FLIP = {"max_delete": "100%", "grace": 0}

SCENARIOS = {
    "first": Scenario(None, single(7, 8), check_states),
    "append": Scenario(single(10, 8), single(15, 8), check_states),
    "boundary": Scenario(single(7, 8), single(9, 8), check_states),
    "shrink": Scenario(single(12, 8), single(7, 8), check_states),
    "mixed": Scenario(single(10, 8), single(13, 6), check_states),
    "update": Scenario(single(10, 8), single(10, 8, k=2), check_update),
    "removal": Scenario(with_more(True), with_more(False), check_removal),
    "tree": Scenario(tree(4), tree(8), check_states),
    "three": Scenario(three(5), three(10), check_together),
    "replace": Scenario(
        single(10, 8),
        single(12, 8, dtype="f8"),
        check_replacement,
        {"max_delete": "100%", "on_incompatible": "replace"},
    ),
    "flip-update": Scenario(single(20, 8), partly(20, 8), check_flip, FLIP),
    "flip-mixed": Scenario(single(10, 8), single(13, 6, k=2), check_flip, FLIP),
    "flip-dtype": Scenario(single(10, 8), single(12, 8, k=2, dtype="f8"), check_flip, FLIP),
}
