"""Objects that are archived: who meets one is told of all, for to restore one takes hours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from zsync.errors import ArchivedError, TargetError
from zsync.printable import listed
from zsync.storage.details import list_details

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from zsync.storage import StoreSpec

_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # from which objects have to be restored before they can be read


@contextmanager
def all_named(places: Iterable[tuple[StoreSpec, str, Collection[str] | None]]) -> Iterator[None]:
    """Name all archived objects where one is met.

    Parameters
    ----------
    places
        Where there may be such: a store, a prefix, and the keys below it that are wanted; None: all.

    Raises
    ------
    ArchivedError
        An object is archived.
    """
    try:
        yield
    except ArchivedError as error:
        found = [name for place in places for name in _archived(*place)]
        if len(found) <= 1:
            raise
        raise ArchivedError(
            f"{len(found)} objects are archived", listed(found), "restore them first, or exclude them"
        ) from error


def _archived(spec: StoreSpec, prefix: str, wanted: Collection[str] | None) -> list[str]:
    """Return the names of archived objects; none where it cannot be told."""
    if spec.location.scheme != "s3":
        return []
    try:
        keys = [found.key for found in list_details(spec, prefix) if found.storage_class in _ARCHIVES]
    except TargetError:
        return []
    return sorted(key for key in keys if wanted is None or key.removeprefix(prefix) in wanted)
