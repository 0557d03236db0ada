"""Everything that may happen to a target, in any order: changes of the source, publishes, crashes, rivals, outsiders.

The model knows what readers see of each store of a tree. A publish makes that the source's state. One that is cut off
leaves of each store what was seen before, or the source's state, or, while arrays shrink, what both have in common;
which of them, the first read tells, and from there it goes on. Values tell their place, so no read can be right by
chance.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace

import pytest
import xarray as xr
from clock import clock_off
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from proxy import Fault
from target import CHUNKS
from trees import append, listing, read_tree, s3_tree, weather, write_store

import zsync
from zsync.errors import ConflictError, ZsyncError

FIRST, SECOND = "tree.zarr/first.zarr", "tree.zarr/second.zarr"
GROUP = "Auxiliary"
GENERATION = {"t2m": 1, "d2m": 2, "tcc": 3}
LONGEST, WIDEST = 12, 6
NOT_FOUND = {"FileNotFoundError", "GroupNotFoundError", "KeyError"}
NOT_CONSOLIDATED = "ValueError: .zmetadata"  # what zarr says of a v2 store whose first publish, or last, was cut off


@dataclass(frozen=True)
class State:
    """What a store holds; the values follow."""

    time: int
    x: int
    names: frozenset[str] = frozenset()  # of variables beside t2m
    has_group: bool = True
    revision: int = 0

    def datasets(self) -> dict[str, xr.Dataset]:
        ds = weather(self.time, self.x)
        for name in sorted(self.names):
            ds[name] = weather(self.time, self.x, k=GENERATION[name]).t2m
        ds.t2m.attrs["revision"] = self.revision
        return {"": ds, GROUP: weather(self.time, self.x, k=5)} if self.has_group else {"": ds}

    @classmethod
    def of(cls, tree: xr.DataTree) -> State:
        names = frozenset(map(str, tree.data_vars)) - {"t2m"}
        return cls(tree.sizes["time"], tree.sizes["x"], names, GROUP in tree.children, tree.t2m.attrs["revision"])

    def is_held_by(self, tree: xr.DataTree) -> bool:
        return all(
            tree[f"/{group}"].to_dataset().drop_attrs(deep=False).identical(ds.drop_attrs(deep=False))
            for group, ds in self.datasets().items()
        )


def between(old: State | None, new: State | None) -> set[State | None]:
    """Return what readers may see of a store after a publish that was cut off.

    The fence shows the old documents, cut to the common extent; what will go may go with the fence already.
    """
    if old is None or new is None:
        return {old, new}
    common = replace(old, time=min(old.time, new.time), x=min(old.x, new.x))
    fences = {
        replace(common, names=names, has_group=has_group)
        for names in (old.names, old.names & new.names)
        for has_group in (old.has_group, old.has_group and new.has_group)
    }
    return {old, new} if (common.time, common.x) == (old.time, old.x) else {old, new, *fences}


CHANGES = {
    "append into the boundary chunk": lambda s: replace(s, time=min(LONGEST, s.time + 1)),
    "append beyond it": lambda s: replace(s, time=min(LONGEST, s.time + 6)),
    "shrink": lambda s: replace(s, time=max(2, s.time - 4)),
    "shrink both": lambda s: replace(s, time=max(2, s.time - 2), x=max(2, s.x - 3)),
    "grow time, shrink x": lambda s: replace(s, time=min(LONGEST, s.time + 4), x=max(2, s.x - 2)),
    "shrink time, grow x": lambda s: replace(s, time=max(2, s.time - 3), x=WIDEST),
    "change an attribute": lambda s: replace(s, revision=s.revision + 1),
    "add or remove d2m": lambda s: replace(s, names=s.names ^ {"d2m"}),
    "add or remove tcc": lambda s: replace(s, names=s.names ^ {"tcc"}),
    "add or remove the group": lambda s: replace(s, has_group=not s.has_group),
}
changes = st.lists(st.tuples(st.sampled_from([FIRST, FIRST, SECOND]), st.sampled_from([*CHANGES])), max_size=3)

requests = st.integers(1, 45)
clocks = st.sampled_from([0, 0, 0, -40, 40])  # seconds that a publisher's clock is off
graces = st.sampled_from(["0s", "0s", "2h"])


class Cut:
    """Refuses every request after the n-th; the n-th itself may still be acted on. Or some requests, then no more."""

    def __init__(self, n, *, acted, lasts=None):
        self.n, self.acted, self.lasts, self.count = n, acted, lasts, 0

    def __call__(self, exchange):
        self.count += 1
        if self.count < self.n or (self.lasts is not None and self.count >= self.n + self.lasts):
            return None
        return Fault.lost() if self.acted and (self.count == self.n or self.lasts) else Fault.reset()


class Pause:
    """Holds up the n-th request, and with it all others, while somebody else does something."""

    def __init__(self, n, meanwhile):
        self.n, self.meanwhile, self.count = n, meanwhile, 0

    def __call__(self, exchange):
        self.count += 1
        if self.count == self.n:
            self.meanwhile()


class Rival:
    """Progress that has somebody else publish when the data stage begins."""

    def __init__(self, publish):
        self.publish = publish

    def begin(self, step, objects, size):
        if step == "data":
            self.publish()

    def advance(self, objects, size):
        pass

    def end(self):
        pass


class Target(RuleBasedStateMachine):
    """One tree of two stores, and all that happens to it."""

    def __init__(self, site, client, counts):
        super().__init__()
        self.site, self.client, self.counts = site, client, counts
        self.site.products["tree.zarr"] = {"path": "tree.zarr", "kind": "zarr"}
        self.forms: dict[str, dict[str, object]] = {}
        self.source: dict[str, State | None] = {FIRST: State(7, 6), SECOND: State(4, 4)}
        self.written: dict[str, State | None] = {FIRST: None, SECOND: None}
        self.seen: dict[str, State | None] = {FIRST: None, SECOND: None}
        self.known: dict[str, tuple[object, State | None]] = {}  # what was there when it was read, and what was read
        self.is_damaged = False  # by an outsider, and not repaired yet
        self.is_as_published = False  # nothing happened since a publish succeeded

    @initialize(forms=st.tuples(*[st.sampled_from([2, 3])] * 2), rewrites=st.sampled_from(["auto", "inplace"]))
    def choose_formats(self, forms, rewrites):
        self.site.options = {"rewrites": rewrites}
        self.forms = {store: {"zarr_format": form} for store, form in zip(self.source, forms, strict=True)}

    # --- what may happen ---------------------------------------------------------------------------------------------

    @rule(changes=changes, off_s=clocks, grace=graces)
    def publish(self, changes, off_s=0, grace="0s"):
        self.change_the_source(changes)
        with clock_off(off_s):
            self.succeed(progress=False, grace=grace)

    @rule(changes=changes, n=requests, acted=st.booleans(), grace=graces)
    def crash(self, changes, n, acted, grace="0s"):
        self.change_the_source(changes)
        self.try_to_publish(Cut(n, acted=acted), "crashes", grace=grace)

    @rule(changes=changes, n=requests, acted=st.booleans(), lasts=st.integers(1, 3))
    def publish_over_a_bad_line(self, changes, n, acted, lasts):
        """Some requests, or only their answers, are lost; what follows them is not."""
        self.change_the_source(changes)
        self.try_to_publish(Cut(n, acted=acted, lasts=lasts), "bad lines")

    @rule(changes=changes, n=requests, others=changes)
    def publish_and_be_overtaken(self, changes, n, others):
        """A publisher stands still; meanwhile the source changes, and somebody else publishes it, or is refused."""
        self.change_the_source(changes)
        self.write_source()
        planned, came_first, failed = dict(self.source), [], []

        def meanwhile():
            try:
                self.change_the_source(others)
                self.write_source()
                zsync.publish(self.site.config(storage=self.direct()), progress=False, max_delete="100%")
                came_first.append(dict(self.source))
            except ConflictError:
                self.counts["kept out by a publisher who stood still"] += 1
            except Exception as error:
                failed.append(error)

        self.site.proxy.faults.append(Pause(n, meanwhile))
        self.is_as_published = False
        try:
            zsync.publish(self.site.config(), progress=False, max_delete="100%")
        except ZsyncError:
            self.counts["overtaken" if came_first else "stopped by a source that changed"] += 1
            for store, new in planned.items():
                old, self.seen[store] = self.seen[store], self.read(store)
                allowed = {came_first[0][store]} if came_first else between(old, new)
                assert self.seen[store] in allowed, store
        else:
            self.seen = came_first[0] if came_first else planned
            self.is_damaged = False
        finally:
            self.site.proxy.faults.clear()
        assert not failed, failed

    def direct(self):
        """Return how the target is reached past the proxy."""
        return {**self.site.config()["storage"], "endpoint_url": self.site.s3.endpoint_url}

    def try_to_publish(self, fault, what, **options):
        is_gracious = options.get("grace", "0s") != "0s"
        self.write_source()
        self.site.proxy.faults.append(fault)
        try:
            status = zsync.publish(self.site.config(), progress=False, max_delete="100%", **options).status
        except ZsyncError:
            self.counts[what] += 1
            self.is_as_published = False
            for store, new in self.source.items():
                old, self.seen[store] = self.seen[store], self.read(store)
                assert self.seen[store] in between(old, new), store
        else:
            self.counts["got through" if status != "unretired" else "could not retire"] += 1
            gone = {store: state for store, state in self.seen.items() if self.source[store] is None}
            self.settle()
            if is_gracious:
                self.seen |= gone
            elif status == "unretired":
                self.seen |= {store: self.read(store) for store in gone}
                assert all(self.seen[store] in between(old, None) for store, old in gone.items())
            self.is_as_published &= not is_gracious and status != "unretired"
        finally:
            self.site.proxy.faults.clear()

    @rule(changes=changes)
    def publish_beside_a_rival(self, changes):
        def rival():
            with pytest.raises(ConflictError):
                zsync.publish(self.site.config(), progress=False, max_delete="100%")
            self.counts["rivals"] += 1

        self.change_the_source([*changes, (FIRST, "append beyond it"), (FIRST, "add or remove tcc")])
        self.succeed(progress=Rival(rival))

    @rule()
    def remove_the_second_store(self):
        self.is_as_published &= self.source[SECOND] is None
        self.source[SECOND] = None

    @rule(deletes=st.booleans())
    def an_outsider_meddles(self, deletes):
        if self.seen[FIRST] is None:
            self.succeed(progress=False)
        chunk = "t2m/0.0" if self.forms[FIRST]["zarr_format"] == 2 else "t2m/c/0/0"
        place = {"Bucket": self.site.bucket, "Key": f"{self.site.prefix}/{FIRST}/{chunk}"}
        if deletes:
            self.client.delete_object(**place)
        else:
            self.client.put_object(**place, Body=b"not what was published")
        self.counts["outsiders"] += 1
        self.is_damaged, self.is_as_published = True, False

    # --- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def readers_see_what_they_may(self):
        self.counts["steps"] += 1
        for store, state in self.seen.items():
            assert self.read(store) == state

    def teardown(self):
        self.site.proxy.faults.clear()
        if self.forms:  # else it did not even begin
            self.succeed(progress=False)
            self.readers_see_what_they_may()
            source = read_tree(self.site.root / "tree.zarr")
            if self.site.options["rewrites"] == "inplace":
                published = s3_tree(self.site.s3, self.site.bucket, f"{self.site.prefix}/tree.zarr/")
                assert {key: etag for key, (_, etag) in published.items()} == {
                    key: hashlib.md5(body, usedforsecurity=False).hexdigest() for key, body in source.items()
                }
            elif source:
                back = self.site.root.with_name(f"{self.site.root.name}-back")
                zsync.pull(self.site.config(), back, progress=False)
                assert read_tree(back / "tree.zarr") == source
                shutil.rmtree(back)
            assert self.site.publish(grace=0).status == "unchanged"
        self.site.proxy.requests.clear()
        shutil.rmtree(self.site.root, ignore_errors=True)

    # --- means -------------------------------------------------------------------------------------------------------

    def succeed(self, *, progress, grace="0s"):
        self.write_source()
        result = zsync.publish(self.site.config(), progress=progress, max_delete="100%", grace=grace)
        self.counts[result.status] += 1
        if self.is_as_published:
            assert result.status == "unchanged"
        waits = {store: state for store, state in self.seen.items() if grace != "0s" and self.source[store] is None}
        self.settle()
        self.seen |= waits  # a store that is gone is there until its grace ends
        self.is_as_published &= grace == "0s"

    def settle(self):
        """Readers see the source's state now; that they do is for the invariant to find out."""
        self.seen = dict(self.source)
        self.is_damaged, self.is_as_published = False, True

    def change_the_source(self, changes):
        before = dict(self.source)
        for store, how in changes:
            state = self.source[store]
            self.source[store] = State(4, 4) if state is None else CHANGES[how](state)
        self.is_as_published &= self.source == before

    def read(self, store):
        """Return the state that a reader sees; None if there is no store for it. Its values must be those it tells.

        What is there byte for byte as it was when it was read last is not read again.
        """
        there = self.is_damaged, *listing(self.site.s3, self.site.bucket, f"{self.site.prefix}/{store}/")
        if self.known.get(store, (None, None))[0] != there:
            self.known[store] = there, self.read_anew(store)
        return self.known[store][1]

    def read_anew(self, store):
        self.counts["reads"] += 1
        where, options = self.site.place(store, self.counts["reads"])
        try:
            opened = xr.open_datatree(where, engine="zarr", consolidated=True, **options)
        except Exception as error:
            if type(error).__name__ in NOT_FOUND or f"{type(error).__name__}: {error}" == NOT_CONSOLIDATED:
                return None
            raise
        with opened:
            state = State.of(opened)
            if store != FIRST or not self.is_damaged:
                assert state.is_held_by(opened.load())
        return state

    def write_source(self):
        for store, state in self.source.items():
            was, path = self.written[store], self.site.root / store
            if state is None:
                shutil.rmtree(path, ignore_errors=True)
            elif was is not None and was.time < state.time and replace(was, time=state.time) == state:
                for group, ds in sorted(state.datasets().items(), reverse=True):
                    append(path, ds.isel(time=slice(was.time, None)), group=group or None)
            elif was != state:
                datasets = state.datasets()
                shutil.rmtree(path, ignore_errors=True)
                write_store(path, datasets.pop(""), chunks=CHUNKS, groups=datasets, **self.forms[store])
            self.written[store] = state
