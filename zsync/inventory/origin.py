"""Where the bytes of a source come from: files here for a publish, objects there for a pull."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from zsync.errors import ObjectNotFoundError, PreconditionError, SourceChangedError, TransientError
from zsync.inventory.digest import BLOCK, Signature, read_blocks
from zsync.inventory.local import Scan, is_as_seen, scan
from zsync.inventory.selection import EVERYTHING, Selection
from zsync.keys import Key, under
from zsync.packed import Signatures, Texts, packed
from zsync.storage import PIECE, Seen, connect
from zsync.storage.ahead import read_through
from zsync.storage.details import etag_is_opaque

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from zsync.storage import StoreSpec
    from zsync.words import Finding

_MD5 = re.compile(r"[0-9a-f]{32}")
_MANY = 50_000  # files
_ATTEMPTS = 3  # to have an object as it is on record


class Hash(Protocol):
    """What makes a digest of bytes."""

    def update(self, data: bytes, /) -> object:
        """Take in some more."""

    def hexdigest(self) -> str:
        """Return what all of them come to."""


def through(blocks: Iterable[bytes], digest: Hash) -> Iterator[bytes]:
    """Yield blocks, and have a digest take them in.

    Examples
    --------
    >>> import hashlib
    >>> digest = hashlib.sha256()
    >>> b"".join(through([b"a", b"b"], digest)), digest.hexdigest()[:8]
    (b'ab', 'fb8e20fc')
    """
    for block in blocks:
        digest.update(block)
        yield block


class Reader(Protocol):
    """Reads one object of a source; a plain value that survives `pickle` and holds no secret."""

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield its bytes, and raise if it is not the object that was planned.

        Raises
        ------
        SourceChangedError
            It was replaced, changed, or removed since.
        """

    def pieces(self, digest: Hash) -> Iterator[bytes]:
        """Yield its bytes in pieces of any size, checked as `blocks` checks them; `digest`, a BLAKE3, takes them in."""


class Origin(Protocol):
    """One product's source."""

    @property
    def name(self) -> str:
        """What it is called in messages, and what its digests are kept by: a directory, or a URL."""

    @property
    def is_local(self) -> bool:
        """Whether it is cheap to read: then what must be known is found out by hashing."""

    @property
    def specs(self) -> tuple[StoreSpec, ...]:
        """How the stores are reached that it is read from."""

    def digests(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the digests of some keys that are known without reading, null for the others."""

    def look(self) -> Scan:
        """Return what is there now."""

    def is_as(self, seen: Scan) -> bool:
        """Return whether all objects are as they were seen."""

    def reader(self, key: str, signature: Signature) -> Reader:
        """Return what reads one of its objects, as it was seen."""

    def document(self, key: str, signature: Signature) -> bytes:
        """Return all of a small object, as it was seen; it may be read again."""


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads a file."""

    path: str
    key: str
    signature: Signature

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield its bytes."""
        return read_blocks(self.path, self.key, self.signature, block)

    def pieces(self, digest: Hash) -> Iterator[bytes]:
        """Yield its bytes, a little at a time."""
        return through(self.blocks(PIECE), digest)


@dataclass(frozen=True, slots=True)
class Directory:
    """A source on the file system.

    Attributes
    ----------
    selection
        What takes part: what does not is not looked at (`zsync.inventory.scan`).
    """

    root: str
    product: str
    follow_symlinks: bool = False
    selection: Selection = EVERYTHING

    @property
    def name(self) -> str:
        """Its absolute path."""
        return self.root

    @property
    def is_local(self) -> bool:
        """It is."""
        return True

    @property
    def specs(self) -> tuple[StoreSpec, ...]:
        """None: it is files."""
        return ()

    def digests(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return null for all: the digest cache knows."""
        import pyarrow as pa

        return pa.chunked_array([pa.nulls(len(keys), pa.string())])

    def look(self) -> Scan:
        """Scan it."""
        return scan(self.root, self.product, follow_symlinks=self.follow_symlinks, selection=self.selection)

    def is_as(self, seen: Scan) -> bool:
        """Return whether all files are as they were seen; of many no second list is made for that."""
        if len(seen.keys) <= _MANY:  # to list few is sooner done if one of them changed
            now = self.look()
            return (now.keys, now.signatures) == (seen.keys, seen.signatures)
        return is_as_seen(seen, self.root, follow_symlinks=self.follow_symlinks, selection=self.selection)

    def reader(self, key: str, signature: Signature) -> Reader:
        """Return what reads one of its files."""
        return FileReader(f"{self.root}/{key}", key, signature)

    def document(self, key: str, signature: Signature) -> bytes:
        """Return all of a file."""
        return b"".join(self.reader(key, signature).blocks())


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Reads an object, or one version of it.

    Attributes
    ----------
    path
        Its whole key in the bucket.
    etag
        The ETag that it has to have still.
    version
        The version to read; None for the current one.
    digest
        What its bytes must come to, if that is on record. If it is not, an ETag that is an MD5 tells.
    """

    store: StoreSpec
    path: Key
    size: int
    etag: str | None
    version: str | None = None
    digest: str | None = None

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield its bytes, a range at a time.

        Raises
        ------
        TransientError
            They are not what is on record, though the object is. What comes in one block is asked for again first.
        """
        if self.size <= block:
            yield self._whole()
            return
        ranges = (self.part(start, min(block, self.size - start)) for start in range(0, self.size, block))
        yield from self._sound(ranges, self._check())

    def pieces(self, digest: Hash) -> Iterator[bytes]:
        """Yield its bytes as they arrive."""
        if self.size <= PIECE:
            yield from through([self._whole()], digest)
            return
        seen = Seen(self.path, self.size, self.etag, self.version)
        with self._as_seen():
            pieces = read_through(connect(self.store), seen)
            if self.digest is not None:  # what is known of it is what is wanted: once is enough
                yield from self._sound(pieces, digest)
            else:
                yield from through(self._sound(pieces, self._check()), digest)

    def _sound(self, blocks: Iterable[bytes], check: Hash) -> Iterator[bytes]:
        """Yield blocks, and raise at the end if they are not what is on record."""
        yield from through(blocks, check)
        if not self._is_sound(check):
            raise self._damaged()

    def _whole(self) -> bytes:
        for _ in range(_ATTEMPTS):
            data, check = self.part(0, self.size), self._check()
            check.update(data)
            if self._is_sound(check):
                return data
        raise self._damaged()

    def _check(self) -> Hash:
        """Return what hashes the bytes as what is known of them was hashed."""
        if self.digest is not None:
            from blake3 import blake3

            return blake3()
        return hashlib.md5(usedforsecurity=False)

    def _is_sound(self, check: Hash) -> bool:
        if self.digest is not None:
            return check.hexdigest() == self.digest
        is_md5 = _MD5.fullmatch(self.etag or "") and connect(self.store).capabilities.etag_is_md5
        return not is_md5 or check.hexdigest() == self.etag or etag_is_opaque(self.store, self.path)

    def _damaged(self) -> TransientError:
        url = connect(self.store).url(self.path)
        return TransientError("an object did not arrive as it is on record", url, "pull again, or publish it anew")

    def part(self, start: int, length: int) -> bytes:
        """Return some of its bytes."""
        if not length:
            return b""
        with self._as_seen():
            return connect(self.store).fetch(self.path, start, length, etag=self.etag, version=self.version)

    @contextmanager
    def _as_seen(self) -> Iterator[None]:
        try:
            yield
        except (PreconditionError, ObjectNotFoundError) as error:
            url = connect(self.store).url(self.path)
            message = "an object was replaced or removed while it was being read"
            raise SourceChangedError(message, url, "pull again") from error


@dataclass(frozen=True, slots=True)
class KnownReader:
    """Reads what was read already, and was sound."""

    body: bytes = field(repr=False)

    def blocks(self, block: int = BLOCK) -> Iterator[bytes]:
        """Yield its bytes."""
        return (self.body[start : start + block] for start in range(0, len(self.body), block))

    def pieces(self, digest: Hash) -> Iterator[bytes]:
        """Yield its bytes."""
        return through(self.blocks(), digest)


class Recorded(Protocol):
    """What is on record of a publication (`zsync.steps.published.OnRecord`)."""

    @property
    def names(self) -> Mapping[str, str]:
        """Keys that objects are published under, by their keys in the source, where these are others."""

    @property
    def originals(self) -> Mapping[str, bytes]:
        """What the source had in place of metadata that names other keys, by key."""

    def own(self) -> Mapping[str, str]:
        """Return keys in the source, by those that objects are published under, where these are others."""

    def in_source(self, rows: Iterable[Row]) -> Iterable[Row]:
        """Return objects by the keys that they have in the source, in the order of keys."""


Row = tuple[str, int, str | None, str | None, str | None]  # key, size, ETag, version, digest


def _signature(size: int, etag: str | None, version: str | None) -> tuple[int, int, int, int]:
    """Return what stands for a file's signature: it is another one when the object is."""
    token = hashlib.blake2b(f"{etag} {version}".encode(), digest_size=8).digest()
    return size, 0, 0, int.from_bytes(token, "little")


@dataclass(frozen=True, slots=True)
class Objects:
    """A source in a bucket, as a listing or a manifest tells of it.

    Attributes
    ----------
    base
        The prefix of its keys: empty, or ending in ``/``.
    seen
        Its objects, in the order of their keys.
    tags, versions
        ETag and version of each object, in that order.
    recorded
        Digests that are on record, likewise.
    elsewhere
        Whole keys of objects that are not in their places any more, by key.
    names
        Keys that objects have in the bucket, below the base, where they are others here.
    documents
        What was read as a document, by key: nobody asks for it again over the network.
    """

    store: StoreSpec
    base: str
    product: str
    seen: Scan
    tags: Texts[str | None] = field(repr=False)
    versions: Texts[str | None] = field(repr=False)
    recorded: Texts[str | None] = field(repr=False)
    elsewhere: Mapping[str, Key] = field(default_factory=dict, repr=False)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    documents: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        store: StoreSpec,
        base: str,
        product: str,
        rows: Iterable[Row],
        findings: tuple[Finding, ...] = (),
        elsewhere: Mapping[str, Key] | None = None,
    ) -> Objects:
        """Return a source of objects, given in the order of their keys."""
        keys, signatures = Texts[str](), Signatures()
        tags, versions, recorded = Texts[str | None](), Texts[str | None](), Texts[str | None]()
        for key, size, etag, version, digest in rows:
            keys.append(key)
            signatures.append(_signature(size, etag, version))
            tags.append(etag)
            versions.append(version)
            recorded.append(digest)
        return cls(store, base, product, Scan(keys, signatures, findings), tags, versions, recorded, elsewhere or {})

    @classmethod
    def of_record(
        cls,
        store: StoreSpec,
        base: str,
        product: str,
        recorded: Recorded,
        rows: Iterable[Row],
        elsewhere: Mapping[str, Key],
    ) -> Objects:
        """Return what is on record as a source, under the keys and with the metadata that its own source had.

        Parameters
        ----------
        rows
            The objects on record, by the keys that they are published under, with what else is known of them.
        elsewhere
            Whole keys of those that are not in their places any more, likewise.
        """
        own = recorded.own()
        away = {own.get(key, key): path for key, path in elsewhere.items()}
        found = cls.of(store, base, product, recorded.in_source(rows), elsewhere=away)
        return replace(found, names=recorded.names, documents=dict(recorded.originals))

    @property
    def name(self) -> str:
        """Its URL."""
        return self.store.location.child(self.base.rstrip("/")).url

    @property
    def is_local(self) -> bool:
        """It is not."""
        return False

    @property
    def specs(self) -> tuple[StoreSpec, ...]:
        """That of its bucket."""
        return (self.store,)

    def look(self) -> Scan:
        """Return what was seen: every read asks for the object that was seen, so nothing can move unnoticed."""
        return self.seen

    def is_as(self, seen: Scan) -> bool:
        """Return whether it is what was seen."""
        return (self.seen.keys, self.seen.signatures) == (seen.keys, seen.signatures)

    def reader(self, key: str, signature: Signature) -> Reader:
        """Return what reads one of its objects."""
        if (body := self.documents.get(key)) is not None:
            return KnownReader(body)
        return self._reader(key, signature.size)

    def _reader(self, key: str, size: int) -> ObjectReader:
        etag, version, digest = self._known(key)
        path = self.elsewhere.get(key) or under(self.base, self.named(key))
        return ObjectReader(self.store, path, size, etag, version, digest)

    def named(self, key: str) -> str:
        """Return the key that an object has in the bucket, below the base."""
        return self.names.get(key, key)

    def document(self, key: str, signature: Signature) -> bytes:
        """Return all of an object."""
        body = self.documents[key] = b"".join(self.reader(key, signature).blocks())
        return body

    def part(self, key: str, start: int, length: int) -> bytes:
        """Return some bytes of one of its objects."""
        if (body := self.documents.get(key)) is not None:
            return body[start : start + length]
        if key in self.elsewhere:  # what lies there may be known by its digest only
            size = self.seen.signatures[self._place_of(key)][0]
            return b"".join(self._reader(key, size).blocks())[start : start + length]
        return self._reader(key, start + length).part(start, length)

    def _known(self, key: str) -> tuple[str | None, str | None, str | None]:
        """Return ETag, version and digest of an object."""
        place = self._place_of(key)
        return self.tags[place], self.versions[place], self.recorded[place]

    def _place_of(self, key: str) -> int:
        """Return which of the objects one is.

        Raises
        ------
        KeyError
            It was not seen.
        """
        place = packed(self.seen.keys).place_of(key)
        if place is None:
            raise KeyError(key)
        return place

    def digests(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the digests of some keys that are on record, null for the others."""
        return self._of(keys, self.recorded)

    def etags(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the ETags of some keys, null for those that were not seen."""
        return self._of(keys, self.tags)

    def _of(self, keys: pa.ChunkedArray, values: Texts[str | None]) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.compute as pc

        from zsync.tables import column, taken

        known = pa.table([column(values, pa.string())], names=["known"])
        return taken(known, pc.index_in(keys, column(packed(self.seen.keys), pa.string())))["known"]
