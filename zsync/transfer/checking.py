"""Read objects, and files, to see what their bytes come to; nothing is kept of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from zsync.errors import PreconditionError, SourceError, VerifyError, ZsyncError
from zsync.inventory.digest import Wanted, hash_file
from zsync.storage import Seen, connect, connected_once
from zsync.storage.ahead import read_through
from zsync.storage.details import etag_is_opaque
from zsync.transfer.batch import Batch, Check, Failure, Hash, Outcome, Receipt

if TYPE_CHECKING:
    from zsync.inventory.origin import Hash as Hasher
    from zsync.storage import ObjectStore
    from zsync.transfer.crew import Crew

_ATTEMPTS = 2  # what comes otherwise than it should is asked for once more: it may have been mangled on its way


@connected_once()
def check_batch(batch: Batch, crew: Crew) -> Outcome:
    """Read the objects of a batch, all of them; a failure tells of each whose bytes are others than they should be."""
    store, items = connect(batch.store), cast("tuple[Check, ...]", batch.items)

    def one(item: Check) -> Receipt | Failure:
        try:
            digest = _read(store, item)
            if digest != (item.digest or digest) and not (
                item.is_md5 and batch.store.location.scheme == "s3" and etag_is_opaque(batch.store, item.target)
            ):
                raise VerifyError("other bytes than were published")
            return Receipt(item.product, item.key, item.size, digest, item.etag, item.version)
        except ZsyncError as error:
            return Failure(item.product, item.key, error)

    came = crew.each(one, items, is_last=lambda _: False)
    receipts = tuple(result for result in came if isinstance(result, Receipt))
    failures = tuple(result for result in came if isinstance(result, Failure))
    return Outcome(receipts, failures, len(items), sum(item.size for item in items))


def hash_batch(batch: Batch, _crew: Crew) -> Outcome:
    """Hash the files of a batch, one after the other; a failure tells of each that moved, or cannot be read."""
    receipts, failures = [], []
    for item in cast("tuple[Hash, ...]", batch.items):
        source = item.source
        try:
            hashed = hash_file(source.path, Wanted(source.key, source.signature, item.etag))
        except SourceError as error:
            failures.append(Failure(item.product, item.key, error))
        else:
            receipts.append(Receipt(item.product, item.key, item.size, hashed.digest, hashed.etag, None))
    return Outcome(tuple(receipts), tuple(failures), len(batch.items), sum(item.size for item in batch.items))


def _read(store: ObjectStore, item: Check) -> str:
    """Return the digest of what there is."""
    digest = ""
    for _ in range(_ATTEMPTS):
        digest = _read_once(store, item)
        if digest == (item.digest or digest):
            break
    return digest


def _read_once(store: ObjectStore, item: Check) -> str:
    total = _hash(item)
    try:
        for piece in read_through(store, Seen(item.target, item.size, item.etag, item.version)):
            total.update(piece)
    except PreconditionError as error:
        raise PreconditionError("somebody wrote it while it was being read", None, "verify again") from error
    return total.hexdigest()


def _hash(item: Check) -> Hasher:
    if item.is_md5:
        return hashlib.md5(usedforsecurity=False)
    from blake3 import blake3

    return blake3()
