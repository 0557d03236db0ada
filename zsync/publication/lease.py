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
import os
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zsync.errors import (
    ConflictError,
    ObjectNotFoundError,
    PreconditionError,
    TargetError,
)
from zsync.keys import shown
from zsync.publication.clock import service_now_s
from zsync.publication.conditional import STATE_HEADERS, write_document
from zsync.publication.process import is_dead, is_this, this_process

if TYPE_CHECKING:
    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore, Stored

log = logging.getLogger(__name__)

SKEW_S = 10.0  # seconds that clocks of two machines may differ
FORMAT = 1
_DAY_S = 86_400.0
_MOST_BYTES = 2**20
_LONGEST = 100  # characters of a name, in messages

at_work: set[str] = set()  # the publications that this process is at work on
os.register_at_fork(after_in_child=at_work.clear)


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
    ttl_s
        How long it holds without being renewed, in seconds; None if it does not say.
    modified_s
        When it was written, by the clock of the service, in seconds since the epoch; None where it was not told.
    is_unfinished
        Who held it last did not come to its end: the target may hold what is not on record.
    """

    etag: str | None = None
    by: dict[str, str] = field(default_factory=dict)
    since: str = ""
    expires: str = ""
    publication: str = ""
    ttl_s: float | None = None
    modified_s: float | None = None
    is_unfinished: bool = False

    def is_held(self, now: dt.datetime) -> bool:
        """Return whether somebody holds it: not given back, not run out, and its holder not known to be gone."""
        return self.is_claimed and now < dt.datetime.fromisoformat(self.expires) + dt.timedelta(seconds=SKEW_S)

    @property
    def is_claimed(self) -> bool:
        """Whether it was not given back, and its holder is not known to be gone."""
        if not self.by or is_dead(self.by):
            return False
        # Else a publish of this very process could not give it back.
        return not is_this(self.by) or self.publication in at_work

    @property
    def holder(self) -> str:
        """Who holds it and since when, for messages."""
        user, host, pid = (shown(self.by.get(name, "?"))[:_LONGEST] for name in ("user", "host", "pid"))
        return f"{user}@{host} (process {pid}) since {shown(self.since)[:_LONGEST]}"

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
        found = store.get(keys.lease, most=_MOST_BYTES)
    except ObjectNotFoundError:
        return LeaseState()
    try:
        document = json.loads(found.data)
        is_newer = document["format"] > FORMAT
        by = {str(name): str(value) for name, value in document["by"].items()}
        since, expires, publication = (_text(document[name]) for name in ("since", "expires", "publication"))
        state = LeaseState(found.etag, by, since, expires, publication)
        if by:
            state.is_held(now())  # a TypeError if there is no time zone, an OverflowError if there is no such time
        state = replace(
            state,
            ttl_s=_seconds(document.get("ttl_s")),
            modified_s=found.modified_s,
            is_unfinished=bool(by) or bool(document.get("is_unfinished")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise TargetError("the lease cannot be read", store.url(keys.lease), "delete it if nobody publishes") from error
    if is_newer:
        raise TargetError("the lease was written by a newer zsync", store.url(keys.lease), "upgrade zsync")
    return state


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("this is no text")
    return value


def refuse_if_held(store: ObjectStore, keys: StateKeys, state: LeaseState) -> None:
    """Raise if somebody else is publishing.

    Raises
    ------
    ConflictError
        Somebody holds the lease; the message says who and since when.
    """
    if state.is_held(now()) or (state.is_claimed and not has_run_out(store, keys, state)):
        raise ConflictError(
            f"{state.holder} is publishing this product", store.url(keys.lease), "wait until that is done"
        )


def has_run_out(store: ObjectStore, keys: StateKeys, state: LeaseState) -> bool:
    """Return whether a lease has run out by the clock of the service: this machine's may be wrong, or its holder's.

    Between the two instants that count, the lease's last renewal and now, only the service's clock went.
    """
    service_s = service_now_s(store, keys)
    if service_s is None:
        return True
    if state.ttl_s is None or state.modified_s is None:
        return service_s >= dt.datetime.fromisoformat(state.expires).timestamp() + SKEW_S
    return service_s >= state.modified_s + state.ttl_s + SKEW_S


def _seconds(value: Any) -> float | None:
    """Return how long a lease holds, if it says so and it makes sense: nobody works for more than a day without it."""
    return float(value) if isinstance(value, int | float) and 0 < value <= _DAY_S else None


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
        write_lease(store, keys, document, state.etag)
    except PreconditionError as error:
        raise ConflictError("the lease changed meanwhile", store.url(keys.lease), "look again") from error


def write_lease(store: ObjectStore, keys: StateKeys, document: dict[str, Any], etag: str | None) -> Stored:
    """Write the lease on condition that it still has `etag`, or as near to that as a service without conditions comes.

    Raises
    ------
    PreconditionError
        It has not.
    """
    if store.capabilities.conditional_put:
        return write_document(store, keys.lease, document, etag)
    if etag_now(store, keys) != etag:
        raise PreconditionError("the lease is not as it was", store.url(keys.lease))
    return store.put(keys.lease, json.dumps(document, indent=1).encode(), STATE_HEADERS)


def etag_now(store: ObjectStore, keys: StateKeys) -> str | None:
    """Return the lease's ETag as it stands in the target; None if there is no lease."""
    try:
        return store.head(keys.lease).etag
    except ObjectNotFoundError:
        return None


def now() -> dt.datetime:
    """Return the time by this machine's clock, UTC."""
    return dt.datetime.now(dt.UTC)
