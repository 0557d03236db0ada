"""Workers that are processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from zsync.storage.handing import Handed, take_over
from zsync.transfer.remote import do

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zsync.transfer.remote import Errand, Report


class Processes:
    """One process a core; where one is killed, all are begun anew.

    Parameters
    ----------
    handed
        Credentials that were given explicitly; they go through a pipe to a child of this process.
    """

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, handed: Handed) -> None:
        self.processes = self.at_once = os.cpu_count() or 1
        self._handed = handed
        self._pool = self._begun()

    def _begun(self) -> ProcessPoolExecutor:
        # Spawned: obstore does not survive a fork.
        how = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.processes, how, initializer=take_over, initargs=(self._handed,))

    def submit(self, errand: Errand) -> Future[Report]:
        """Hand out an errand."""
        try:
            return self._pool.submit(do, errand)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False)
            self._pool = self._begun()
            return self._pool.submit(do, errand)

    def hand_over(self) -> None:
        """Do nothing: each was given them when it began."""

    def recall(self, _run: str, errands: Iterable[Future[Report]]) -> None:
        """Cancel what was not begun."""
        for errand in errands:
            errand.cancel()

    def close(self) -> None:
        """End them."""
        self._pool.shutdown(wait=True, cancel_futures=True)
