"""What this process claims: who sends objects asks here, before each of them, whether it still may (promise P7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable

Claim = tuple[str, str]  # id of the publication, prefix of the product's state

_checks: dict[Claim, Callable[[], None]] = {}


def hold(claim: Claim, check: Callable[[], None]) -> None:
    """Take note of a claim; `check` raises once it does not hold any more."""
    _checks[claim] = check


def let_go(claim: Claim) -> None:
    """Forget a claim."""
    _checks.pop(claim, None)


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
    check = _checks.get(claim)
    if check is None:
        raise ConflictError("the lease was given back", claim[1], "publish again")
    check()
