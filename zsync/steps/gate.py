"""What every wave goes through, on its way to the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.steps.settle import refuse_if_changed
from zsync.words import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning import Wave
    from zsync.publication import Leases
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms

_AFTER_DATA = (Stage.ARRAY, Stage.GROUP, Stage.ROOT)
_SHOWN = (Stage.FENCE, Stage.WITHDRAW, Stage.ROOT)  # what turns readers over


class Gate:
    """What every wave goes through: the leases are ours, and the source is as it was when metadata begins to go out.

    Where the services honour conditions, whoever lost a lease cannot undo what others wrote. But one that was broken by
    hand is noticed late by the clock, and what readers are shown then would be of two publishers: so the leases are
    looked at before readers are shown anything, and before the record. Elsewhere they are, before every stage.
    """

    def __init__(self, leases: Leases, items: Sequence[Surveyed], terms: Terms) -> None:
        self._leases = leases
        self._items, self._terms = items, terms
        self.is_checked = False
        self.reached: list[Stage] = []
        self.is_on_record = False
        self.is_exchanging = False

    def __call__(self, wave: Wave) -> None:
        """Raise if a wave must not begin."""
        self._leases.check()
        is_exchange = wave.takes_away and wave.stage == Stage.DATA
        if wave.stage in self.reached and not is_exchange:
            return
        if wave.stage in _SHOWN or wave.takes_away or not self._leases.are_fenced:
            self._leases.prove()
        self.refuse_if_changed(wave.stage in _AFTER_DATA)
        self.reached.append(wave.stage)
        self.is_exchanging = self.is_exchanging or is_exchange

    def refuse_if_changed(self, is_due: bool) -> None:  # noqa: FBT001 - says when
        """Look at the sources again, once."""
        if is_due and not self.is_checked:
            refuse_if_changed(self._items, self._terms)
            self.is_checked = True
