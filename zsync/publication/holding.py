"""Hold leases while a publisher works: take, renew in the background, look after, give back."""

from __future__ import annotations

import datetime as dt
import logging
import os
import secrets
import threading
from typing import TYPE_CHECKING, Any, Self

from zsync.errors import ConflictError, NetworkError, PreconditionError, TargetError, TransientError
from zsync.publication import claims
from zsync.publication.clock import Deadline
from zsync.publication.conditional import ignored_conditions
from zsync.publication.lease import FORMAT, LeaseState, at_work, etag_now, now, read_lease, write_lease
from zsync.publication.process import this_process
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from types import TracebackType

    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

log = logging.getLogger(__name__)

TTL_S = 60.0  # seconds that a lease holds without being renewed


class Lease:
    """One product's lease, held until `release`."""

    def __init__(self, store: ObjectStore, keys: StateKeys, publication: str, version: str, ttl_s: float) -> None:
        self.store = store
        self.keys = keys
        self.was_unfinished = False
        self.given_back: str | None = None  # its ETag, once it is
        self._claim_id = (publication, keys.prefix)
        self._ttl_s = ttl_s
        self._since = now()
        self._document: dict[str, Any] = {"format": FORMAT, "publication": publication, "by": this_process(version)}
        self._etag: str | None = None
        self._until = Deadline.after(0)
        self._lost: str | None = None
        self._process = os.getpid()
        self._busy = threading.Lock()  # held while the lease is written or looked at

    def take(self, state: LeaseState) -> None:
        """Take the lease, on condition that it still is as it was read.

        Raises
        ------
        ConflictError
            Somebody else took it since, whether or not they hold it still.
        """
        self.was_unfinished = state.is_unfinished
        if state.by:
            log.info("taking over the lease that was left behind by %s", state.holder)
        try:
            self._renew_once(state.etag)
        except PreconditionError as error:
            now = read_lease(self.store, self.keys)
            who = f"{now.holder} is publishing this product" if now.by else "somebody published this product meanwhile"
            raise ConflictError(who, self.store.url(self.keys.lease), "publish again") from error
        claims.hold(self._claim_id, self)

    @property
    def until(self) -> Deadline:
        """When it runs out, if it is not renewed."""
        return self._until

    def check(self) -> None:
        """Raise if the lease is lost, or has run out, be it while this machine slept: somebody else may be at work.

        Raises
        ------
        ConflictError
            So it is.
        """
        if os.getpid() != self._process:
            self._lost = "it belongs to the process that this one was forked from"
        if self._lost is None and self._until.has_passed:
            self._lost = "it could not be renewed in time"
        if self._lost is not None:
            raise ConflictError(f"the lease was lost ({self._lost})", self.store.url(self.keys.lease), "publish again")

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
            if self._lost is None and etag_now(self.store, self.keys) != self._etag:
                self._lost = "somebody else took it over, or broke it"
        self.check()

    def renew(self) -> None:
        """Renew the lease, unless it is lost; what goes wrong for a while is tried again the next time."""
        if self._lost is not None:
            return
        try:
            self._renew_once(self._etag)
        except PreconditionError:
            self._lost = "somebody else took it over"
        except (TransientError, NetworkError) as error:
            log.debug("the lease was not renewed, to be tried again: %s", error)
        except TargetError as error:
            self._lost = str(error)

    def release(self, *, is_unfinished: bool) -> None:
        """Give the lease back; one that was lost, or is another process's, is not ours to give.

        Parameters
        ----------
        is_unfinished
            What was to be done did not come to its end.
        """
        claims.let_go(self._claim_id)
        if os.getpid() != self._process:
            return
        if self._etag is None or self._lost is not None:
            return
        try:
            document, _ = self._claim({})
            given_back = {**document, "is_unfinished": is_unfinished}
            self.given_back = write_lease(self.store, self.keys, given_back, self._etag).etag
        except (TargetError, OSError) as error:
            log.warning("the lease could not be given back and will run out by itself: %s", error)

    def try_conditions(self) -> tuple[str, ...]:
        """See which of the conditions that all writes rest on the service ignores."""
        with self._busy:
            try:
                data = self.store.get(self.keys.lease).data
                ignored = ignored_conditions(self.store, self.keys.lease, data)
                if ignored:  # then the trial has written it again
                    self._etag = etag_now(self.store, self.keys)
            except TargetError as error:  # there will be other occasions
                log.debug("conditions were not tried: %s", error)
                return ()
        return ignored

    def _claim(self, by: dict[str, str]) -> tuple[dict[str, Any], Deadline]:
        """Return the document of a claim that begins now, and when it ends."""
        until, expires = Deadline.after(self._ttl_s), now() + dt.timedelta(seconds=self._ttl_s)
        document = {
            **self._document,
            "by": by,
            "since": self._since.isoformat(timespec="seconds"),
            "expires": expires.isoformat(timespec="seconds"),
            "ttl_s": self._ttl_s,
            "write_id": secrets.token_hex(8),
        }
        return document, until

    def _renew_once(self, etag: str | None) -> None:
        document, until = self._claim(self._document["by"])
        with self._busy:
            self._etag = write_lease(self.store, self.keys, document, etag).etag
            self._until = until


class Leases:
    """The leases of all products of a publish, taken in the order of their URLs; a context that gives them back.

    Parameters
    ----------
    products
        Store, state, and lease as it was read, of each.
    finishes
        Prefixes of the state of products of which this work finishes what a publisher before us left unfinished.
    """

    def __init__(
        self,
        products: Sequence[tuple[ObjectStore, StateKeys, LeaseState]],
        publication: str,
        version: str,
        ttl_s: float = TTL_S,
        *,
        finishes: Collection[str] = (),
    ) -> None:
        self._finishes = set(finishes)
        self._products = sorted(products, key=lambda product: product[0].url(product[1].lease))
        self._publication = publication
        self._version = version
        self._ttl_s = ttl_s
        self._held: list[Lease] = []
        self._given_back: list[Lease] = []
        self._ignored: set[str] = set()
        self._all_taken = threading.Event()
        self._done = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="zsync-lease", daemon=True)

    def __enter__(self) -> Self:
        at_work.add(self._publication)
        try:
            # The first alone: of two who want the same one gets all of them, and the other gives way at once.
            for product in self._products[:1]:
                self._take(product)
                self._renewer.start()  # it is to hold while the others are taken
            side_by_side(self._take, self._products[1:])
        except BaseException:
            self._release(is_done=False)
            raise
        self._all_taken.set()
        return self

    def _take(self, product: tuple[ObjectStore, StateKeys, LeaseState]) -> None:
        store, keys, state = product
        lease = Lease(store, keys, self._publication, self._version, self._ttl_s)
        lease.take(state)
        self._held.append(lease)

    def leave_unfinished(self, prefixes: Iterable[str]) -> None:
        """Say in the leases of some products that the target holds what is not on record."""
        left = set(prefixes)
        self._finishes -= left
        for lease in self._held:
            lease.was_unfinished = lease.was_unfinished or lease.keys.prefix in left

    def check(self) -> None:
        """Raise `ConflictError` if any lease was lost: a publisher that lost one stops before its next stage."""
        for lease in self._held:
            lease.check()

    def prove(self) -> None:
        """Look at every lease in the target, and raise `ConflictError` if any is not ours any more."""
        side_by_side(Lease.prove, list(self._held))

    @property
    def are_fenced(self) -> bool:
        """Whether all services were seen to honour conditions: then who lost a lease cannot change anything more."""
        return all(store.capabilities.habits.conditions == "honoured" for store, _, _ in self._products)

    @property
    def took_over(self) -> bool:
        """Whether a publisher before us did not come to its end."""
        return any(state.is_unfinished for _, _, state in self._products)

    @property
    def given_back(self) -> dict[str, str]:
        """The ETags of the leases as they were given back, by the prefix of the state."""
        return {lease.keys.prefix: lease.given_back for lease in self._given_back if lease.given_back is not None}

    @property
    def ignored(self) -> tuple[str, ...]:
        """The conditions that the services turned out to ignore, once the leases are given back."""
        return tuple(sorted(self._ignored))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release(is_done=error is None, failed=error is not None)

    def _release(self, *, is_done: bool, failed: bool = False) -> None:
        self._done.set()
        self._all_taken.set()
        if self._renewer.ident is not None:
            self._renewer.join()
        held, self._held = self._held, []
        self._given_back = held

        def release(lease: Lease) -> None:
            is_left = lease.was_unfinished and not (is_done and lease.keys.prefix in self._finishes)
            lease.release(is_unfinished=failed or is_left)

        # The first comes last: who takes it finds the others free.
        side_by_side(release, held[1:])
        side_by_side(release, held[:1])
        at_work.discard(self._publication)

    def _renew(self) -> None:
        self._all_taken.wait(self._ttl_s / 3)
        self._try_conditions()
        while not self._done.wait(self._ttl_s / 3):
            side_by_side(Lease.renew, list(self._held))

    def _try_conditions(self) -> None:
        """Try, on a lease of each store of which it is not known, whether the service honours conditions."""
        tried: set[int] = set()
        for lease in list(self._held):
            capabilities = lease.store.capabilities
            if capabilities.conditional_put and id(capabilities.habits) not in tried:
                tried.add(id(capabilities.habits))
                if capabilities.habits.conditions != "honoured":
                    self._ignored.update(lease.try_conditions())
