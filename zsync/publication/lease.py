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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zsync.errors import (
    ConflictError,
    ObjectNotFoundError,
    PreconditionError,
    TargetError,
)
from zsync.publication.conditional import STATE_HEADERS, write_document
from zsync.publication.process import is_dead, is_this, this_process

if TYPE_CHECKING:
    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore, Stored

log = logging.getLogger(__name__)

SKEW_S = 10.0  # seconds that clocks of two machines may differ
FORMAT = 1

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
        if is_this(self.by) and self.publication not in at_work:
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
            _ = now() < dt.datetime.fromisoformat(document["expires"])  # a TypeError if it has no time zone
        state = LeaseState(found.etag, by, document["since"], document["expires"], str(document["publication"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
    if state.is_held(now()):
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
