"""What cannot be moved though it was decided on: it stays as it is on both sides, and a finding says why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.inventory import Directory, Objects
from zsync.inventory.cogs import cut_off, is_raster
from zsync.inventory.selection import directories_above
from zsync.layout import describe, is_metadata, lineage, lost_attributes, lost_nodes, misfit_findings, store_prefixes
from zsync.planning.merge import clashes, same, unit_of
from zsync.steps.inspect import read_documents
from zsync.team.carry import objects_of
from zsync.words import DAMAGE, Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from zsync.layout import Layout, Store
    from zsync.planning.merge import Change
    from zsync.team.folder import Folder
    from zsync.team.look import Look

_CLASH = (
    "here a file and there a directory have this name, or the other way: rename one of them, or say with --prefer which"
    " is to have it"
)


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
        link = next((place for key in change.keys for place in (*directories_above(key), key) if place in links), None)
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
            found[units[key]] = Finding("warning", "clash", folder.product.name, key, _CLASH)
    return found


def occupied(folder: Folder, seen: Look, coming: Sequence[Change]) -> dict[str, Finding]:
    """Return the units that cannot come because something is in their place that takes no part.

    Parameters
    ----------
    coming
        The units that are to come; what is here of them and not there will be gone.
    """
    found = {}
    goes = {key for change in coming for key in change.keys if key in seen.states.here}
    for change in coming:
        for key in change.keys:
            if key in seen.states.there and (other := _in_the_way(folder.root, key, goes)) is not None:
                message = f"{other!r} takes no part, and is in the way of what is to come here: move it away"
                found[change.unit] = Finding("warning", "occupied", folder.product.name, key, message)
    return found


def _in_the_way(root: str, key: str, goes: Collection[str]) -> str | None:
    """Return what keeps a file from coming: what is in a directory of its name, or a directory of it that is none."""
    path = f"{root}/{key}"
    if os.path.isdir(path) and not Path(path).is_symlink():
        below = (f"{directory[len(root) + 1 :]}/{name}" for directory, _, names in os.walk(path) for name in names)
        return next((name for name in below if name not in goes), None)
    if key in goes:
        return None  # its directories are there
    above = (directory for directory in lineage(key.rpartition("/")[0]) if directory not in goes)
    return next(
        (name for name in above if name and not os.path.isdir(f"{root}/{name}") and os.path.lexists(f"{root}/{name}")),
        None,
    )


def contested_names(folder: Folder, seen: Look, changes: Iterable[Change]) -> list[Finding]:
    """Return a finding for either side of each name that is a file on one and a directory on the other.

    Parameters
    ----------
    changes
        What is to be left as it is.
    """
    return [
        Finding("warning", "clash", folder.product.name, min(key for key in change.keys if key in side), _CLASH)
        for change in changes
        if change.parts
        for side in (seen.states.here, seen.states.there)
    ]


def unfit_here(folder: Folder, seen: Look, changes: Sequence[Change], *, allows_damage: bool) -> dict[str, Finding]:
    """Return the stores and rasters here that cannot be published as they are, with what is wrong with each.

    Raises
    ------
    SourceChangedError
        Metadata changed since it was looked at.
    """
    wanted = _keys_of_stores(changes)
    rows = [row for row in zip(seen.scan.keys, seen.scan.signatures, strict=True) if row[0] in wanted]
    ignores = DAMAGE if allows_damage else frozenset()
    layout, wrong = _wrong(Directory(folder.root, folder.product.name), rows, changes, ignores)
    if not allows_damage:
        wrong = _cut_off(folder, seen, changes) | _damaged(folder, seen, changes, layout) | wrong
    return {
        unit: Finding("warning", "not-uploaded", found.product, found.key, f"this stays here: {found.message}")
        for unit, found in wrong.items()
    }


def _cut_off(folder: Folder, seen: Look, changes: Iterable[Change]) -> dict[str, Finding]:
    """Return the rasters that end before their tiles do."""
    keys = [key for change in changes if not change.is_store for key in change.keys if key in seen.states.here]
    found = cut_off(folder.root, folder.product.name, [key for key in keys if is_raster(key)])
    return {finding.key: finding for finding in found}


def _damaged(folder: Folder, seen: Look, changes: Iterable[Change], layout: Layout) -> dict[str, Finding]:
    """Return the stores of which others could open less than they can now, with the first thing that is lost."""
    name, there, found = folder.product.name, seen.states.there, {}
    for change in changes:
        here = {key: None for key in change.keys if key in seen.states.here}
        # What others made since is not what was lost here.
        published = frozenset(key for key in change.keys if key in there and (key in seen.states.base or key in here))
        if not change.is_store or not here or not published:
            continue
        lost = lost_nodes(name, published.difference(here), list(here), published)
        store = layout.stores.get(change.unit)
        if not lost and store is not None and (stale := _stale_documents(seen, published)):
            lost = _losses(folder, seen, store, published, stale)
        if lost:
            found[change.unit] = lost[0]
    return found


def _is_new(seen: Look, attributes: str) -> bool:
    """Return whether a node that lost its attributes is another one now: there is data, and none of it is as it was."""
    below = attributes.removesuffix(".zattrs")
    here, there = seen.states.here, seen.states.there
    data = [key for key in here if key.startswith(below) and not is_metadata(Kind.ZARR, key)]
    return bool(data) and not any(same(here[key], there.get(key)) for key in data)


def _stale_documents(seen: Look, published: Iterable[str]) -> list[str]:
    """Return the keys of the metadata there that is gone here, or another one."""
    here, there = seen.states.here, seen.states.there
    return [key for key in published if is_metadata(Kind.ZARR, key) and not same(here.get(key), there.get(key))]


def _losses(folder: Folder, seen: Look, store: Store, published: Iterable[str], stale: Iterable[str]) -> list[Finding]:
    """Return what would be lost of a store, though all its arrays are there; its metadata there is read for that."""
    name, prefix = folder.product.name, store.prefix
    origin = objects_of(seen, {key: seen.states.there[key] for key in published if is_metadata(Kind.ZARR, key)})
    raw = read_documents(origin, Kind.ZARR, origin.seen.keys, origin.seen.signatures)
    old = describe(Kind.ZARR, name, list(raw), raw).stores.get(prefix)
    if old is None:
        return []
    nodes = {*store.arrays, *store.groups} if store.zarr_format == 2 or ".zgroup" in store.documents else set()
    start = len(prefix) + 1 if prefix else 0
    gone = [key for key in stale if key.endswith(".zattrs") and key not in seen.states.here]
    kept = [key for key in gone if key[start:].rpartition("/")[0] in nodes and not _is_new(seen, key)]
    bare = [key[start:] for key in kept]
    return [*lost_attributes(name, prefix, bare, old.documents), *misfit_findings(name, store, old.documents)]


def unfit_there(seen: Look, changes: Sequence[Change]) -> dict[str, Finding]:
    """Return the stores in the target that cannot be brought as they are: what uploads that were cut off have left.

    Raises
    ------
    SourceChangedError
        Metadata changed since it was looked at.
    """
    wanted = _keys_of_stores(changes)
    origin = objects_of(seen, {key: content for key, content in seen.states.there.items() if key in wanted})
    # Chunks without an array are what uploads that were cut off leave, and do no harm here.
    rows = list(zip(origin.seen.keys, origin.seen.signatures, strict=True))
    _, wrong = _wrong(origin, rows, changes, {"lost-metadata", "no-store"})
    why = "this store stays there, and the next `zsync sync` of who was cut off while sending it mends it"
    return {
        unit: Finding("warning", "not-downloaded", found.product, found.key, f"{why}: {found.message}")
        for unit, found in wrong.items()
    }


def _keys_of_stores(changes: Iterable[Change]) -> set[str]:
    """Return all keys that stores have; what has a store's own name is a file that takes its place."""
    found = {key for change in changes if change.is_store for key in change.keys if key != change.unit}
    for change in changes:
        if change.parts:
            stores = store_prefixes(change.keys)
            found |= {key for key in change.keys if key not in stores and unit_of(key, stores) in stores}
    return found


def _wrong(
    origin: Directory | Objects,
    rows: Sequence[tuple[str, tuple[int, int, int, int]]],
    changes: Sequence[Change],
    ignores: Collection[str],
) -> tuple[Layout, dict[str, Finding]]:
    """Return what stores are, and the first thing that is wrong with each unit's stores."""
    keys, signatures = [key for key, _ in rows], [signature for _, signature in rows]
    documents: Mapping[str, bytes] = read_documents(origin, Kind.ZARR, keys, signatures)
    layout = describe(Kind.ZARR, origin.product, keys, documents, [signature[0] for signature in signatures])
    stores = store_prefixes(keys) | {change.unit for change in changes if change.is_store}
    errors = [finding for finding in layout.findings if finding.level == "error" and finding.code not in ignores]
    found = {unit_of(finding.key, stores): finding for finding in reversed(errors)}
    names = [change.unit for change in changes if change.parts]
    return layout, {
        next((name for name in names if place.startswith(f"{name}/")), place): found[place] for place in found
    }
