"""What was published, as a source to read from: to pull it, and to go back to it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from zsync.errors import TargetError, UnfitKeyError
from zsync.inventory import Objects, Scan, cache_directory
from zsync.keys import shown, sort
from zsync.publication import ManifestLostError, manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.keys import Key
    from zsync.publication import Part
    from zsync.publication.places import Place
    from zsync.words import Finding

Row = tuple[str, int, str | None, str | None, str | None]  # key, size, ETag, version, digest


def origin_of(
    place: Place, name: str, rows: list[Row], elsewhere: Mapping[str, Key], findings: tuple[Finding, ...] = ()
) -> Objects:
    """Return objects of a place as a source.

    Parameters
    ----------
    name
        The product's name.
    rows
        The objects, with ETag and version of the places that hold them now.
    elsewhere
        Whole keys of those that are not in their places any more.
    findings
        What was noticed about them.
    """
    rows = sorted(rows, key=lambda row: row[0])
    seen = Scan([row[0] for row in rows], [_signature(row) for row in rows], findings)
    tags = {key: (etag, version) for key, _, etag, version, _ in rows}
    digests = {key: digest for key, _, _, _, digest in rows if digest is not None}
    return Objects(place.spec, place.base, name, seen, tags, digests, elsewhere)


def manifest_rows(place: Place, parts: Sequence[Part], *, is_current: bool) -> list[Row]:
    """Return what a manifest says that was published: keys that can be files here, and no others.

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
    columns = ("key", "size", "etag", "version", "digest", "gone_s")
    try:
        table = manifest.read(place.store, place.state, parts, cache_directory() / "manifests")
        rows = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
    except (ManifestLostError, ValueError) as error:  # a ValueError: text that is not UTF-8
        raise TargetError(
            f"the manifest of what is published cannot be read: {error}", place.url, "have it published anew"
        ) from error
    _refuse_unfit(place, [row[0] for row in rows])
    # The current publication is read without versions: whoever may read a bucket may not always read its versions.
    return [
        (key, size, etag, None if is_current or version == "null" else version, digest)
        for key, size, etag, version, digest, gone_s in rows
        if gone_s is None
    ]


def _refuse_unfit(place: Place, keys: Sequence[str]) -> None:
    """Refuse a manifest of which no files can be made here; that its keys are keys is known."""
    if unfit := sort(keys, here=True).unfit:
        first = min(unfit)
        raise UnfitKeyError(f"a published key cannot be a file here: {unfit[first]}", f"{place.url}: {shown(first)}")


def _signature(row: Row) -> tuple[int, int, int, int]:
    """Return what stands for a file's signature: it is another one when the object is."""
    _, size, etag, version, _ = row
    token = hashlib.blake2b(f"{etag} {version}".encode(), digest_size=8).digest()
    return size, 0, 0, int.from_bytes(token, "little")
