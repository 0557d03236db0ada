"""The lease: the claim of one publisher on a product while it works (promise P7).

The lease is one object beside the product, written only conditionally and never deleted: taking it, renewing it and
giving it back each change its ETag. Whoever read it while taking stock and then takes it on condition of that ETag
knows that nobody has published in between, so the stock still holds.

Where a service has no conditional writes, or ignores their conditions, all this is best effort: the lease is read again
before it is written, and two publishers that do so within the same moment are not kept apart. Which services those are
is tried out on the lease itself while data goes up.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from zsync.errors import (
    ConflictError,
    NetworkError,
    ObjectNotFoundError,
    PreconditionError,
    TargetError,
    TransientError,
)
from zsync.publication.conditional import STATE_HEADERS, ignored_conditions, write_document
from zsync.publication.process import is_dead, is_this, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore, Stored

log = logging.getLogger(__name__)

TTL_S = 60.0  # seconds that a lease holds without being renewed
SKEW_S = 10.0  # seconds that clocks of two machines may differ
FORMAT = 1

_at_work: set[str] = set()  # the publications that this process is at work on
_honours: set[str] = set()  # stores that were seen to honour conditions


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The lease as it was read.

    Attributes
    ----------
    etag
        Its ETag; None if there never was one.
    by
        Who holds it; empty if nobody does.
    since, expires
        ISO 8601, UTC.
    publication
        The publication that it was taken for.
    """

    etag: str | None = None
    by: dict[str, str] = field(default_factory=dict)
    since: str = ""
    expires: str = ""
    publication: str = ""

    def is_held(self, now: dt.datetime) -> bool:
        """Return whether somebody holds it: not given back, not run out, and its holder not known to be gone."""
        if not self.by or is_dead(self.by):
            return False
        if is_this(self.by) and self.publication not in _at_work:
            return False  # a publish of this very process that could not give it back
        return now < dt.datetime.fromisoformat(self.expires) + dt.timedelta(seconds=SKEW_S)

    @property
    def holder(self) -> str:
        """Who holds it and since when, for messages."""
        who = f"{self.by.get('user', '?')}@{self.by.get('host', '?')} (process {self.by.get('pid', '?')})"
        return f"{who} since {self.since}"

    def to_dict(self, now: dt.datetime) -> dict[str, Any]:
        """Return the lease as JSON, as it stands at `now`."""
        return {
            "held": self.is_held(now),
            "by": self.by,
            "since": self.since,
            "expires": self.expires,
            "publication": self.publication,
        }


def read_lease(store: ObjectStore, keys: StateKeys) -> LeaseState:
    """Return a product's lease.

    Raises
    ------
    TargetError
        It cannot be understood.
    NoBucketError
        The bucket does not exist.
    """
    try:
        found = store.get(keys.lease)
    except ObjectNotFoundError:
        return LeaseState()
    try:
        document = json.loads(found.data)
        is_newer = document["format"] > FORMAT
        by = {str(name): str(value) for name, value in document["by"].items()}
        if by:
            _ = _now() < dt.datetime.fromisoformat(document["expires"])  # a TypeError if it has no time zone
        state = LeaseState(found.etag, by, document["since"], document["expires"], str(document["publication"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TargetError("the lease cannot be read", store.url(keys.lease), "delete it if nobody publishes") from error
    if is_newer:
        raise TargetError("the lease was written by a newer zsync", store.url(keys.lease), "upgrade zsync")
    return state


def refuse_if_held(store: ObjectStore, keys: StateKeys, state: LeaseState) -> None:
    """Raise if somebody else is publishing.

    Raises
    ------
    ConflictError
        Somebody holds the lease; the message says who and since when.
    """
    if state.is_held(_now()):
        raise ConflictError(
            f"{state.holder} is publishing this product", store.url(keys.lease), "wait until that is done"
        )


def break_lease(store: ObjectStore, keys: StateKeys, state: LeaseState, version: str) -> None:
    """Take the lease away from whoever holds it; a publisher at work stops before its next stage.

    Parameters
    ----------
    state
        The lease as it was read: what is broken is this claim and no later one.
    version
        zsync's version, for the record.

    Raises
    ------
    ConflictError
        The lease changed hands, or was renewed, meanwhile.
    """
    document = {
        "format": FORMAT,
        "publication": state.publication,
        "by": {},
        "since": state.since,
        "expires": state.expires,
        "broken_by": this_process(version),
        "write_id": secrets.token_hex(8),
    }
    try:
        _write(store, keys, document, state.etag)
    except PreconditionError as error:
        raise ConflictError("the lease changed meanwhile", store.url(keys.lease), "look again") from error


def _write(store: ObjectStore, keys: StateKeys, document: dict[str, Any], etag: str | None) -> Stored:
    """Write the lease on condition that it still has `etag`, or as near to that as a service without conditions comes.

    Raises
    ------
    PreconditionError
        It has not.
    """
    if store.capabilities.conditional_put:
        return write_document(store, keys.lease, document, etag)
    if _etag_now(store, keys) != etag:
        raise PreconditionError("the lease is not as it was", store.url(keys.lease))
    return store.put(keys.lease, json.dumps(document, indent=1).encode(), STATE_HEADERS)


def _etag_now(store: ObjectStore, keys: StateKeys) -> str | None:
    try:
        return store.head(keys.lease).etag
    except ObjectNotFoundError:
        return None


class Lease:
    """One product's lease, held until `release` and renewed in the background."""

    def __init__(self, store: ObjectStore, keys: StateKeys, publication: str, version: str, ttl_s: float) -> None:
        self._store = store
        self._keys = keys
        self._ttl_s = ttl_s
        self._since = _now()
        self._document: dict[str, Any] = {"format": FORMAT, "publication": publication, "by": this_process(version)}
        self._etag: str | None = None
        self._expires = self._since
        self._lost: str | None = None
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
        if self._lost is None and _now() >= self._expires:
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
        with self._busy:
            if self._lost is None and _etag_now(self._store, self._keys) != self._etag:
                self._lost = "somebody else took it over, or broke it"
        self.check()

    def release(self) -> None:
        """Give the lease back; one that was lost is not ours to give."""
        self._done.set()
        if self._renewer.ident is not None:
            self._renewer.join()
        if self._etag is None or self._lost is not None:
            return
        try:
            _write(self._store, self._keys, self._claim({})[0], self._etag)
        except (TargetError, OSError) as error:
            log.warning("the lease could not be given back and will run out by itself: %s", error)

    def _claim(self, by: dict[str, str]) -> tuple[dict[str, Any], dt.datetime]:
        """Return the document of a claim that begins now, and when it ends."""
        expires = _now() + dt.timedelta(seconds=self._ttl_s)
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
            self._etag = _write(self._store, self._keys, document, etag).etag
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
                self._etag = _etag_now(self._store, self._keys)
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
        _at_work.add(self._publication)
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
        _at_work.discard(self._publication)

    def _backwards(self) -> Iterator[Lease]:
        while self._held:
            yield self._held.pop()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
