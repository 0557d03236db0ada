"""What cannot be moved though it was decided on: it stays as it is on both sides, and a finding says why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zsync.inventory import Directory, Objects
from zsync.layout import describe, lineage, store_prefixes
from zsync.planning.merge import clashes, unit_of
from zsync.verbs.source import read_documents
from zsync.verbs.team.carry import objects_of
from zsync.words import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from zsync.planning.merge import Change
    from zsync.verbs.team.folder import Folder
    from zsync.verbs.team.look import Look

_CLASH = (
    "here a file and there a directory have this name, or the other way: rename one of them, or say with --prefer which"
    " is to have it"
)


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


def unfit_stores(folder: Folder, seen: Look, changes: Sequence[Change]) -> dict[str, Finding]:
    """Return the stores here that cannot be published as they are, with what is wrong with each.

    Raises
    ------
    SourceChangedError
        Metadata changed since it was looked at.
    """
    wanted = _keys_of_stores(changes)
    rows = [row for row in zip(seen.scan.keys, seen.scan.signatures, strict=True) if row[0] in wanted]
    wrong = _wrong(Directory(folder.root, folder.product.name), rows, changes)
    return {
        unit: Finding("warning", "not-uploaded", found.product, found.key, f"this store stays here: {found.message}")
        for unit, found in wrong.items()
    }


def unfit_there(folder: Folder, seen: Look, changes: Sequence[Change]) -> dict[str, Finding]:
    """Return the stores in the target that cannot be brought as they are: what uploads that were cut off have left.

    Raises
    ------
    SourceChangedError
        Metadata changed since it was looked at.
    """
    wanted = _keys_of_stores(changes)
    origin = objects_of(folder, {key: content for key, content in seen.states.there.items() if key in wanted})
    wrong = _wrong(origin, list(zip(origin.seen.keys, origin.seen.signatures, strict=True)), changes)
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
    origin: Directory | Objects, rows: Sequence[tuple[str, tuple[int, int, int, int]]], changes: Sequence[Change]
) -> dict[str, Finding]:
    """Return the first thing that is wrong with each unit's stores."""
    if not rows:
        return {}
    keys, signatures = [key for key, _ in rows], [signature for _, signature in rows]
    documents: Mapping[str, bytes] = read_documents(origin, Kind.ZARR, keys, signatures)
    layout = describe(Kind.ZARR, origin.product, keys, documents, [signature[0] for signature in signatures])
    stores = store_prefixes(keys)
    errors = [finding for finding in layout.findings if finding.level == "error"]
    found = {unit_of(finding.key, stores): finding for finding in reversed(errors)}
    names = [change.unit for change in changes if change.parts]
    return {next((name for name in names if place.startswith(f"{name}/")), place): found[place] for place in found}
