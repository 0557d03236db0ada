"""Merge two sides that once agreed: of every unit, what happened here, what happened there, and what that comes to.

A unit is a Zarr store as a whole, or else one file: chunks of two writers never get into one store. Three states are
compared: *base*, on which both sides last agreed, what is *here*, and what is *there*. A side has changes *of its own*
in a unit if it holds anything that is explained neither by the base, nor by the other side, nor by what a merge that
was cut off had begun to bring (`Pending`). So what was cut off goes on where it stopped, and is no conflict. Nor is
what is left of a store that was decided against: it was being replaced, and is no version that anybody made.

Pure: the same states give the same changes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from zsync.layout import lineage, store_prefixes
from zsync.planning.names import clashes, contested, copy_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "DOWNLOADS",
    "UPLOADS",
    "Change",
    "Content",
    "Pending",
    "Side",
    "States",
    "Verdict",
    "Yielding",
    "clashes",
    "copy_name",
    "merge",
    "same",
    "unit_of",
]


@dataclass(frozen=True, slots=True)
class Content:
    """What an object holds, as far as it is known.

    Attributes
    ----------
    size
        In bytes.
    digest
        BLAKE3 of the bytes; None if they were never read.
    etag
        The ETag that the remote side gave them, or would give them; None if that is not known.
    """

    size: int
    digest: str | None = None
    etag: str | None = None


class Verdict(StrEnum):
    """What a unit's states come to."""

    SAME = "the same on both sides"
    NEW_HERE = "new here"
    MODIFIED_HERE = "modified here"
    DELETED_HERE = "deleted here"
    NEW_THERE = "new there"
    MODIFIED_THERE = "modified there"
    DELETED_THERE = "deleted there"
    CONFLICT = "conflict"


UPLOADS = (Verdict.NEW_HERE, Verdict.MODIFIED_HERE, Verdict.DELETED_HERE)
DOWNLOADS = (Verdict.NEW_THERE, Verdict.MODIFIED_THERE, Verdict.DELETED_THERE)
_HERE = {"new": Verdict.NEW_HERE, "modified": Verdict.MODIFIED_HERE, "deleted": Verdict.DELETED_HERE}
_THERE = {"new": Verdict.NEW_THERE, "modified": Verdict.MODIFIED_THERE, "deleted": Verdict.DELETED_THERE}

Side = dict[str, Content]
Pending = dict[str, frozenset[Content | None]]  # what may be at a key without being anybody's change; None: nothing
Yielding = dict[str, Content | None]  # stores that were decided against, key by key as they were; None: nothing


@dataclass(frozen=True, slots=True)
class States:
    """What a merge is made of.

    Attributes
    ----------
    base, here, there
        Contents by key.
    coming, going
        What merges that were cut off had begun to bring here, and to send there.
    yielding_here, yielding_there
        Stores that merges that were cut off had begun to replace.
    unrecorded
        Keys that are there, or are not, otherwise than the current publication says.
    """

    base: Side = field(default_factory=dict)
    here: Side = field(default_factory=dict)
    there: Side = field(default_factory=dict)
    coming: Pending = field(default_factory=dict)
    going: Pending = field(default_factory=dict)
    yielding_here: Yielding = field(default_factory=dict)
    yielding_there: Yielding = field(default_factory=dict)
    unrecorded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """One unit that is to be brought to agree, or does already.

    Attributes
    ----------
    unit
        Its place: the store's prefix, or the file's key.
    is_store
        It is a Zarr store.
    verdict
        What its states come to.
    here, there
        What happened on each side since the base: ``new``, ``modified``, ``deleted``, or empty.
    keys
        All keys that any side, or the base, has of it, or had before it was being replaced.
    size_here, size_there
        Of all its objects, in bytes.
    is_unfinished
        A store that is there otherwise than any publication left it: somebody's was cut off, or an outsider wrote into
        it. It is not fit to be brought here.
    is_recorded
        The current publication tells of it as it is there.
    fingerprint
        Another one when anything of its states is another.
    parts
        Where it is a file on one side and a directory on the other: the units that it is made of.
    """

    unit: str
    is_store: bool
    verdict: Verdict
    here: str
    there: str
    keys: tuple[str, ...]
    size_here: int
    size_there: int
    is_unfinished: bool
    is_recorded: bool
    fingerprint: str = field(repr=False)
    parts: tuple[str, ...] = ()


def merge(states: States) -> list[Change]:
    """Return what has changed, unit by unit in the order of their places; also what is the same and not in the base.

    Examples
    --------
    >>> old, new = Content(1, "a"), Content(1, "b")
    >>> changes = merge(States(base={"f": old, "g": old}, here={"f": new, "g": old}, there={"f": old}))
    >>> [(change.unit, str(change.verdict)) for change in changes]
    [('f', 'modified here'), ('g', 'deleted there')]
    """
    # What is left of a store that was being replaced is told by what it has lost.
    everything = {*states.base, *states.here, *states.there, *states.yielding_here, *states.yielding_there}
    stores = store_prefixes(everything)
    units: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(everything):
        units[unit_of(key, stores)].append(key)
    judged = {unit: _judge(states, unit, keys, is_store=unit in stores) for unit, keys in units.items()}
    changes = {unit: change for unit, change in judged.items() if change is not None}
    _join_contested(states, changes)
    return [change for _, change in sorted(changes.items())]


def _join_contested(states: States, changes: dict[str, Change]) -> None:
    """Make one change of all that a name is about which is a file on one side and a directory on the other.

    Where all of it moves one way there is nothing to be decided. What only goes, since it is gone there and was not
    changed here, goes whatever is decided: it may be what is left of a store that never arrived.
    """
    differing = {unit: change for unit, change in changes.items() if change.verdict != Verdict.SAME}
    keys = [key for change in differing.values() for key in change.keys]
    for name in contested(states.here.keys() & keys, states.there.keys() & keys):
        parts = [change for unit, change in differing.items() if f"{unit}/".startswith(f"{name}/")]
        moves_one_way = any(all(part.verdict in way for part in parts) for way in (UPLOADS, DOWNLOADS))
        if len(parts) < 2 or moves_one_way:  # fewer: the name is a store's, or lies in one
            continue
        parts = [part for part in parts if part.verdict != Verdict.DELETED_THERE]
        for part in parts:
            del changes[part.unit]
        changes[name] = _joined(states, name, parts)


def _joined(states: States, name: str, parts: Sequence[Change]) -> Change:
    keys = sorted(key for part in parts for key in part.keys)
    sides = _sides(states, keys)
    is_recorded = all(part.is_recorded for part in parts)
    verdict = _verdict(sides, _Own.any(_own(states, part.keys) for part in parts), is_recorded=is_recorded)
    torn = verdict not in UPLOADS and any(
        part.is_store and not part.is_recorded and _is_torn(states, part.unit, part.keys) for part in parts
    )
    change = _change(name, keys, sides, verdict, is_store=False, is_recorded=is_recorded, is_unfinished=torn)
    return replace(change, parts=tuple(part.unit for part in parts))


def unit_of(key: str, stores: frozenset[str]) -> str:
    """Return the unit that a key belongs to, given the prefixes of all stores."""
    return next((above for above in lineage(key.rpartition("/")[0]) if above in stores), key)


def same(left: Content | None, right: Content | None) -> bool:
    """Return whether two contents are known to be the same; what is not known never is."""
    if left is None or right is None:
        return left is right
    if left.size != right.size:
        return False
    if left.digest is not None and right.digest is not None:
        return left.digest == right.digest
    return left.etag is not None and left.etag == right.etag


def _judge(states: States, unit: str, keys: Sequence[str], *, is_store: bool) -> Change | None:
    sides = base, here, there = _sides(states, keys)
    is_recorded = states.unrecorded.isdisjoint(keys)
    if all(same(here.get(key), there.get(key)) for key in keys):
        if is_recorded and all(same(base.get(key), there.get(key)) for key in keys):
            return None
        return _change(unit, keys, sides, Verdict.SAME, is_store=is_store, is_recorded=is_recorded)
    verdict = _verdict(sides, _own(states, keys), is_recorded=is_recorded)
    torn = is_store and not is_recorded and _is_torn(states, unit, keys) and verdict not in UPLOADS
    return _change(unit, keys, sides, verdict, is_store=is_store, is_recorded=is_recorded, is_unfinished=torn)


def _sides(states: States, keys: Sequence[str]) -> tuple[Side, Side, Side]:
    """Return what the base, this side and the other hold of some keys."""
    base, here, there = (
        {key: side[key] for key in keys if key in side} for side in (states.base, states.here, states.there)
    )
    return base, here, there


class _Own(NamedTuple):
    """What a unit's states are made of.

    Attributes
    ----------
    here, there
        There are changes of its own, see the module.
    is_left_here
        There are none here, but there would be if no merge had been cut off: what is here is left of one.
    """

    here: bool
    there: bool
    is_left_here: bool

    @classmethod
    def any(cls, parts: Iterable[_Own]) -> _Own:
        """Return what holds of any of some parts."""
        return cls(*(any(values) for values in zip(*parts, strict=True)))


def _own(states: States, keys: Sequence[str]) -> _Own:
    """Return on which sides there are changes of its own."""
    base, here, there = _sides(states, keys)
    coming = _with_what_is_left(here, states.coming, states.yielding_here, keys)
    going = states.going
    if not states.unrecorded.isdisjoint(keys):
        # Else somebody published it since: then it is a version again, whatever it is made of.
        going = _with_what_is_left(there, going, states.yielding_there, keys)
    of_here = _has_own(here, base, there, coming, keys)
    is_left_here = not of_here and _has_own(here, base, there, {}, keys)
    return _Own(of_here, _has_own(there, base, here, going, keys), is_left_here)


def _verdict(sides: tuple[Side, Side, Side], own: _Own, *, is_recorded: bool) -> Verdict:
    base, here, there = sides
    if own.here and own.there:
        return Verdict.CONFLICT
    # Where neither has any: what is left of a merge goes on the way that it went. What no publication tells of there
    # is left of one that was going there, unless it is here that something is left.
    if own.there or (not own.here and (is_recorded or own.is_left_here)):
        return _THERE[_happened(base, there, here)]
    return _HERE[_happened(base, here, there)]


def _has_own(mine: Side, base: Side, other: Side, pending: Pending, keys: Iterable[str]) -> bool:
    """Return whether a side holds anything of its own, see the module."""
    return any(
        not same(content, base.get(key))
        and not same(content, other.get(key))
        and not any(same(content, known) for known in pending.get(key, ()))
        for key, content in ((key, mine.get(key)) for key in keys)
    )


def _with_what_is_left(side: Side, pending: Pending, yielding: Yielding, keys: Iterable[str]) -> Pending:
    """Return what is pending, and what may be left of a store that was being replaced.

    While that is whole, nobody has touched it: it is somebody's version still.
    """
    old = {key: yielding[key] for key in keys if key in yielding}
    if all(same(side.get(key), content) for key, content in old.items()):
        return pending
    return {key: pending.get(key, frozenset()) | ({old[key]} if key in old else set()) for key in keys}


def _happened(base: Side, side: Side, other: Side) -> str:
    if not side:
        return "deleted"
    return "modified" if base or other else "new"


def _is_torn(states: States, unit: str, keys: Sequence[str]) -> bool:
    """Return whether a store there is other than any publication left it.

    One that no publication knows anything of is whole if its root is there, which goes last.
    """
    there = [key for key in keys if key in states.there]
    if not there:
        return False  # all of it is gone, whoever took it away
    if not states.unrecorded.issuperset(there):
        return True
    return unit not in store_prefixes(there)


def _change(
    unit: str,
    keys: Sequence[str],
    sides: tuple[Side, Side, Side],
    verdict: Verdict,
    *,
    is_store: bool,
    is_recorded: bool,
    is_unfinished: bool = False,
) -> Change:
    base, here, there = sides
    known = [(key, base.get(key), here.get(key), there.get(key)) for key in keys]
    return Change(
        unit=unit,
        is_store=is_store,
        verdict=verdict,
        here=_said(base, here),
        there=_said(base, there),
        keys=tuple(keys),
        size_here=sum(content.size for content in here.values()),
        size_there=sum(content.size for content in there.values()),
        is_unfinished=is_unfinished,
        is_recorded=is_recorded,
        fingerprint=hashlib.blake2b(repr((verdict, known)).encode(errors="surrogatepass"), digest_size=16).hexdigest(),
    )


def _said(base: Side, side: Side) -> str:
    if side.keys() == base.keys() and all(same(side[key], base[key]) for key in side):
        return ""
    return _happened(base, side, {})
