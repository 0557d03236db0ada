"""What cannot be moved though it was decided on: it stays as it is on both sides, and a finding says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.inventory import Directory, Objects
from zsync.inventory.selection import directories_of
from zsync.layout import describe, store_prefixes
from zsync.planning.merge import clashes, unit_of
from zsync.verbs.source import read_documents
from zsync.verbs.team.carry import objects_of
from zsync.words import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.planning.merge import Change
    from zsync.verbs.team.folder import Folder
    from zsync.verbs.team.look import Look


def behind_links(folder: Folder, seen: Look, coming: Iterable[Change]) -> dict[str, Finding]:
    """Return the units that cannot come because a link is at their place here, or above it.

    What is written or deleted through a link is another file of this folder, or one outside of it: nobody decided on
    that one.
    """
    links = frozenset(seen.scan.links)
    if not links:
        return {}
    found = {}
    for change in coming:
        link = next((place for key in change.keys for place in (*directories_of(key), key) if place in links), None)
        if link is not None:
            message = (
                f"{link} is a symbolic link here, and nothing is written or deleted through a link: {change.unit} stays"
                " as it is on both sides; replace the link by what it leads to, or ignore it: team.ignore"
            )
            found[change.unit] = Finding("warning", "link", folder.product.name, link, message)
    return found


def clashing(folder: Folder, seen: Look, coming: Sequence[Change], going: Sequence[Change]) -> dict[str, Finding]:
    """Return the units that cannot come, or go: a file would be where the other side has a directory of its name.

    Parameters
    ----------
    coming, going
        The units that are to be moved.
    """
    found = {}
    for moving, source, target in (
        (coming, seen.states.there, seen.states.here),
        (going, seen.states.here, seen.states.there),
    ):
        units = {key: change.unit for change in moving for key in change.keys}
        stays = [key for key in target if key not in units]
        for key in clashes(stays, [key for key in units if key in source]):
            message = "here a file and there a directory have this name, or the other way: rename one of them"
            found[units[key]] = Finding("warning", "clash", folder.product.name, key, message)
    return found


def unfit_stores(folder: Folder, seen: Look, changes: Iterable[Change]) -> dict[str, Finding]:
    """Return the stores here that cannot be published as they are, with what is wrong with each.

    Raises
    ------
    SourceChangedError
        Metadata changed since it was looked at.
    """
    wanted = _keys_of_stores(changes)
    rows = [row for row in zip(seen.scan.keys, seen.scan.signatures, strict=True) if row[0] in wanted]
    wrong = _wrong(Directory(folder.root, folder.product.name), rows)
    return {
        unit: Finding("warning", "not-uploaded", found.product, found.key, f"this store stays here: {found.message}")
        for unit, found in wrong.items()
    }


def unfit_there(folder: Folder, seen: Look, changes: Iterable[Change]) -> dict[str, Finding]:
    """Return the stores in the target that cannot be brought as they are: what uploads that were cut off have left.

    Raises
    ------
    SourceChangedError
        Metadata changed since it was looked at.
    """
    wanted = _keys_of_stores(changes)
    origin = objects_of(folder, {key: content for key, content in seen.states.there.items() if key in wanted})
    wrong = _wrong(origin, list(zip(origin.seen.keys, origin.seen.signatures, strict=True)))
    why = "this store stays there, and the next `zsync sync` of who was cut off while sending it mends it"
    return {
        unit: Finding("warning", "not-downloaded", found.product, found.key, f"{why}: {found.message}")
        for unit, found in wrong.items()
    }


def _keys_of_stores(changes: Iterable[Change]) -> set[str]:
    """Return all keys that stores have; what has a store's own name is a file that takes its place."""
    return {key for change in changes if change.is_store for key in change.keys if key != change.unit}


def _wrong(origin: Directory | Objects, rows: Sequence[tuple[str, tuple[int, int, int, int]]]) -> dict[str, Finding]:
    """Return the first thing that is wrong with each store."""
    if not rows:
        return {}
    keys, signatures = [key for key, _ in rows], [signature for _, signature in rows]
    documents: Mapping[str, bytes] = read_documents(origin, Kind.ZARR, keys, signatures)
    layout = describe(Kind.ZARR, origin.product, keys, documents, [signature[0] for signature in signatures])
    stores = store_prefixes(keys)
    errors = [finding for finding in layout.findings if finding.level == "error"]
    return {unit_of(finding.key, stores): finding for finding in reversed(errors)}
