"""A reader that does not stop while products are published."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from zsync.demo.check import s3fs_options
from zsync.demo.data import POST_QF, VARIABLE
from zsync.errors import VerifyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Reader:
    """Opens the store of all sites again and again, as its users do, and compares what it finds with the source.

    The source has grown; the store has not, or has: every read must be the first months of the source, to the last
    value, however many there are.

    Attributes
    ----------
    seen
        How many reads found how many months.
    """

    def __init__(self, root: Path, target: str, storage: Mapping[str, str]) -> None:
        with xr.open_zarr(root / POST_QF, chunks=None) as store:
            self._expected: Any = store[VARIABLE].values
        self._url = f"{target}/{POST_QF}"
        self._storage_options = s3fs_options(storage)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read_until_over, name="reader", daemon=True)
        self._error: Exception | None = None
        self.seen: Counter[int] = Counter()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Counter[int]]:
        """Read once before, as often as there is time for during, and once after; raise what a read raised."""
        self._read()
        self._thread.start()
        try:
            yield self.seen
        finally:
            self._is_over.set()
            self._thread.join()
        if self._error is not None:
            raise self._error
        self._read()

    def _read_until_over(self) -> None:
        try:
            while not self._is_over.is_set():
                self._read()
        except Exception as error:  # noqa: BLE001 - whatever a user would have seen; raised again by `reading`
            self._error = error

    def _read(self) -> None:
        with xr.open_zarr(self._url, storage_options=self._storage_options, consolidated=True, chunks=None) as store:
            values = store[VARIABLE].values
        months = len(values)
        if not np.array_equal(values, self._expected[:months], equal_nan=True):
            raise VerifyError(f"a reader saw {months} months that are not the source's", self._url)
        self.seen[months] += 1
