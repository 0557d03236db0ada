"""Where the bytes of a published object are now: where it was put, in an older version of that, or in the trash.

What a publication overwrites or retires it first puts aside, by its own id. So of an object that is not in its place
any more, the first publication after the one that is asked for has what it held: if it was kept at all. Runs that were
cut off put aside as well, and are on no record; clocks of publishers differ; others may have written there. So no order
is believed: a place counts if what is there has the ETag and the size on record. Only where ETags tell nothing of bytes
(a copy of what went up in parts, keys of KMS, file systems) the first that was put aside is taken, and its bytes have
to come to the digest on record before any of them counts.

Pure: what is where is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

NO_VERSION = (None, "null")  # what S3 calls the version of an object in a bucket that keeps none


class Where(StrEnum):
    """A kind of place."""

    LIVE = "live"
    VERSION = "version"
    TRASH = "trash"


@dataclass(frozen=True, slots=True)
class Published:
    """An object as it was published: a row of a manifest."""

    key: str
    size: int
    etag: str | None
    version: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A version that a bucket keeps of an object."""

    version: str
    size: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run put aside of an object before it was replaced or retired."""

    publication: str
    size: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """A place that holds the bytes of an object.

    Attributes
    ----------
    publication
        Of the trash: the run that put it there.
    etag
        What it must have there; whoever reads has the service compare.
    version
        The version to read.
    is_proved
        Version or ETag say that it holds the bytes; else they have to be hashed before they count.
    """

    where: Where
    etag: str | None
    version: str | None = None
    publication: str | None = None
    is_proved: bool = True


def candidates(
    item: Published,
    after: str,
    *,
    live: tuple[int, str | None] | None,
    versions: Sequence[Version] | None = None,
    kept: Sequence[Kept] = (),
    is_listed: bool = True,
) -> Iterator[Held]:
    """Yield the places that hold the bytes of an object, the surest first.

    Parameters
    ----------
    item
        The object.
    after
        Id of the publication.
    live
        Size and ETag of what is in its place now; None if nothing is.
    versions
        The versions that there are; None where they are not known: then the one on record is taken to be there.
    kept
        What was put aside of it.
    is_listed
        `live` is known; else it may still be there, and is to be tried once nothing else is left.
    """
    as_published = (item.size, item.etag)
    if is_listed and item.etag is not None and live == as_published:
        yield Held(Where.LIVE, item.etag)
    if item.version not in NO_VERSION and (versions is None or any(item.version == v.version for v in versions)):
        yield Held(Where.VERSION, item.etag, item.version)
    if item.etag is not None:
        for version in versions or ():
            if (version.size, version.etag) == as_published and version.version not in (*NO_VERSION, item.version):
                yield Held(Where.VERSION, item.etag, version.version)
        for found in kept:
            if (found.size, found.etag) == as_published:
                yield Held(Where.TRASH, item.etag, publication=found.publication)
    if not is_listed and item.etag is not None:
        yield Held(Where.LIVE, item.etag)
    later = (found for found in kept if found.publication > after)
    first = min(later, key=lambda found: found.publication, default=None)
    if first is not None and item.digest is not None and first.size == item.size and first.etag != item.etag:
        yield Held(Where.TRASH, first.etag, publication=first.publication, is_proved=False)


def whereabouts(
    items: Iterable[Published],
    after: str,
    *,
    live: Mapping[str, tuple[int, str | None]],
    versions: Mapping[str, Sequence[Version]] | None,
    kept: Mapping[str, Sequence[Kept]],
) -> dict[str, Held | None]:
    """Return where each object of a publication is now; None for one that cannot be had any more.

    Parameters
    ----------
    items
        The objects, as the publication's manifest has them.
    after
        Id of the publication.
    live
        Size and ETag of what is in its place now, by key.
    versions
        The versions that the bucket keeps, by key; None where they are not known.
    kept
        What is in the trash, by key.

    Examples
    --------
    >>> a, b = Published("a", 1, "x"), Published("b", 2, "y")
    >>> live, kept = {"a": (1, "x"), "b": (2, "z")}, {"b": [Kept("2", 2, "y")]}
    >>> found = whereabouts([a, b], "1", live=live, versions={}, kept=kept)
    >>> [(key, str(held.where), held.publication) for key, held in found.items()]
    [('a', 'live', None), ('b', 'trash', '2')]
    """
    return {
        item.key: next(
            candidates(
                item,
                after,
                live=live.get(item.key),
                versions=None if versions is None else versions.get(item.key, ()),
                kept=kept.get(item.key, ()),
            ),
            None,
        )
        for item in items
    }
