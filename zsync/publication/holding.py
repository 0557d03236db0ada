"""Hold leases while a publisher works: take, renew in the background, look after, give back."""

from __future__ import annotations

import datetime as dt
import logging
import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from zsync.errors import ConflictError, NetworkError, PreconditionError, TargetError, TransientError
from zsync.publication.conditional import ignored_conditions
from zsync.publication.lease import FORMAT, LeaseState, at_work, etag_now, now, read_lease, write_lease
from zsync.publication.process import this_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

log = logging.getLogger(__name__)

TTL_S = 60.0  # seconds that a lease holds without being renewed

_honours: set[str] = set()  # stores that were seen to honour conditions


class Lease:
    """One product's lease, held until `release` and renewed in the background."""

    def __init__(self, store: ObjectStore, keys: StateKeys, publication: str, version: str, ttl_s: float) -> None:
        self._store = store
        self._keys = keys
        self._ttl_s = ttl_s
        self._since = now()
        self._document: dict[str, Any] = {"format": FORMAT, "publication": publication, "by": this_process(version)}
        self._etag: str | None = None
        self._expires = self._since
        self._lost: str | None = None
        self._process = os.getpid()
        self._busy = threading.Lock()  # held while the lease is written or looked at
        self.ignored: tuple[str, ...] = ()  # conditions that the service turned out to ignore
        self._done = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="zsync-lease", daemon=True)

    def take(self, state: LeaseState) -> None:
        """Take the lease, on condition that it still is as it was read.

        Raises
        ------
        ConflictError
            Somebody else took it since, whether or not they hold it still.
        """
        if state.by:
            log.info("taking over the lease that %s left behind", state.holder)
        try:
            self._renew_once(state.etag)
        except PreconditionError as error:
            now = read_lease(self._store, self._keys)
            who = f"{now.holder} is publishing this product" if now.by else "somebody published this product meanwhile"
            raise ConflictError(who, self._store.url(self._keys.lease), "publish again") from error
        self._renewer.start()

    def check(self) -> None:
        """Raise if the lease is lost, or has run out: then somebody else may be at work.

        Raises
        ------
        ConflictError
            So it is.
        """
        if os.getpid() != self._process:
            self._lost = "it belongs to the process that this one was forked from"
        if self._lost is None and now() >= self._expires:
            self._lost = "it could not be renewed in time"
        if self._lost is not None:
            raise ConflictError(
                f"the lease was lost ({self._lost})", self._store.url(self._keys.lease), "publish again"
            )

    def prove(self) -> None:
        """Look at the lease, and raise if it is not ours any more.

        Raises
        ------
        ConflictError
            It was lost, taken over, or broken.
        """
        if os.getpid() != self._process:  # whoever held the lock does not run here
            self.check()
        with self._busy:
            if self._lost is None and etag_now(self._store, self._keys) != self._etag:
                self._lost = "somebody else took it over, or broke it"
        self.check()

    def release(self) -> None:
        """Give the lease back; one that was lost, or is another process's, is not ours to give."""
        if os.getpid() != self._process:
            return
        self._done.set()
        if self._renewer.ident is not None:
            self._renewer.join()
        if self._etag is None or self._lost is not None:
            return
        try:
            write_lease(self._store, self._keys, self._claim({})[0], self._etag)
        except (TargetError, OSError) as error:
            log.warning("the lease could not be given back and will run out by itself: %s", error)

    def _claim(self, by: dict[str, str]) -> tuple[dict[str, Any], dt.datetime]:
        """Return the document of a claim that begins now, and when it ends."""
        expires = now() + dt.timedelta(seconds=self._ttl_s)
        document = {
            **self._document,
            "by": by,
            "since": self._since.isoformat(timespec="seconds"),
            "expires": expires.isoformat(timespec="seconds"),
            "write_id": secrets.token_hex(8),
        }
        return document, expires

    def _renew_once(self, etag: str | None) -> None:
        document, expires = self._claim(self._document["by"])
        with self._busy:
            self._etag = write_lease(self._store, self._keys, document, etag).etag
            self._expires = expires

    def _try_conditions(self) -> None:
        """See whether the service honours the conditions that leases and heads rest on."""
        place = self._store.url("")
        if not self._store.capabilities.conditional_put or place in _honours:
            return
        with self._busy:
            try:
                data = self._store.get(self._keys.lease).data
                self.ignored = ignored_conditions(self._store, self._keys.lease, data)
            except TargetError as error:  # there will be other occasions
                log.debug("conditions were not tried: %s", error)
                return
            if self.ignored:  # then the trial has written it again
                self._etag = etag_now(self._store, self._keys)
            else:
                _honours.add(place)

    def _renew(self) -> None:
        self._try_conditions()
        while not self._done.wait(self._ttl_s / 3):
            try:
                self._renew_once(self._etag)
            except PreconditionError:
                self._lost = "somebody else took it over"
                return
            except (TransientError, NetworkError) as error:
                log.debug("the lease was not renewed, to be tried again: %s", error)
            except TargetError as error:
                self._lost = str(error)
                return


class Leases:
    """The leases of all products of a publish, taken in the order of their URLs; a context that gives them back."""

    def __init__(
        self,
        products: Sequence[tuple[ObjectStore, StateKeys, LeaseState]],
        publication: str,
        version: str,
        ttl_s: float = TTL_S,
    ) -> None:
        self._products = sorted(products, key=lambda product: product[0].url(product[1].lease))
        self._publication = publication
        self._version = version
        self._ttl_s = ttl_s
        self._held: list[Lease] = []
        self._ignored: set[str] = set()

    def __enter__(self) -> Self:
        at_work.add(self._publication)
        try:
            for store, keys, state in self._products:
                lease = Lease(store, keys, self._publication, self._version, self._ttl_s)
                lease.take(state)
                self._held.append(lease)
        except BaseException:
            self._release()
            raise
        return self

    def check(self) -> None:
        """Raise `ConflictError` if any lease was lost: a publisher that lost one stops before its next stage."""
        for lease in self._held:
            lease.check()

    def prove(self) -> None:
        """Look at every lease in the target, and raise `ConflictError` if any is not ours any more."""
        with ThreadPoolExecutor(max_workers=max(1, len(self._held)), thread_name_prefix="zsync-lease") as pool:
            list(pool.map(Lease.prove, self._held))

    @property
    def took_over(self) -> bool:
        """Whether a publisher before us did not come to its end."""
        return any(state.by for _, _, state in self._products)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The conditions that the services turned out to ignore, once the leases are given back."""
        return tuple(sorted(self._ignored))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        for lease in self._backwards():
            lease.release()
            self._ignored.update(lease.ignored)
        at_work.discard(self._publication)

    def _backwards(self) -> Iterator[Lease]:
        while self._held:
            yield self._held.pop()
