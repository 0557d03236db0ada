"""What was published, as a source to read from: to pull it, and to go back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.errors import TargetError, UnfitKeyError
from zsync.inventory import cache_directory
from zsync.keys import shown, unfit_here
from zsync.publication import ManifestLostError, manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zsync.inventory.origin import Row
    from zsync.publication import Part
    from zsync.publication.places import Place


def manifest_rows(place: Place, parts: Sequence[Part], *, is_current: bool) -> Iterator[Row]:
    """Yield what a manifest says that was published, in the order of keys: those that can be files here, and no others.

    Parameters
    ----------
    is_current
        It is that of the current publication.

    Raises
    ------
    TargetError
        It cannot be read.
    UnfitKeyError
        A key cannot be a file here.
    """
    import pyarrow.compute as pc

    from zsync.tables import chosen, each_row, taken, texts_of

    names = ("key", "size", "etag", "version", "digest")
    try:
        table = manifest.read(place.store, place.state, parts, cache_directory() / "manifests")
    except ManifestLostError as error:
        raise TargetError(
            f"the manifest of what is published cannot be read: {error}", place.url, "have it published anew"
        ) from error
    _refuse_unfit(place, texts_of(table["key"]))
    table = chosen(table.select([*names, "gone_s"]), pc.is_null(table["gone_s"]))
    # The current publication is read without versions: whoever may read a bucket may not always read its versions.
    for key, size, etag, version, digest in each_row(taken(table, pc.array_sort_indices(table["key"])), names):
        yield key, size, etag, None if is_current or version == "null" else version, digest


def _refuse_unfit(place: Place, keys: Iterable[str]) -> None:
    """Refuse a manifest of which no files can be made here; that its keys are keys is known."""
    if unfit := {key: reason for key in keys if (reason := unfit_here(key)) is not None}:
        first = min(unfit)
        raise UnfitKeyError(f"a published key cannot be a file here: {unfit[first]}", f"{place.url}: {shown(first)}")
