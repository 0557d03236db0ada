"""What to say of arrays whose old and new chunks decode differently: which, why, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout import join
from zsync.planning.classify import ChangeClass
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.planning.classify import ArrayChange

INCOMPATIBLE = "incompatible"

_MOST_NAMES = 400  # characters
_REASON = "readers would decode old chunks with new metadata or the reverse"
_REPLACED = "it is replaced, and until that is done readers do not find the store"
_WAYS = (
    "Publish under another name or target; or set on_incompatible: replace, and readers do not find the store while it"
    " is replaced"
)
_OR_REPLACE = "; or set on_incompatible: replace, and readers do not find the store while it is replaced"


def incompatible_findings(changes: Iterable[ArrayChange], *, replaces: bool) -> list[Finding]:
    """Return a finding for each incompatible change: in place there is no order of writes that is safe for readers.

    Stores that changed their format come first, each as a whole: that their arrays changed as well says nothing more.

    Parameters
    ----------
    replaces
        The user wants such arrays replaced, offline first (``on_incompatible: replace``); else they are errors.
    """
    found = [change for change in changes if change.kind == ChangeClass.INCOMPATIBLE and not change.flips]
    stores: dict[tuple[str, str], list[ArrayChange]] = {}
    for change in found:
        if change.formats is not None:
            stores.setdefault((change.product, change.store), []).append(change)
    whole = [_of_store(group, replaces=replaces) for group in stores.values()]
    return whole + [_of_array(change, replaces=replaces) for change in found if change.formats is None]


def _of_store(changes: Sequence[ArrayChange], *, replaces: bool) -> Finding:
    first = changes[0]
    old, new = first.formats or (0, 0)
    arrays = _fitting([change.array for change in changes if change.array])
    said = f"the published store is Zarr v{old}, and the source is Zarr v{new}"
    said += f": none of {arrays} would be read as it was" if arrays else ""
    return Finding(
        "warning" if replaces else "error",
        INCOMPATIBLE,
        first.product,
        first.store,
        f"{said}; {_REPLACED}" if replaces else f"{said}{_stays(first)}. {_WAYS}",
    )


def _of_array(change: ArrayChange, *, replaces: bool) -> Finding:
    said = f"an incompatible change of a published array: {change.detail}"
    return Finding(
        "warning" if replaces else "error",
        INCOMPATIBLE,
        change.product,
        join(change.store, change.array),
        f"{said}; {_REPLACED}" if replaces else f"{said}; {_REASON}{_stays(change)}. {_advice(change)}",
    )


def _stays(change: ArrayChange) -> str:
    """Return why an array cannot be published beside the old one (`zsync.planning.flip`), if that was wanted."""
    return f", and it cannot lie beside the old one: {change.stays}" if change.stays else ""


def _advice(change: ArrayChange) -> str:
    if not change.fixed:
        return _WAYS
    name = change.array.rpartition("/")[2]
    is_coordinate = change.axes == (name,)
    what = "A coordinate in a single chunk" if is_coordinate else "An array in a single chunk"
    chunks = f"({', '.join(map(str, change.fixed))}{',' if len(change.fixed) == 1 else ''})"
    # Only xarray and its like name axes, and only what lies in a group has a name there.
    how = f'encoding={{"{name}": {{"chunks": {chunks}}}}}' if change.axes and name else f"chunks={chunks}"
    return (
        f"{what} changes its chunk shape whenever it grows: write it with a fixed chunk length, for instance {how}"
        + _OR_REPLACE
    )


def summed_up(findings: Sequence[Finding]) -> Finding:
    """Return what to say of several incompatible changes in one line: all arrays by name, as many as fit.

    Parameters
    ----------
    findings
        Findings of `incompatible_findings`, of one product, at least one.
    """
    first = findings[0]
    if len(findings) == 1:
        return first
    head = f"{len(findings)} incompatible changes of published arrays: {_fitting([item.key for item in findings])}"
    message = f"{head}. The first: {first.message.removeprefix('an incompatible change of a published array: ')}"
    return Finding(first.level, first.code, first.product, "", message)


def _fitting(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Return names, as many as fit, and how many more there are.

    Examples
    --------
    >>> _fitting(["a", "b", "c"]), _fitting(["alpha", "beta", "gamma"], 8)
    ('a, b, c', 'alpha and 2 more')
    """
    shown, room = 0, most
    for name in names:
        room -= len(name) + 2
        if room < 0 and shown:
            break
        shown += 1
    more = f" and {len(names) - shown:,} more" if shown < len(names) else ""
    return ", ".join(names[:shown]) + more
