"""Clocks for leases: one that goes on while the machine sleeps, and that of the service."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from zsync.keys import under
from zsync.storage import Headers

if TYPE_CHECKING:
    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

# Linux: it counts while the machine is suspended, as a monotonic clock does elsewhere.
_AWAKE_OR_NOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant of this machine's clocks, of which the first to reach it counts.

    A machine that sleeps is told by one clock, a virtual one that was stopped for a while often by the other only.

    Attributes
    ----------
    steady_s, wall_s
        Readings of the clock that nobody sets, and of the one that tells the time, in seconds.
    """

    steady_s: float
    wall_s: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the instant that is so many seconds away."""
        return cls(time.clock_gettime(_AWAKE_OR_NOT) + seconds, time.time() + seconds)

    def is_within(self, seconds: float) -> bool:
        """Whether it comes within so many seconds, by a clock that may be another machine's."""
        return time.time() >= self.wall_s - seconds

    @property
    def has_passed(self) -> bool:
        """Whether it has come."""
        return time.clock_gettime(_AWAKE_OR_NOT) >= self.steady_s or time.time() >= self.wall_s


def service_now_s(store: ObjectStore, keys: StateKeys) -> float | None:
    """Return the time by the clock of the service, in seconds since the epoch; None where it does not tell.

    An object is written for it beside the product, and deleted again.
    """
    key = under(keys.prefix, f"clock-{secrets.token_hex(6)}.json")
    store.put(key, b"{}", Headers(content_type="application/json"))
    try:
        return store.head(key).modified_s
    finally:
        store.delete([key])
