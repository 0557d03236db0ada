"""Show and break leases: `zsync lease`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.publication import LeaseState, break_lease, read_lease
from zsync.publication.places import places_of
from zsync.report.found import Found
from zsync.version import __version__

if TYPE_CHECKING:
    from typing import Unpack

    from zsync.config.options import Options


@dataclass(frozen=True, slots=True)
class ProductLease:
    """The lease of one product.

    Attributes
    ----------
    url
        The product.
    state
        Its lease as it was read.
    was_broken
        It was held, and was taken away.
    """

    url: str
    state: LeaseState
    was_broken: bool = False

    @property
    def is_held(self) -> bool:
        """Whether somebody holds it now."""
        return not self.was_broken and self.state.is_held(dt.datetime.now(dt.UTC))

    def to_dict(self) -> dict[str, Any]:
        """Return the lease as JSON."""
        held = self.state.to_dict(dt.datetime.now(dt.UTC))
        return {"url": self.url, **held, "held": self.is_held, "broken": self.was_broken}

    def __str__(self) -> str:
        if self.was_broken:
            return f"{self.url}: broken; it was held by {self.state.holder}"
        if self.is_held:
            return f"{self.url}: held by {self.state.holder}, expires {self.state.expires}"
        return f"{self.url}: free" + (f"; left behind by {self.state.holder}" if self.state.by else "")


def leases(where: Any, *, breaks: bool = False, **overrides: Unpack[Options]) -> Found[ProductLease]:
    """Return who holds the leases of products.

    Parameters
    ----------
    where
        The URL of a product, or of a prefix that holds several; or a configuration.
    breaks
        Take the leases away from whoever holds them: a publisher at work then stops before its next stage. For
        publishers that died on another machine; the lease of one that died on this machine is taken over anyway, and
        every lease runs out a minute after its last renewal.
    **overrides
        Options of the configuration, for instance ``endpoint_url``.

    Returns
    -------
    list of ProductLease
        One a product; shows itself in a notebook.

    Raises
    ------
    ConflictError
        A lease that was to be broken changed hands meanwhile.

    Examples
    --------
    >>> import zsync
    >>> zsync.lease("s3://bucket/products/oco3")  # doctest: +SKIP
    """
    found: Found[ProductLease] = Found()
    for place in places_of(where, **overrides):
        state = read_lease(place.store, place.state)
        was_held = bool(state.by)
        if breaks and was_held:
            break_lease(place.store, place.state, state, __version__)
        found.append(ProductLease(place.url, state, was_broken=breaks and was_held))
    return found
