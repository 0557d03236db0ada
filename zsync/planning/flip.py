"""The flip: an array that is rewritten gets other chunk keys, so that readers see all that was, or all that is to be.

In place no order of writes is right where values inside the old extent change: readers see old and new chunks side by
side, and where chunks decode otherwise, wrong numbers. But an array's metadata names the encoding of its chunk keys,
and two encodings have no key in common (`zsync.layout.KeyEncoding.meets`). So what is new goes up beside the old under
another encoding, what is unchanged is copied there by the service, and the one write of the store's root turns readers
over, all arrays at once. What is old stays for those who opened it before.

It is not to be had for arrays whose format has one way only to write their keys (Zarr v2 with one dimension or none).
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsync.layout import KeyEncoding, fixed_keys, join
from zsync.planning.classify import ArrayChange, ChangeClass
from zsync.planning.withdraw import edited
from zsync.tables import NO_TEXT, column, each_row, groups, numbers, scalar, taken, with_values
from zsync.words import Action, Finding, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from zsync.layout import Encodings, Grid, Store
    from zsync.words import Rewriting

Place = tuple[str, str]  # store, path of the array in it

NOT_FLIPPED, CUT_SHORT = "not-flipped", "cut-short"  # codes of findings

_RESIZED = (ChangeClass.SHRINK, ChangeClass.RESIZE)
_REWRITTEN = (ChangeClass.UPDATE, *_RESIZED)
_ROOT_V3 = "zarr.json"
_TURN_RANK = 5  # after a store's own documents, before what names others
_LOST = (str(Reason.GONE), str(Reason.VANISHED))
_SAME_BYTES = (Reason.SAME, Reason.HEADERS, Reason.CLASS)


@dataclass(frozen=True, slots=True)
class Flips:
    """Which arrays of a product are published under other chunk keys than before.

    Attributes
    ----------
    encodings
        The encodings that they get, by store and path of the array.
    stay
        Why others are not, though they are rewritten, for people.
    cut_short
        Those of which the keys are needed that readers of an earlier publication may still want.
    """

    encodings: Encodings = field(default_factory=dict)
    stay: Mapping[Place, str] = field(default_factory=dict)
    cut_short: frozenset[Place] = frozenset()


NO_FLIPS = Flips()


def flips_of(
    changes: Sequence[ArrayChange],
    table: pa.Table,
    stores: Mapping[str, Store],
    own: Mapping[str, Store],
    moved: Collection[Place],
    rewriting: Rewriting,
    unfit: Mapping[Place, str] = MappingProxyType({}),
) -> Flips:
    """Return which arrays get other chunk keys, of those that would be rewritten in place.

    Parameters
    ----------
    changes
        What happens to the arrays of a product.
    table
        Its plan, `zsync.tables.PLAN`, with keys as they are published.
    stores
        The source's stores, by prefix, likewise.
    own
        The same with the keys that the source has: these are preferred.
    moved
        Arrays of which the source names the chunks otherwise than when it was published last.
    rewriting
        Which arrays may.
    unfit
        Why some must not, for people.
    """
    if rewriting.values == "inplace" and not rewriting.incompatible:
        return NO_FLIPS
    rewritten: defaultdict[str, list[ArrayChange]] = defaultdict(list)
    for change in changes:
        if _may_flip(change, moved, rewriting):
            rewritten[change.store].append(change)
    if not rewritten:
        return NO_FLIPS
    counts, found = _counts(table), NO_FLIPS
    for prefix, arrays in rewritten.items():
        everything = [change for change in changes if change.store == prefix]
        is_atomic = _is_one_write(table, prefix, arrays) or _is_only_shorter(everything)
        if not is_atomic or rewriting.values == "flip":
            wanted = _worth_it(arrays, counts, moved, rewriting)
            found = _with(found, _of_store(wanted, table, stores[prefix], own[prefix], rewriting, unfit))
    return found


def _may_flip(change: ArrayChange, moved: Collection[Place], rewriting: Rewriting) -> bool:
    if change.kind == ChangeClass.INCOMPATIBLE or (change.store, change.array) in moved:
        return rewriting.incompatible
    return rewriting.values != "inplace" and change.kind in _REWRITTEN


def _is_one_write(table: pa.Table, prefix: str, arrays: Sequence[ArrayChange]) -> bool:
    """Return whether all that happens to a store is one object taking the place of another: that is atomic already."""
    if len(arrays) > 1 or arrays[0].kind != ChangeClass.UPDATE or arrays[0].inside != 1:
        return False
    of_store = table["action"].filter(pc.equal(table["store"], scalar(prefix)))
    acts = pc.is_in(of_store, column([str(Action.SEND), str(Action.RETIRE)], pa.string()))
    return bool(pc.sum(acts).as_py() == 1)


def _is_only_shorter(changes: Iterable[ArrayChange]) -> bool:
    """Return whether all that happens to a store is that arrays lose cells at their ends: the fence shows just that."""
    harmless = (ChangeClass.UNCHANGED, ChangeClass.METADATA, ChangeClass.REMOVED)
    return all(
        change.kind in harmless or (change.kind == ChangeClass.SHRINK and not change.inside) for change in changes
    )


def _counts(table: pa.Table) -> dict[Place, tuple[int, int]]:
    """Return, for each array, how many chunks the source has, and how many of them are in the target as they are."""
    has = pc.is_in(table["action"], column([str(Action.SEND), str(Action.UNCHANGED)], pa.string()))
    rows = table.filter(pc.and_(has, pc.equal(table["role"], scalar(str(Role.CHUNK)))))
    places, which = groups(rows, ["store", "array"])
    same = numbers(pc.equal(rows["action"], scalar(str(Action.UNCHANGED))))
    all_of, unchanged = (
        np.bincount(which, weights=weights, minlength=len(places)).astype(int).tolist() for weights in (None, same)
    )
    return {
        (row["store"] or "", row["array"]): counts
        for row, counts in zip(places, zip(all_of, unchanged, strict=True), strict=True)
    }


def _worth_it(
    arrays: Sequence[ArrayChange],
    counts: Mapping[Place, tuple[int, int]],
    moved: Collection[Place],
    rewriting: Rewriting,
) -> list[ArrayChange]:
    """Return the arrays of a store for which it is worth to have chunks copied that do not change."""
    if rewriting.values == "flip":
        return [*arrays]
    copies = sum(counts.get((change.store, change.array), (0, 0))[1] for change in arrays)
    if copies <= rewriting.most:
        return [*arrays]

    def must(change: ArrayChange) -> bool:
        place = (change.store, change.array)
        total, same = counts.get(place, (0, 0))
        return change.kind == ChangeClass.INCOMPATIBLE or place in moved or 2 * same <= total

    return [change for change in arrays if must(change)]


def _of_store(
    arrays: Sequence[ArrayChange],
    table: pa.Table,
    store: Store,
    own: Store,
    rewriting: Rewriting,
    unfit: Mapping[Place, str],
) -> Flips:
    found = NO_FLIPS
    for change in arrays:
        reason = unfit.get((change.store, change.array)) or fixed_keys(store, change.array)
        if reason is None and change.named is None:
            reason = "how its chunks are named now is not known to zsync"
        if reason is not None:
            found = _with(found, Flips(stay={(change.store, change.array): reason}))
            continue
        keys = _Keys(table, store, change.array, own)
        found = _with(found, _of_array(change, keys, rewriting))
    formats = [change for change in arrays if change.formats is not None]
    if any((change.store, change.array) in found.stay for change in formats):
        # Both hierarchies lie side by side until the root turns: for that all arrays have to.
        why = "another array of the store, which is of another format now, cannot"
        rest = {(change.store, change.array): why for change in formats}
        others = {place: new for place, new in found.encodings.items() if place not in rest}
        found = Flips(others, rest | dict(found.stay), found.cut_short)
    return found


def _of_array(change: ArrayChange, keys: _Keys, rewriting: Rewriting) -> Flips:
    place, ndim, old_ndim = (change.store, change.array), len(keys.grid.shape), len(change.old_shape or ())
    # Those of the source first: the less is renamed the better.
    known = dict.fromkeys((keys.own, *KeyEncoding.all_of(keys.zarr_format)))
    free = [new for new in known if change.named is not None and not new.meets(ndim, change.named, old_ndim)]
    if not free:
        many = "one dimension" if ndim == 1 else "no dimension" if not ndim else f"{ndim} dimensions"
        better = "; Zarr v3 has more" if keys.zarr_format == 2 else ""
        reason = f"Zarr v{keys.zarr_format} has one way only to write the keys of an array of {many}{better}"
        return Flips(stay={place: reason})
    for new in free:
        if not keys.wanted_since(new):
            return Flips({place: new})
    if rewriting.is_strict:
        return Flips(stay={place: "readers of earlier publications may still want what has the other keys (grace)"})
    oldest = min(free, key=keys.wanted_since)
    return Flips({place: oldest}, cut_short=frozenset({place}))


class _Keys:
    """The keys of one array's chunks: those that are to be, and those that readers of earlier publications want."""

    def __init__(self, table: pa.Table, store: Store, path: str, own: Store) -> None:
        array, as_it_is = store.arrays[path], own.arrays[path].grid
        if array.grid is None or as_it_is is None:
            raise ValueError(f"{path}: an array of which the grid is not known has fixed keys")
        self.grid: Grid = array.grid
        self.own = as_it_is.encoding
        self.zarr_format = array.zarr_format
        self._directory = join(store.prefix, path)
        mine = pc.and_(pc.equal(table["store"], scalar(store.prefix)), pc.equal(table["array"], scalar(path)))
        self._rows = table.filter(pc.fill_null(mine, scalar(False)))
        self._left = [*self._read(Action.KEEP, ("key", "digest", "gone_s"))]
        self._new: dict[str, str | None] | None = None

    def _read(self, action: Action, names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        return each_row(self._rows.filter(pc.equal(self._rows["action"], scalar(str(action)))), names)

    def _inside(self, key: str) -> str:
        return key[len(self._directory) + 1 :] if self._directory else key

    def wanted_since(self, encoding: KeyEncoding) -> int:
        """Return since when readers may want other bytes under the keys of an encoding, newest first; 0: none do.

        In seconds since the epoch.
        """
        newest = 0
        for key, digest, gone_s in self._left:
            rel = self._inside(key)
            index = encoding.parse(rel, len(self.grid.shape))
            is_same = index is not None and digest is not None and self._digests().get(self.grid.key(index)) == digest
            if not is_same and (index is not None or _meets_key(encoding, len(self.grid.shape), rel)):
                newest = max(newest, gone_s or 1)
        return newest

    def _digests(self) -> dict[str, str | None]:
        """Return the digests of the chunks that are to be, by key in the array."""
        if self._new is None:
            rows = [row for action in (Action.SEND, Action.UNCHANGED) for row in self._read(action, ("key", "digest"))]
            self._new = {self._inside(key): digest for key, digest in rows}
        return self._new


def _meets_key(encoding: KeyEncoding, ndim: int, rel: str) -> bool:
    """Return whether an array's keys may lie above or below a key of another number of dimensions."""
    other = KeyEncoding.of_key(rel)
    parts = rel.replace("/", ".").split(".")
    return encoding.meets(ndim, other, len(parts) - (other.name == "default"))


def _with(found: Flips, more: Flips) -> Flips:
    return Flips({**found.encodings, **more.encodings}, {**found.stay, **more.stay}, found.cut_short | more.cut_short)


def flip_findings(changes: Iterable[ArrayChange], flips: Flips, rewriting: Rewriting) -> list[Finding]:
    """Return what to say of arrays that are rewritten in place though they were to flip, or that flip too soon."""
    findings = []
    for change in changes:
        place, where = (change.store, change.array), join(change.store, change.array)
        if change.stays and change.kind != ChangeClass.INCOMPATIBLE:
            asked = rewriting.values == "flip"
            how = "it is rewritten in place, not at once with the rest of the store"
            if not change.inside:
                how = "readers see the extent that old and new have in common before the rest of the store turns"
            said = f"{how}: {change.stays}"
            cure = ". Set rewrites: auto" if asked else ""
            findings.append(Finding("error" if asked else "warning", NOT_FLIPPED, change.product, where, said + cure))
        elif change.flips and place in flips.cut_short:
            said = "its other chunk keys are needed: readers who opened an earlier publication may miss chunks of it"
            findings.append(Finding("warning", CUT_SHORT, change.product, where, f"{said}; set grace to keep them"))
    return findings


def marked(changes: Iterable[ArrayChange], flips: Flips) -> list[ArrayChange]:
    """Return changes of which each says whether its array flips, or why it does not."""
    return [
        replace(
            change,
            flips=(change.store, change.array) in flips.encodings,
            stays=flips.stay.get((change.store, change.array), ""),
        )
        for change in changes
    ]


def with_copies(table: pa.Table, before: pa.Table, places: Iterable[Place]) -> pa.Table:
    """Return the plan of a product in which chunks that only get other keys are copied, not sent.

    Parameters
    ----------
    table
        `zsync.tables.PLAN` with the keys that are to be.
    before
        The same with those that are.
    places
        The arrays that flip.
    """
    there = before.filter(
        pc.and_(
            pc.and_(_is_of(before, places), pc.is_valid(before["etag"])),
            pc.is_in(before["reason"], column([*map(str, _SAME_BYTES)], pa.string())),
        )
    )
    where = pc.index_in(table["source_key"], there["source_key"].combine_chunks())
    is_copied = pc.and_(
        pc.and_(_is_of(table, places), pc.is_valid(where)),
        pc.and_(pc.equal(table["action"], scalar(str(Action.SEND))), pc.is_valid(table["digest"])),
    )
    found = taken(there.select(["key", "etag"]), where)
    for name, value in (
        ("action", scalar(str(Action.COPY))),
        ("reason", scalar(str(Reason.REKEYED))),
        ("copy_key", found["key"]),
        ("copy_etag", found["etag"]),
    ):
        table = with_values(table, name, pc.if_else(is_copied, value, table[name]))
    return table


def _is_of(table: pa.Table, places: Iterable[Place], role: Role = Role.CHUNK) -> Any:
    """Return which rows are chunks of some arrays, or, as objects of no known role, what were such."""
    names = column([f"{store}\1{path}" for store, path in places], pa.string())
    array = pc.binary_join_element_wise(table["store"], table["array"], scalar("\1"))
    is_role = pc.equal(table["role"], scalar(str(role)))
    return pc.fill_null(pc.and_(pc.is_in(array, names), is_role), scalar(False))


def turned(table: pa.Table, stores: Mapping[str, Store], changes: Iterable[ArrayChange]) -> pa.Table:
    """Return the plan of a product in which what stores had of another format goes, as readers turn to the new one.

    Readers take v3 where they find both: a store that becomes v2 turns when the root of v3 goes, at the end of its
    stage; one that becomes v3 when that comes. The rest goes when what retires does.
    """
    flipping = [change for change in changes if change.flips]
    table = _without_false_losses(table, [change for change in flipping if change.kind == ChangeClass.INCOMPATIBLE])
    prefixes = {change.store for change in flipping if change.formats is not None}
    if not prefixes:
        return table
    names = ("store", "key", "role", "action")
    is_left = pc.and_(
        pc.is_in(table["action"], column([str(Action.RETIRE), str(Action.KEEP)], pa.string())),
        pc.is_in(table["role"], column([str(Role.METADATA), str(Role.CONSOLIDATED)], pa.string())),
    )
    where = pc.indices_nonzero(pc.and_(is_left, pc.is_valid(table["etag"])))
    edits: dict[int, dict[str, Any]] = {}
    for number, (prefix, key, _, _) in zip(where.to_pylist(), each_row(table.take(where), names), strict=True):
        directory, _, name = key.rpartition("/")
        nodes = _nodes(stores[prefix]) if prefix in prefixes else set()
        if directory not in nodes:
            continue
        edits[number] = {"stage": Stage.RETIRE, "action": Action.RETIRE, "reason": Reason.FLIPPED}
        if directory == prefix and name == _ROOT_V3:
            edits[number] |= {"stage": Stage.ROOT, "rank": _TURN_RANK}
    return edited(table, edits)


def _without_false_losses(table: pa.Table, changes: Sequence[ArrayChange]) -> pa.Table:
    """Return a plan that tells of arrays whose chunks are cut otherwise no more losses than they have lost cells."""
    edits: dict[int, dict[str, Any]] = {}
    for change in changes:
        mine = _is_of(table, [(change.store, change.array)], Role.FOREIGN)
        numbered = pc.indices_nonzero(pc.and_(mine, pc.is_in(table["reason"], column(_LOST, pa.string())))).to_pylist()
        old, new = change.old_shape or (), change.new_shape or ()
        stays = math.prod(min(now, before) / before for before, now in zip(old, new, strict=False) if before)
        count = math.ceil((1 - stays) * int(pc.sum(mine).as_py() or 0)) if len(old) == len(new) else 0
        for place, number in enumerate(numbered):
            edits[number] = {"reason": Reason.GONE if place < count else Reason.FLIPPED}
    return edited(table, edits)


def _nodes(store: Store) -> set[str]:
    return {join(store.prefix, path) for path in (*store.arrays, *store.groups)}


def sent_instead(table: pa.Table, products: Sequence[str]) -> pa.Table:
    """Return a plan in which what some products were to copy is sent: their service copies nothing on condition."""
    is_copy = pc.and_(
        pc.equal(table["action"], scalar(str(Action.COPY))), pc.is_in(table["product"], column(products, pa.string()))
    )
    for name, value in (("action", scalar(str(Action.SEND))), ("copy_key", NO_TEXT), ("copy_etag", NO_TEXT)):
        table = with_values(table, name, pc.if_else(is_copy, value, table[name]))
    return table
