"""What this process claims: who sends objects asks here, before each of them, whether it still may (promise P7).

A process that works for a publisher elsewhere has a grant from it: until when it may. A new one comes with each batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from zsync.errors import ConflictError, OutdatedError
from zsync.publication.process import machine

if TYPE_CHECKING:
    from zsync.publication.clock import Deadline

Claim = tuple[str, str]  # id of the publication, prefix of the product's state

_SKEW_S = 5.0  # by which the clocks of two machines may differ


class Holder(Protocol):
    """Holds a claim."""

    @property
    def until(self) -> Deadline:
        """When it runs out, if it is not renewed."""

    def check(self) -> None:
        """Raise `ConflictError` once it does not hold any more."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a publisher tells who works for it: until when they may send. A plain value, without secrets."""

    claim: Claim
    machine: str
    until: Deadline

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """Return the grant that the holder of a claim, in this process, can give now.

        Raises
        ------
        ConflictError
            It does not hold the claim any more.
        """
        refuse_unless_held(claim)
        return cls(claim, machine(), _holders[claim].until)

    def check(self) -> None:
        """Raise once it has run out; on another machine by the clock that tells the time, and some seconds before.

        Raises
        ------
        OutdatedError
            It has.
        """
        is_same = bool(self.machine) and self.machine == machine()
        if self.until.has_passed if is_same else self.until.is_within(_SKEW_S):
            raise OutdatedError("what was to be sent came too late to its worker", self.claim[1], "publish again")


_holders: dict[Claim, Holder] = {}
_grants: dict[Claim, Grant] = {}


def hold(claim: Claim, holder: Holder) -> None:
    """Take note of a claim that this process holds."""
    _holders[claim] = holder


def let_go(claim: Claim) -> None:
    """Forget a claim."""
    _holders.pop(claim, None)


def take(grant: Grant) -> None:
    """Take note of a grant, if it is newer than what was granted before."""
    known = _grants.get(grant.claim)
    if known is None or known.until.wall_s < grant.until.wall_s:
        _grants[grant.claim] = grant


def refuse_unless_held(claim: Claim | None) -> None:
    """Raise if a claim does not hold any more: somebody else may be at work.

    It costs a look at two clocks. Nothing is asked of one that is None.

    Raises
    ------
    ConflictError
        It was lost, it has run out, or was given back.
    """
    if claim is None:
        return
    holder = _holders.get(claim) or _grants.get(claim)
    if holder is None:
        raise ConflictError("the lease was given back", claim[1], "publish again")
    holder.check()
