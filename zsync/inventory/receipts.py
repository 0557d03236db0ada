"""Receipts of a publish that is under way, kept on this machine until it is on record.

Where ETags are MD5s, they tell a second run what the first one sent. Elsewhere (a bucket that encrypts with a key of
KMS) an ETag says nothing of the bytes; only who sent them knows which ETag the service answered. So the answers are
kept as they come, each batch in a block of its own that carries a checksum: whatever ends the process, what is read
later is whole receipts.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from zsync.inventory.cache import cached_at
from zsync.inventory.sealed import keep_sealed, sealed, unsealed

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


class KeptReceipts:
    """The receipts of one target, in one file (`zsync.inventory.sealed`).

    A receipt says that a key had an ETag when it held some bytes. That goes on being so whatever happens to the object;
    whether it still has that ETag, a listing tells. So the worst that comes of a file that is lost, torn or old is that
    objects are sent again.

    Parameters
    ----------
    place
        What names the target.
    """

    def __init__(self, place: str) -> None:
        self._path = cached_at("receipts", place, ".arrow")

    def read(self) -> pa.Table:
        """Return what is kept, in the order in which it came: `zsync.tables.RECEIPTS`."""
        from zsync.tables import RECEIPTS, table_of

        try:
            data = self._path.read_bytes()
        except OSError:
            return table_of([], RECEIPTS)
        return unsealed(data, RECEIPTS)[0]

    def replace(self, table: pa.Table) -> None:
        """Keep these and no others.

        Raises
        ------
        OSError
            They cannot be kept; others may be still.
        """
        if len(table):
            keep_sealed(self._path, [table])
        else:
            self.forget()

    def add(self, table: pa.Table) -> None:
        """Keep these as well.

        Raises
        ------
        OSError
            They cannot be kept.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # In one write at the end of the file: what others add at the same time does not come in between.
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, b"".join(sealed(table)))
        finally:
            os.close(handle)

    def forget(self) -> None:
        """Keep none: what they tell of is on record.

        Raises
        ------
        OSError
            They are there still.
        """
        self._path.unlink(missing_ok=True)
