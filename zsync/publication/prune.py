"""Old publications: their records, the parts of manifests that no kept publication refers to, and their trash.

What a kept publication needs is its record, the parts that it names, and what later ones put into the trash of what it
holds. So the trash of a publication is needed by those before it, and by none of those after it. Which is which is told
by what each names as its parent; of a publish that was cut off only by its id, and clocks may differ by up to a day.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.publication.finding import RECORD, Records, began_before, is_stamped, names_of
from zsync.publication.holding import Leases
from zsync.publication.lease import read_lease, refuse_if_held
from zsync.publication.state import new_publication_id, time_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from zsync.keys import Key
    from zsync.publication.record import Publication
    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

log = logging.getLogger(__name__)

_DELETE_LIMIT = 1000  # keys a request
_PART = ".parquet"
_SKEW = dt.timedelta(days=1)  # that clocks of publishers may differ


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which publications stay: with both, those that either says. The head's stays in any case.

    Attributes
    ----------
    number
        So many, the newest.
    since
        Those that were begun since then.
    """

    number: int | None = None
    since: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Excess:
    """What may go: ids of publications, digests of parts, and publications whose trash it is."""

    publications: tuple[str, ...]
    parts: tuple[str, ...]
    trashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went of one product, or would go.

    Attributes
    ----------
    url
        The product's state.
    publications
        Ids.
    parts
        Digests of parts of manifests that no kept publication names.
    bytes
        Size of records and parts.
    trash_objects, trash_bytes
        What went from the trash, and its size.
    """

    url: str
    publications: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    bytes: int = 0
    trash_objects: int = 0
    trash_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that goes."""
        return not (self.publications or self.parts or self.trash_objects)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "url": self.url,
            "publications": list(self.publications),
            "parts": len(self.parts),
            "bytes": self.bytes,
            "trash": {"objects": self.trash_objects, "bytes": self.trash_bytes},
        }


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a product's history, and what of it goes."""

    excess: Excess
    records: Mapping[str, int]
    parts: Mapping[str, int]
    trashes: Mapping[str, Sequence[tuple[Key, int]]] = field(default_factory=dict)

    def told(self, url: str) -> Pruned:
        """Return it as what goes."""
        size = sum(self.records[name] for name in self.excess.publications)
        size += sum(self.parts[name] for name in self.excess.parts)
        trash = [item for name in self.excess.trashes for item in self.trashes[name]]
        return Pruned(
            url, self.excess.publications, self.excess.parts, size, len(trash), sum(bytes_ for _, bytes_ in trash)
        )


def staying(ids: Collection[str], line: Sequence[str], keeping: Keeping) -> set[str]:
    """Return which publications stay; pure.

    Parameters
    ----------
    ids
        Ids on record, and the head's; they sort by the clocks of those who made them.
    line
        Those that were ever the head's, newest first, at least down to the last that is to stay; the first is the
        head's.
    keeping
        What is to stay.
    """
    stays = set(line[:1])
    if keeping.number is not None:
        counted = line[: keeping.number]
        # What no head named is nobody's; but as long as its neighbours stay it stays too.
        stays |= {name for name in ids if counted and name >= min(counted)}
    if keeping.since is not None:
        stays |= {name for name in ids if not began_before(name, keeping.since)}
    last = max((place for place, name in enumerate(line) if name in stays), default=-1)
    # A clock may have been wrong: what came between two that stay, stays.
    return stays | set(line[: last + 1])


def excess(
    ids: Collection[str],
    stays: Collection[str],
    parts: Collection[str],
    references: Mapping[str, Collection[str]],
    trashes: Collection[str] = (),
    older: Collection[str] = (),
) -> Excess:
    """Return what is no longer wanted; pure.

    Parameters
    ----------
    ids
        Ids on record.
    stays
        The publications that stay.
    parts
        Digests of the parts that are there.
    references
        The parts of each publication that stays, as far as they are known: while those of any are not, no part goes.
    trashes
        The publications that have a trash, as far as that may go.
    older
        Those of them that are known to come before all that stay.
    """
    old = tuple(sorted(set(ids) - set(stays)))
    first = min(stays, default=None)
    needless = tuple(
        sorted(name for name in trashes if name not in stays and (name in older or _is_long_before(name, first)))
    )
    if not set(stays) <= references.keys():
        return Excess(old, (), needless)
    wanted = {digest for publication in stays for digest in references[publication]}
    return Excess(old, tuple(sorted(set(parts) - wanted)), needless)


def _is_long_before(name: str, other: str | None) -> bool:
    """Return whether a publication came before another, whatever their clocks said; None: there is no other."""
    return other is None or (is_stamped(other) and began_before(name, time_of(other) - _SKEW))


def prune(
    store: ObjectStore, keys: StateKeys, keeping: Keeping, version: str, cache: Path, *, empties: bool = False
) -> Pruned:
    """Delete old publications of a product, under its lease.

    Parameters
    ----------
    keeping
        What stays on record; the current publication does in any case.
    version
        zsync's version, for the lease.
    cache
        Directory in which parts are kept on this machine; there they go too.
    empties
        The trash that only they needed goes as well.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.
    """
    state = read_lease(store, keys)
    refuse_if_held(store, keys, state)
    with Leases([(store, keys, state)], new_publication_id(), version) as leases:
        # Looked at under the lease: nothing comes or goes meanwhile.
        found = _look(store, keys, keeping, empties=empties)
        gone = found.excess
        leases.prove()
        # Records first: a record without its parts would be a publication that cannot be read.
        _delete(store, [keys.publication(name) for name in gone.publications])
        _delete(store, [keys.manifest(name) for name in gone.parts])
        _delete(store, [key for name in gone.trashes for key, _ in found.trashes[name]])
    for name in gone.parts:
        (cache / f"{name}{_PART}").unlink(missing_ok=True)
    log.debug("pruned %d publications, %d parts: %s", len(gone.publications), len(gone.parts), keys.prefix)
    return found.told(store.url(keys.prefix))


def is_due(store: ObjectStore, keys: StateKeys, number: int) -> bool:
    """Return whether more than so many publications are on record; it takes one listing, and no lease."""
    return len(names_of(store, keys.publications, RECORD)) > number


def to_prune(store: ObjectStore, keys: StateKeys, keeping: Keeping, *, empties: bool = False) -> Pruned:
    """Return what `prune` would delete, as it is now; nothing is written, and no lease is taken."""
    return _look(store, keys, keeping, empties=empties).told(store.url(keys.prefix))


def _look(store: ObjectStore, keys: StateKeys, keeping: Keeping, *, empties: bool) -> _Found:
    records = Records(store, keys)
    head = records.head
    there = names_of(store, keys.publications, RECORD)
    parts = names_of(store, keys.manifests, _PART)
    ids = {*there, *([head.publication] if head.publication is not None else [])}
    line = [record.id for record in _line(records, keeping)]
    if head.publication is not None and line[:1] != [head.publication]:  # its record cannot be read
        line = [head.publication, *line]
    stays = staying(ids, line, keeping)
    kept = {record.id: record for record in records.get(sorted(stays)) if record is not None}
    _refuse_if_hidden(store, keys, there, {head.publication, *_parents(kept)})
    references = {name: {part.digest for part in record.product.parts} for name, record in kept.items()}
    if head.publication is not None:  # of the head nothing may be lost, whatever its record says
        references[head.publication] = {part.digest for part in head.parts} | references.get(head.publication, set())
    trashes = _trashes(store, keys) if empties else {}
    older = {record.id for record in records.newest()} - stays if trashes else set()
    return _Found(excess(there, stays, parts, references, trashes, older), there, parts, trashes)


def _line(records: Records, keeping: Keeping) -> list[Publication]:
    """Return the publications that were, newest first, down to the last that may have to stay."""
    found = records.newest(keeping.number) if keeping.number is not None else []
    if keeping.since is None:
        return found
    since = keeping.since
    recent = [name for name in records.ids if not began_before(name, since)]
    records.get(recent)
    to_reach = {name for name in recent if records.was_head(name)}
    count = max(len(found), len(to_reach))
    while to_reach - {record.id for record in found}:
        found = records.newest(count)
        if len(found) < count:
            break
        count += max(1, count // 2)
    return found or records.newest(1)


def _trashes(store: ObjectStore, keys: StateKeys) -> dict[str, list[tuple[Key, int]]]:
    """Return what is in the trash, by the publication that put it there."""
    base = f"{keys.trashes}/"
    found: defaultdict[str, list[tuple[Key, int]]] = defaultdict(list)
    for page in store.list(base):
        for key, size in zip(page.keys, page.sizes, strict=True):
            name, _, inside = key.removeprefix(base).partition("/")
            if inside and key.startswith(base):
                found[name].append((keys.trash(name, inside), size))
    return dict(found)


def _parents(records: Mapping[str, Publication]) -> set[str]:
    """Return what the records name as their parents, but for the oldest of them: its own may be gone."""
    return {record.parent for _, record in sorted(records.items())[1:] if record.parent}


def _refuse_if_hidden(
    store: ObjectStore, keys: StateKeys, listed: Collection[str], named: Collection[str | None]
) -> None:
    """Raise if a listing lacks a publication that is there: its parts would go.

    Raises
    ------
    TargetError
        It does.
    """
    for publication in sorted(name for name in named if name is not None and name not in listed):
        with contextlib.suppress(ObjectNotFoundError):
            store.head(keys.publication(publication))
            raise TargetError(
                "the listing lacks a publication that is there", store.url(keys.publication(publication)), "try again"
            )


def _delete(store: ObjectStore, keys: Sequence[Key]) -> None:
    for start in range(0, len(keys), _DELETE_LIMIT):
        store.delete(keys[start : start + _DELETE_LIMIT])
