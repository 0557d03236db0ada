"""Batches: what is sent to a worker, and what comes back. Plain values; they hold no secret and survive `pickle`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.errors import ZsyncError
    from zsync.inventory import Reader
    from zsync.inventory.origin import FileReader
    from zsync.keys import Key
    from zsync.publication.claims import Claim
    from zsync.storage import Headers, Over, Seen, StoreSpec
    from zsync.transfer.crew import Crew

Work = Callable[["Batch", "Crew"], "Outcome"]  # a function of a module: it travels by its name
Done = Callable[["Outcome"], None]

BATCH_OBJECTS = 64
_LEAST_OBJECTS = 8
BATCH_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Send:
    """One object to be sent.

    Attributes
    ----------
    product, key
        The object in the plan.
    target
        Its whole key in the bucket.
    source
        What reads it; None if `content` is what is sent.
    digest
        What the plan knows of the content; None for an object that is hashed while it is sent.
    over
        What it takes the place of; None where that is not known.
    is_alone
        Nothing else depends on it: if its file moves meanwhile, it is left out, and the others go on.
    copied
        What holds the same bytes in the same bucket, which copies it by itself, and their digest; None where it is read
        and written.
    """

    product: str
    key: str
    target: Key
    size: int
    headers: Headers
    source: Reader | None = None
    content: bytes | None = field(default=None, repr=False)
    digest: str | None = None
    over: Over | None = None
    is_alone: bool = False
    copied: tuple[Seen, str] | None = None


@dataclass(frozen=True, slots=True)
class Retire:
    """One object to be retired.

    Attributes
    ----------
    over
        What it must be, and the whole key that it is copied to first.
    """

    product: str
    key: str
    target: Key
    size: int
    over: Over


@dataclass(frozen=True, slots=True)
class Check:
    """One object to be read, of which nothing is kept but what its bytes come to.

    Attributes
    ----------
    target
        Its whole key in the bucket.
    etag, version
        What it has to be when it is read.
    digest
        What its bytes should come to; None where nobody knows.
    is_md5
        The digest is an MD5; else it is a BLAKE3.
    """

    product: str
    key: str
    target: Key
    size: int
    etag: str | None
    version: str | None = None
    digest: str | None = None
    is_md5: bool = False


@dataclass(frozen=True, slots=True)
class Hash:
    """One file to be hashed.

    Attributes
    ----------
    etag
        What its MD5 is to be compared with; None where only its BLAKE3 is wanted.
    """

    product: str
    source: FileReader
    etag: str | None = None

    @property
    def key(self) -> str:
        """The file in the product."""
        return self.source.key

    @property
    def size(self) -> int:
        """In bytes."""
        return self.source.signature.size


@dataclass(frozen=True, slots=True)
class Batch:
    """What one worker does at a time, in one bucket.

    Attributes
    ----------
    claim
        What the worker asks for, before each object, whether it still may.
    """

    store: StoreSpec
    items: tuple[Send | Retire | Check | Hash, ...]
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the store answered for one object."""

    product: str
    key: str
    size: int
    digest: str
    etag: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """One object that could not be sent or retired, and why.

    Attributes
    ----------
    is_left
        It is left out, and nothing ends with it: its file moved, and nothing depends on it.
    """

    product: str
    key: str
    error: ZsyncError
    is_left: bool = field(default=False, kw_only=True)

    @property
    def placed(self) -> ZsyncError:
        """The error, which names the object."""
        return self.error.at(f"{self.product}/{self.key}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a batch: receipts (none for retired objects), failures, how much was done, and what was left out."""

    receipts: tuple[Receipt, ...]
    failures: tuple[Failure, ...]
    objects: int
    bytes: int
    left: tuple[tuple[str, str], ...] = ()  # product and key of files that moved


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a batch lies among the objects of a product: from `start` to before `stop`."""

    product: str
    start: int
    stop: int


class Batches(Sequence[Batch]):
    """Batches that are each made when they are asked for: of a million objects only those under way are in memory.

    Parameters
    ----------
    cuts
        Where they lie.
    make
        Makes one.
    """

    def __init__(self, cuts: Sequence[Cut], make: Callable[[Cut], Batch]) -> None:
        self._cuts, self._make = cuts, make

    def __len__(self) -> int:
        return len(self._cuts)

    @overload
    def __getitem__(self, which: int) -> Batch: ...

    @overload
    def __getitem__(self, which: slice) -> Batches: ...

    def __getitem__(self, which: int | slice) -> Batch | Batches:
        if isinstance(which, slice):
            return Batches(self._cuts[which], self._make)
        return self._make(self._cuts[which])


def cut(product: str, sizes: Sequence[int], tasks: int, count: int, largest: int = BATCH_OBJECTS) -> Iterator[Cut]:
    """Cut the objects of a product into batches: so many that a process which dies has little to do again.

    Parameters
    ----------
    sizes
        Of the objects, in bytes.
    tasks
        Batches that run side by side.
    count
        Number of objects, of all products that are sent together.
    largest
        Objects of a batch at most.

    Examples
    --------
    >>> [(part.start, part.stop) for part in cut("p", [1] * 20, tasks=1, count=20)]
    [(0, 8), (8, 16), (16, 20)]
    """
    limit = min(largest, max(_LEAST_OBJECTS, count // (tasks * 4)))
    start = total = 0
    for number, size in enumerate(sizes):
        if number > start and (number - start >= limit or total + size > BATCH_BYTES):
            yield Cut(product, start, number)
            start, total = number, 0
        total += size
    if start < len(sizes):
        yield Cut(product, start, len(sizes))
