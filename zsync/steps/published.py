"""What was published, as a source to read from: to pull it, and to go back to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blake3 import blake3

from zsync.errors import TargetError, UnfitKeyError
from zsync.inventory import cache_directory
from zsync.keys import shown, unfit_here
from zsync.publication import ManifestLostError, manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from zsync.inventory.origin import Row
    from zsync.publication import Part
    from zsync.publication.places import Place

_NAMES = ("key", "size", "etag", "version", "digest")


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What a manifest says that was published.

    Attributes
    ----------
    rows
        Its objects that the source had, in the order of keys.
    names
        Keys that objects are published under, by their keys in the source, where these are others.
    originals
        What the source had in place of metadata that names other keys, by key.
    """

    rows: Iterable[Row]
    names: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, bytes] = field(default_factory=dict)

    def own(self) -> Mapping[str, str]:
        """Return keys in the source, by those that objects are published under, where these are others."""
        return {published: key for key, published in self.names.items()}

    def in_source(self, rows: Iterable[Row]) -> Iterable[Row]:
        """Return objects by the keys, and with the metadata, that they have in the source, in the order of keys.

        Parameters
        ----------
        rows
            Those of the manifest, perhaps with what else is known of them.
        """
        if not self.names and not self.originals:
            return rows
        own = self.own()

        def as_its_own(row: Row) -> Row:
            key = own.get(row[0], row[0])
            return _original(self.originals[key], key) if key in self.originals else (key, *row[1:])

        return sorted(map(as_its_own, rows))


def _original(body: bytes, key: str) -> Row:
    """Return what a document of the source would be as an object."""
    return key, len(body), hashlib.md5(body, usedforsecurity=False).hexdigest(), None, blake3(body).hexdigest()


def on_record(place: Place, parts: Sequence[Part], *, is_current: bool) -> OnRecord:
    """Return what a manifest says that was published: what can be files here, and no others.

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

    from zsync.tables import chosen, taken, texts_of

    try:
        table = manifest.read(place.store, place.state, parts, cache_directory() / "manifests")
    except ManifestLostError as error:
        raise TargetError(
            f"the manifest of what is published cannot be read: {error}", place.url, "have it published anew"
        ) from error
    _refuse_unfit(place, texts_of(table["key"]))
    table = chosen(table, pc.is_null(table["gone_s"]))
    table = taken(table.select([*_NAMES, "source_key", "original"]), pc.array_sort_indices(table["key"]))
    return OnRecord(_rows(table, is_current=is_current), *_in_source(place, table))


def _rows(table: pa.Table, *, is_current: bool) -> Iterator[Row]:
    from zsync.tables import each_row

    # The current publication is read without versions: whoever may read a bucket may not always read its versions.
    for key, size, etag, version, digest in each_row(table, _NAMES):
        yield key, size, etag, None if is_current or version == "null" else version, digest


def _in_source(place: Place, table: pa.Table) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the keys, and the documents, that are others in the source.

    Raises
    ------
    UnfitKeyError
        A key cannot be a file here.
    TargetError
        Two objects are one file in the source.
    """
    import pyarrow.compute as pc

    from zsync.tables import scalar

    is_other = pc.fill_null(pc.not_equal(table["key"], table["source_key"]), scalar(False))
    pairs = table.select(["source_key", "key"]).filter(is_other).to_pylist()
    names = {row["source_key"]: row["key"] for row in pairs}
    made = table.select(["key", "original"]).filter(pc.is_valid(table["original"])).to_pylist()
    _refuse_unfit(place, names)
    others = set(table["key"].filter(pc.invert(is_other)).to_pylist()) if names else set()
    if len(names) < len(pairs) or not others.isdisjoint(names):
        raise TargetError("the manifest names a file of the source twice", place.url, "have it published anew")
    return names, {row["key"]: row["original"] for row in made}


def _refuse_unfit(place: Place, keys: Iterable[str]) -> None:
    """Refuse a manifest of which no files can be made here; that its keys are keys is known."""
    if unfit := {key: reason for key in keys if (reason := unfit_here(key)) is not None}:
        first = min(unfit)
        raise UnfitKeyError(f"a published key cannot be a file here: {unfit[first]}", f"{place.url}: {shown(first)}")
