"""Which stores and files of a source are at rest. Pure: scans and clocks come in, a state goes out.

A store is one unit, every file outside stores is one. A unit that was seen to change is at rest once it looked the same
for `settle`, or once its files say that they are that old, if their times can be believed: a change between two looks
that is dated before the first of them tells that the clocks disagree, or that something old was moved here, and then
only looking tells. Where a marker is asked for, a store is at rest only once its marker is new.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zsync.layout import store_roots, unit_of, with_families
from zsync.words import VANISHED, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from zsync.inventory import Scan

Signature = tuple[int, int, int, int]  # size, mtime and ctime in nanoseconds, inode
_NS = 10**9
_UNFINISHED = ".partial"
_SLACK_NS = 2 * _NS  # file systems keep times in ticks of up to two seconds


@dataclass(frozen=True, slots=True)
class Clock:
    """When a look began: by the wall clock, in nanoseconds since the epoch, and by one that never jumps, in seconds."""

    wall_ns: int
    steady_s: float


def _everything(keys: Sequence[str]) -> list[bool]:
    return [True] * len(keys)


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as being at rest.

    Attributes
    ----------
    settle_s
        For how long a unit must have been unchanged, in seconds.
    marker
        Name of the file that says that a store is done, in it, or beside it after the store's name and a dot.
    has_stores
        Stores are units; False for products that are no Zarr, whatever their files are called.
    selects
        Which of some keys are published at all; the others do not matter.
    """

    settle_s: float
    marker: str | None = None
    has_stores: bool = True
    selects: Callable[[Sequence[str]], list[bool]] = _everything

    def roots(self, keys: Iterable[str]) -> frozenset[str]:
        """Return the stores among some keys."""
        return store_roots(keys) if self.has_stores else frozenset()

    def markers(self, root: str) -> tuple[str, ...]:
        """Return the keys that a store's marker may have."""
        if self.marker is None:
            return ()
        return (f"{root}/{self.marker}", f"{root}.{self.marker}") if root else (self.marker,)


@dataclass(frozen=True, slots=True)
class Motion:
    """A unit that is not at rest.

    Attributes
    ----------
    since_s
        When it was first seen as it is now, by the steady clock.
    is_dated
        The times of its files can be believed.
    """

    since_s: float
    is_dated: bool


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one product's source.

    Attributes
    ----------
    scan, at
        The last look.
    moving
        Units that are not at rest.
    unmarked
        Stores whose marker is missing, or older than what it should mark.
    stale
        Markers that were there already when their store changed after them, by store.
    abandoned
        Stores in which a writer left something unfinished, with the key of that.
    waiting
        Units that changed and were not published since, with when that was first seen, by the steady clock.
    unfit
        Units that were found unfit, and are as they were then.
    """

    scan: Scan
    at: Clock
    moving: Mapping[str, Motion] = field(default_factory=dict)
    unmarked: frozenset[str] = frozenset()
    stale: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    abandoned: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    unfit: frozenset[str] = frozenset()

    @property
    def held(self) -> frozenset[str]:
        """The units that are not to be published now; a raster is not, while its mask is being written."""
        return with_families({*self.moving, *self.unmarked, *self.abandoned}, self.scan.keys)

    @property
    def ready(self) -> frozenset[str]:
        """The units that changed and may be published now."""
        return frozenset(self.waiting) - self.held - self.unfit

    @property
    def oldest_s(self) -> float | None:
        """When the oldest change that is not published was first seen, by the steady clock; None if there is none."""
        return min(self.waiting.values(), default=None)

    def waits_s(self, rules: Rules) -> tuple[float, float] | None:
        """Return in how many seconds something, and all, in motion may be at rest; None if nothing is in motion."""
        if not self.moving:
            return None
        newest = _newest(self, rules.roots(self.scan.keys), self.moving)
        remaining = [_remaining(self, unit, newest.get(unit), rules) for unit in self.moving]
        return min(remaining), max(remaining)

    def findings(self, product: str) -> list[Finding]:
        """Return what is wrong with units, as far as their files show it."""
        message = "a writer left this unfinished; the store is held back until it is gone"
        return [Finding("error", "unfinished", product, key, message) for _, key in sorted(self.abandoned.items())]


def first_look(scan: Scan, at: Clock, rules: Rules) -> State:
    """Return what one look tells: only the times of files say what is at rest."""
    roots = rules.roots(scan.keys)
    limit = at.wall_ns - int(rules.settle_s * _NS)
    young = [key for key, (_, mtime, ctime, _) in _files(scan) if max(mtime, ctime) > limit]
    units = _by_unit(young, roots, rules)
    state = State(scan, at, moving={unit: Motion(at.steady_s, is_dated=True) for unit in units})
    state = _settled(state, roots, rules)
    return replace(state, waiting=dict.fromkeys(state.held, at.steady_s))


def next_look(before: State, scan: Scan, at: Clock, rules: Rules) -> State:
    """Return what another look adds to what was known."""
    old, new = _by_key(before.scan), _by_key(scan)
    changed = [] if old == new else [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    # What becomes unfit, or fit again, without any file that shows it: a link to itself, a directory of no permissions.
    changed += sorted((_unfit(before.scan) ^ _unfit(scan)).difference(changed))
    # What a store was a part of a moment ago it still is while it goes away.
    roots = rules.roots(scan.keys) if not changed else rules.roots([*scan.keys, *before.scan.keys])
    by_unit = _by_unit(changed, roots, rules)
    marks = {key for root in roots for key in rules.markers(root)}
    touched = {unit: [key for key in keys if key not in marks] for unit, keys in by_unit.items()}
    moved = {
        unit: Motion(at.steady_s, is_dated=_is_dated([new.get(key) for key in by_unit[unit]], before.at, at))
        for unit in by_unit
        if unit not in marks
    }
    fresh = {
        root: signatures for root in before.stale if (signatures := _marks(root, new, rules)) != before.stale[root]
    }
    stale = {root: signatures for root, signatures in before.stale.items() if root not in fresh}
    if rules.marker is not None:
        for root in roots & touched.keys():
            if touched[root] and _marks(root, new, rules) == _marks(root, old, rules):
                stale[root] = _marks(root, new, rules)
    state = replace(
        before,
        scan=scan,
        at=at,
        moving={**before.moving, **moved},
        stale=stale,
        waiting={**dict.fromkeys(moved, at.steady_s), **before.waiting},
        unfit=before.unfit - moved.keys(),
    )
    return _settled(state, roots, rules)


def published(state: State, without: Collection[str], unfit: Collection[str]) -> State:
    """Return the state after a publish.

    Parameters
    ----------
    without
        Units that it was without.
    unfit
        Units that it found unfit.
    """
    stays = {*without, *unfit}
    waiting = {unit: since for unit, since in state.waiting.items() if unit in stays}
    return replace(
        state, waiting={**dict.fromkeys(unfit, state.at.steady_s), **waiting}, unfit=frozenset(unfit) - state.held
    )


def _settled(state: State, roots: frozenset[str], rules: Rules) -> State:
    """Return the state without motion that has come to rest, and with what keeps stores from being published."""
    newest = _newest(state, roots, state.moving)
    moving = {
        unit: motion for unit, motion in state.moving.items() if _remaining(state, unit, newest.get(unit), rules) > 0
    }
    if rules.marker is None:
        unfinished = {unit_of(key, roots): key for key, _ in state.scan.unfinished}
        abandoned = {unit: key for unit, key in unfinished.items() if unit in roots and unit not in moving}
        return replace(state, moving=moving, abandoned=abandoned)
    # The marker alone tells of a store.
    moving = {unit: motion for unit, motion in moving.items() if unit not in roots}
    return replace(state, moving=moving, unmarked=_unmarked(state, roots, rules))


def _unmarked(state: State, roots: frozenset[str], rules: Rules) -> frozenset[str]:
    files = _by_key(state.scan)
    written: dict[str, int] = {}
    marks = {key for root in roots for key in rules.markers(root)}
    for key, (_, mtime, _, _) in files.items():
        unit = unit_of(key, roots)
        if unit in roots and key not in marks:
            written[unit] = max(mtime, written.get(unit, 0))
    return frozenset(
        root
        for root, newest in written.items()
        if root in state.stale or max((mtime for _, mtime, _, _ in _marks(root, files, rules)), default=-1) < newest
    )


def _marks(root: str, files: Mapping[str, Signature], rules: Rules) -> tuple[Signature, ...]:
    return tuple(files[key] for key in rules.markers(root) if key in files)


def _is_dated(signatures: Iterable[Signature | None], before: Clock, now: Clock) -> bool:
    """Return whether the times of changed files can be true: all are there, and none is from before the last look."""
    times = [None if signature is None else max(signature[1:3]) for signature in signatures]
    return all(time is not None and before.wall_ns - _SLACK_NS <= time <= now.wall_ns + _SLACK_NS for time in times)


def _remaining(state: State, unit: str, newest_ns: int | None, rules: Rules) -> float:
    """Return how many seconds a unit that moved has to look the same still."""
    motion = state.moving[unit]
    seen = rules.settle_s - (state.at.steady_s - motion.since_s)
    if not motion.is_dated or newest_ns is None:
        return seen
    return min(seen, rules.settle_s - (state.at.wall_ns - newest_ns) / _NS)


def _newest(state: State, roots: frozenset[str], units: Collection[str]) -> dict[str, int]:
    """Return when units changed last by the times of their files, in nanoseconds since the epoch."""
    newest: dict[str, int] = {}
    if units:
        for key, (_, mtime, ctime, _) in _files(state.scan):
            unit = unit_of(key, roots)
            if unit in units:
                newest[unit] = max(mtime, ctime, newest.get(unit, 0))
    return newest


def _files(scan: Scan) -> list[tuple[str, Signature]]:
    return [*zip(scan.keys, scan.signatures, strict=True), *scan.unfinished]


def _unfit(scan: Scan) -> set[str]:
    return {finding.key for finding in scan.findings if finding.level == "error" and finding.code != VANISHED}


def _by_key(scan: Scan) -> dict[str, Signature]:
    return dict(_files(scan))


def _by_unit(keys: Sequence[str], roots: frozenset[str], rules: Rules) -> dict[str, list[str]]:
    """Return the units that keys are parts of; what is unfinished matters only in stores."""
    units: defaultdict[str, list[str]] = defaultdict(list)
    for key, is_selected in zip(keys, rules.selects(keys), strict=True):
        unit = unit_of(key, roots)
        if is_selected and (unit in roots or not key.endswith(_UNFINISHED)):
            units[unit].append(key)
    return units
