"""What cannot be moved though it was decided on: it stays as it is on both sides, and a finding says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.inventory import Directory
from zsync.layout import describe, store_prefixes
from zsync.planning.merge import clashes, unit_of
from zsync.verbs.source import read_documents
from zsync.words import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.planning.merge import Change
    from zsync.verbs.team.folder import Folder
    from zsync.verbs.team.look import Look


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
    wanted = {key for change in changes if change.is_store for key in change.keys}
    rows = [row for row in zip(seen.scan.keys, seen.scan.signatures, strict=True) if row[0] in wanted]
    if not rows:
        return {}
    keys, signatures = [key for key, _ in rows], [signature for _, signature in rows]
    origin = Directory(folder.root, folder.product.name)
    documents: Mapping[str, bytes] = read_documents(origin, Kind.ZARR, keys, signatures)
    layout = describe(Kind.ZARR, folder.product.name, keys, documents, [signature[0] for signature in signatures])
    stores = store_prefixes(keys)
    return {
        unit_of(finding.key, stores): Finding(
            "warning", "not-uploaded", finding.product, finding.key, f"this store stays here: {finding.message}"
        )
        for finding in reversed(layout.findings)  # the first of each store is told
        if finding.level == "error"
    }
