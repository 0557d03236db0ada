"""Old publications: their records, and the parts of manifests that no kept publication refers to."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.publication.holding import Leases
from zsync.publication.lease import read_lease, refuse_if_held
from zsync.publication.record import MOST_BYTES, read_head
from zsync.publication.state import new_publication_id
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from zsync.keys import Key
    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

log = logging.getLogger(__name__)

_DELETE_LIMIT = 1000  # keys a request
_RECORD, _PART = ".json", ".parquet"


@dataclass(frozen=True, slots=True)
class Excess:
    """What may go: ids of publications, and digests of parts."""

    publications: tuple[str, ...]
    parts: tuple[str, ...]


def excess(
    publications: Collection[str],
    parts: Collection[str],
    references: Mapping[str, Collection[str]],
    current: str | None,
    keep: int,
) -> Excess:
    """Return what is no longer wanted; pure.

    Parameters
    ----------
    publications
        Ids on record; they sort by time.
    parts
        Digests of the parts that are there.
    references
        The parts of each publication that stays, as far as they are known: while those of any are not, no part goes.
    current
        The publication that the head points to; it stays in any case.
    keep
        How many stay.
    """
    newest = sorted(publications, reverse=True)
    kept = {*newest[:keep], *([current] if current is not None else [])}
    old = tuple(sorted(set(publications) - kept))
    if not kept <= references.keys():
        return Excess(old, ())
    wanted = {digest for publication in kept for digest in references[publication]}
    return Excess(old, tuple(sorted(set(parts) - wanted)))


def prune(store: ObjectStore, keys: StateKeys, keep: int, version: str, cache: Path) -> Excess:
    """Delete old publications of a product, under its lease.

    Parameters
    ----------
    keep
        How many publications stay on record; the current one does in any case.
    version
        zsync's version, for the lease.
    cache
        Directory in which parts are kept on this machine; there they go too.

    Raises
    ------
    ConflictError
        Somebody is publishing the product.
    """
    if len(_names(store, f"{keys.prefix}/publications/", _RECORD)) <= keep:
        return Excess((), ())
    state = read_lease(store, keys)
    refuse_if_held(store, keys, state)
    with Leases([(store, keys, state)], new_publication_id(), version) as leases:
        # Looked at under the lease: nothing comes or goes meanwhile.
        head = read_head(store, keys)
        publications = _names(store, f"{keys.prefix}/publications/", _RECORD)
        parts = _names(store, f"{keys.prefix}/manifests/", _PART)
        stay = {*sorted(publications, reverse=True)[:keep], *([head.publication] if head.publication else [])}
        records = _records(store, keys, sorted(stay))
        _refuse_if_hidden(store, keys, publications, {head.publication, *_parents(records)})
        references = {publication: parts for publication, (parts, _) in records.items()}
        if head.publication is not None:  # of the head nothing may be lost, whatever its record says
            mine = {part.digest for part in head.parts}
            references[head.publication] = mine | references.get(head.publication, set())
        found = excess(publications, parts, references, head.publication, keep)
        leases.prove()
        # Records first: a record without its parts would be a publication that cannot be read.
        _delete(store, [keys.publication(name) for name in found.publications])
        _delete(store, [keys.manifest(name) for name in found.parts])
    for name in found.parts:
        (cache / f"{name}{_PART}").unlink(missing_ok=True)
    log.debug("pruned %d publications, %d parts: %s", len(found.publications), len(found.parts), keys.prefix)
    return found


def _names(store: ObjectStore, prefix: str, suffix: str) -> list[str]:
    names = [key.removeprefix(prefix) for page in store.list(prefix) for key in page.keys]
    return [name.removesuffix(suffix) for name in names if name.endswith(suffix) and "/" not in name]


def _records(store: ObjectStore, keys: StateKeys, publications: Sequence[str]) -> dict[str, tuple[set[str], str]]:
    """Return parts and parent of publications; one whose record cannot be understood is not among them."""

    def read(publication: str) -> tuple[set[str], str] | None:
        try:
            document = json.loads(store.get(keys.publication(publication), most=MOST_BYTES).data)
            mine = next(item for item in document["products"] if item["name"] == document["product"])
            return {str(part["digest"]) for part in mine["manifest"]}, str(document.get("parent") or "")
        except (ObjectNotFoundError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
            return None

    found = dict(zip(publications, side_by_side(read, publications), strict=True))
    return {publication: record for publication, record in found.items() if record is not None}


def _parents(records: Mapping[str, tuple[set[str], str]]) -> set[str]:
    """Return what the records name as their parents, but for the oldest of them: its own may be gone."""
    return {parent for _, (_, parent) in sorted(records.items())[1:] if parent}


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
