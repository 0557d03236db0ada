"""Objects of a product as a publication left them, as far as they can be had: small ones, such as metadata."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import (
    ArchivedError,
    NotSupportedError,
    ObjectNotFoundError,
    PermissionDeniedError,
    PreconditionError,
    TargetError,
    TooLargeError,
)
from zsync.inventory import cache_directory
from zsync.keys import under
from zsync.planning.own import OWN, as_its_own
from zsync.publication import ManifestLostError, manifest
from zsync.tables import column, scalar, table_of
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from zsync.keys import Key
    from zsync.publication import Part, Publication
    from zsync.publication.places import Place
    from zsync.storage import Fetched

_MOST_BYTES = 64 * 2**20
_MOST_ROWS = 500_000  # of parts that both publications have: what is looked for in them is in the small ones
_MOST_TRASH = 100_000  # objects in it that are looked through
_MOST_COPIES = 8  # the first that came later is what was replaced, or retired
_NOT_TO_BE_HAD = (
    ObjectNotFoundError, PreconditionError, PermissionDeniedError, NotSupportedError, TooLargeError, ArchivedError,
)  # fmt: skip


class Row(NamedTuple):
    """What a manifest says of an object that is to be read.

    Attributes
    ----------
    key
        The key that it has in the source.
    published
        The key that it is published under.
    original
        Its bytes in the source, where these are others.
    """

    key: str
    size: int
    digest: str | None
    etag: str | None
    version: str | None
    published: str
    original: bytes | None


class Sight:
    """What was read of a product already, for all publications that are looked at.

    Parameters
    ----------
    place
        Where the product is.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._now: dict[Key, Fetched | None] = {}
        self._sound: dict[str, bytes] = {}

    @cached_property
    def _trash(self) -> dict[str, list[str]]:
        """The publications that have an object in the trash, by its key; of a large trash, some."""
        base = f"{self.place.state.trashes}/"
        found: dict[str, list[str]] = {}
        count = 0
        for page in self.place.store.list(base):
            count += len(page.keys)
            for key in page.keys:
                publication, _, inside = key.removeprefix(base).partition("/")
                found.setdefault(inside, []).append(publication)
            if count > _MOST_TRASH:
                break
        return found

    def trashed(self, key: str, after: str) -> list[Key]:
        """Return where in the trash an object may be as it was at a publication, the likeliest first."""
        # Clocks of publishers differ: what comes first is only likelier, and all of it is compared with its digest.
        found = sorted(self._trash.get(key, ()), key=lambda publication: (publication <= after, publication))
        return [self.place.state.trash(publication, key) for publication in found[:_MOST_COPIES]]

    def now(self, key: Key, most: int) -> Fetched | None:
        """Return what an object is now; None if it is not there, or larger than it was."""
        if key not in self._now:
            try:
                self._now[key] = self.place.store.get(key, most=most)
            except TooLargeError:  # it may be what another publication left
                return None
            except _NOT_TO_BE_HAD:
                self._now[key] = None
        return self._now[key]

    def known(self, digest: str | None) -> bytes | None:
        """Return bytes that were read, by their digest."""
        return None if digest is None else self._sound.get(digest)

    def sound(self, data: bytes, row: Row) -> bytes | None:
        """Return bytes if they are what is on record."""
        from blake3 import blake3

        if row.digest is None or blake3(data).hexdigest() != row.digest:
            return None
        self._sound[row.digest] = data
        return data


class AsPublished:
    """The objects of a product as one publication left them.

    Parameters
    ----------
    sight
        The product, and what was read of it already.
    publication
        The publication; None: the one before the first, which left nothing.
    shared
        Digests of the parts that the publication which it is compared with has as well.
    """

    def __init__(self, sight: Sight, publication: Publication | None, shared: frozenset[str]) -> None:
        self._sight = sight
        self._place = sight.place
        self._id = publication.id if publication is not None else ""
        self._parts = publication.product.parts if publication is not None else ()
        self._shared = shared

    @cached_property
    def own(self) -> pa.Table:
        """What the manifest says in the parts that are not shared."""
        return self._rows([part for part in self._parts if part.digest not in self._shared])

    @cached_property
    def _all(self) -> pa.Table:
        """What it says in those, and in as many of the shared ones as are small."""
        found, rows = [], 0
        for part in sorted(self._parts, key=lambda part: part.objects):
            rows += part.objects
            if part.digest in self._shared and rows <= _MOST_ROWS:
                found.append(part)
        return pa.concat_tables([self.own, self._rows(found)])

    def _rows(self, parts: Sequence[Part]) -> pa.Table:
        if not parts:
            return table_of([], OWN)
        store, state = self._place.store, self._place.state
        try:
            return as_its_own(manifest.read(store, state, parts, cache_directory() / "manifests"))
        except ManifestLostError as error:
            raise TargetError(
                f"the manifest of publication {self._id} cannot be read: {error}",
                self._place.url,
                "name another publication",
            ) from error

    def keys_of(self, store: str, array: str) -> list[str]:
        """Return the keys of an array."""
        rows = self._all
        mine = pc.and_(pc.equal(rows["store"], scalar(store)), pc.equal(rows["array"], scalar(array)))
        keys: list[str] = rows.filter(pc.fill_null(mine, scalar(False)))["key"].to_pylist()
        return keys

    def documents_of(self, store: str, names: Iterable[str]) -> list[str]:
        """Return the keys of a store's metadata, given the names that such have."""
        rows = self._all
        rows = rows.filter(pc.fill_null(pc.equal(rows["store"], scalar(store)), scalar(False)))
        wanted = set(names)
        return [key for key in rows["key"].to_pylist() if key.rpartition("/")[2] in wanted]

    def signature(self, keys: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
        """Return what some objects hold, by their digests."""
        return tuple(sorted((row.key, row.digest or row.etag) for row in self._wanted(keys)))

    def size(self, keys: Sequence[str]) -> int:
        """Return how large some objects are together, in bytes."""
        return sum(row.size for row in self._wanted(keys))

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the bytes of those of some objects that were published and can still be had."""
        rows = list(self._wanted(keys))
        found = zip(rows, side_by_side(self._read, rows), strict=True)
        return {row.key: data for row, data in found if data is not None}

    def _wanted(self, keys: Sequence[str]) -> Iterator[Row]:
        table = self._all
        rows = table.filter(pc.is_in(table["key"], column(list(keys), pa.string())))
        columns: list[Any] = [rows[name].to_pylist() for name in Row._fields]
        return (Row(*values) for values in zip(*columns, strict=True))

    def _read(self, row: Row) -> bytes | None:
        """Return an object's bytes: from where it was published, in its version, or from the trash."""
        if row.size > _MOST_BYTES:
            return None
        return next((data for data in self._tried(row) if data is not None), None)

    def _tried(self, row: Row) -> Iterator[bytes | None]:
        if row.original is not None:
            yield row.original
            return
        key = under(self._place.base, row.published)
        yield self._sight.known(row.digest)
        yield self._whole(key, row)
        if row.version not in (None, "null"):
            yield self._version(key, row)
        if row.digest is not None:
            for place in self._sight.trashed(row.published, self._id):
                yield self._whole(place, row)

    def _whole(self, key: Key, row: Row) -> bytes | None:
        found = self._sight.now(key, max(row.size, 1))
        if found is None:
            return None
        if row.digest is None:
            return found.data if row.etag is not None and found.etag == row.etag else None
        return self._sight.sound(found.data, row)

    def _version(self, key: Key, row: Row) -> bytes | None:
        try:
            data = self._place.store.fetch(key, 0, row.size, etag=row.etag, version=row.version) if row.size else b""
        except _NOT_TO_BE_HAD:
            return None
        return data if row.digest is None else self._sight.sound(data, row)
