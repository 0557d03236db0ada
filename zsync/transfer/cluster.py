"""Workers that are dask's: of a cluster that the user has, or of one that is begun for this run."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from zsync.errors import ConfigError, CredentialsError
from zsync.publication.process import machine
from zsync.storage.handing import Handed, forget, take_over
from zsync.transfer.remote import do, recall
from zsync.version import __version__, install

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zsync.transfer.remote import Errand, Report

log = logging.getLogger(__name__)

ACTIVE = "distributed"  # the client that is active in this process, or a cluster of this machine's cores
_ENCRYPTED = ("tls://", "wss://", "inproc://")
_CONNECT_S = 10


def about() -> tuple[str, str]:
    """Return, from a worker, which machine it runs on and which version it has."""
    return machine(), __version__


class Cluster:
    """The workers of a `distributed.Client`.

    Parameters
    ----------
    client
        The client.
    handed
        Credentials that were given explicitly. They go from memory to memory, never in a task, and to other machines
        only where the way is encrypted.
    """

    def __init__(self, client: Any, handed: Handed) -> None:
        from distributed import KilledWorker

        self.deaths: tuple[type[BaseException], ...] = (KilledWorker, CancelledError)
        self._client, self._handed = client, handed
        self._ends = ExitStack()
        self._executor = client.get_executor(pure=False)

    @classmethod
    def at(cls, scheduler: str, client: Any, handed: Handed) -> Self:
        """Return the workers that a user means.

        Parameters
        ----------
        scheduler
            `ACTIVE`, or the address of a scheduler.
        client
            A client of the user's; None for one of our own.

        Raises
        ------
        ConfigError
            dask's `distributed` is not installed, nobody answers, or workers have another zsync.
        CredentialsError
            Credentials given explicitly would have to travel in the clear.
        """
        try:
            import distributed
        except ImportError as error:
            message = "dask's `distributed` is not installed"
            raise ConfigError(message, f"scheduler: {scheduler}", f"{install('hpc')}, or scheduler: threads") from error
        if client is not None and (not isinstance(client, distributed.Client) or client.asynchronous):
            raise ConfigError("this is no synchronous distributed.Client", "client", "give one, or leave it out")
        ends = ExitStack()
        try:
            if client is None:
                client = _client(distributed, scheduler, ends)
            found = cls(client, handed)
            found._ends = ends
            found._begin()
        except BaseException:
            ends.close()
            raise
        return found

    def _begin(self) -> None:
        if not self._client.nthreads():
            log.info("waiting for workers of %s", self._client.dashboard_link or "the cluster")
            self._client.wait_for_workers(1)
        self.hand_over()

    @property
    def processes(self) -> int:
        """How many workers there are now."""
        return len(self._client.nthreads())

    @property
    def at_once(self) -> int:
        """Tasks that all workers together do at a time."""
        return sum(self._client.nthreads().values())

    def submit(self, errand: Errand) -> Future[Report]:
        """Hand out an errand."""
        future: Future[Report] = self._executor.submit(do, errand)
        return future

    def hand_over(self) -> None:
        """Look at all workers there are, and give them credentials that were given explicitly.

        One that was begun anew may have the address of the one that died.
        """
        for address, told in self._client.run(about, on_error="return").items():
            if not isinstance(told, OSError):  # of one that went in this moment
                self._check(address, told)
        if self._handed.names:
            self._client.run(take_over, self._handed, on_error="ignore")

    def _check(self, address: str, told: Any) -> None:
        if not isinstance(told, tuple) or told[1] != __version__:
            said = f"has zsync {told[1]}" if isinstance(told, tuple) else f"cannot use zsync ({type(told).__name__})"
            raise ConfigError(f"a worker {said}", address, f"install zsync {__version__} on the workers")
        is_here = told[0] and told[0] == machine()
        if self._handed.names and not is_here and not address.startswith(_ENCRYPTED):
            raise CredentialsError(
                "credentials given explicitly would travel unencrypted to a worker on another machine", address,
                "use a profile or environment variables on the workers, or a cluster with TLS",
            )  # fmt: skip

    def recall(self, run: str, _errands: Iterable[Future[Report]]) -> None:
        """Let what was handed out of a run end as early as it can.

        None is cancelled: dask would call one so that is under way, and goes on.
        """
        self._client.run(recall, run, on_error="ignore")

    def close(self) -> None:
        """Let the workers forget what they were given, and end what was begun for this run."""
        try:
            if self._handed.names:
                self._client.run(forget, self._handed, on_error="ignore")
        finally:
            self._ends.close()


def _client(distributed: Any, scheduler: str, ends: ExitStack) -> Any:
    if scheduler != ACTIVE:
        try:
            return ends.enter_context(distributed.Client(scheduler, timeout=_CONNECT_S, set_as_default=False))
        except (OSError, ValueError) as error:
            raise ConfigError("no dask scheduler answers there", scheduler, "see whether it runs") from error
    try:
        client = distributed.default_client()
    except ValueError:
        log.info("a dask cluster of this machine's cores is begun for this run")
        try:
            cluster = ends.enter_context(distributed.LocalCluster(dashboard_address="127.0.0.1:0"))
        except RuntimeError as error:
            advice = (
                'in a script, write the call below `if __name__ == "__main__":`, for each worker runs the script too'
            )
            raise ConfigError("dask's workers cannot be started here", "scheduler: distributed", advice) from error
        return ends.enter_context(distributed.Client(cluster, set_as_default=False))
    log.info("dask's active client sends: %s", client.scheduler.address)
    return client
