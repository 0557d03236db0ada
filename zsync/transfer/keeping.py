"""What a write takes the place of: what stock was taken of, or what an earlier stage of the same plan left there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from zsync.inventory import Selection
from zsync.storage import Over
from zsync.words import Reason, Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from zsync.planning import Plan, Wave
    from zsync.transfer.batch import Receipt
    from zsync.transfer.destination import Destination


class Keeping:
    """Knows, while a plan is carried out, what is in the target wherever something is written or deleted (promise P7).

    Fences and withdrawals are ours: what is written after them takes the place of what they left.
    """

    def __init__(self, plan: Plan, destinations: Mapping[str, Destination]) -> None:
        self._kept = {
            name: Selection(within=destination.keeps) for name, destination in destinations.items() if destination.keeps
        }
        self._ours: set[tuple[str, str]] = set()
        # Rows of a fence, and of what comes back, do not tell what is there.
        self._seen: dict[tuple[str, str], Over | None] = {}
        if len(plan.passing):
            rows = plan.lasting.filter(pc.is_in(plan.lasting["key"], value_set=plan.passing["key"].combine_chunks()))
            for row in rows.select(["product", "key", "etag", "reason"]).to_pylist():
                self._seen[row["product"], row["key"]] = _seen(row)

    def over(self, to: Destination, row: Mapping[str, Any]) -> Over | None:
        """Return what a write of a row, or its retirement, takes the place of; None where that is not known."""
        place = (row["product"], row["key"])
        seen = self._seen[place] if place in self._seen else _seen(row)
        if seen is None or seen.seen is None or place in self._ours:
            return seen
        places = self._kept.get(row["product"])
        if places is None or not places.mask([row["key"]])[0]:
            return seen
        return Over(seen.seen, to.state.trash(to.publication, row["key"]))

    def take_note(self, wave: Wave, receipts: Iterable[Receipt], stay: Collection[tuple[str, str]] = ()) -> None:
        """Take note of what a wave left in the target; what was to go, and stays, is as it was."""
        if not (wave.stage == Stage.FENCE or wave.takes_away):
            return
        left = {(receipt.product, receipt.key): receipt.etag for receipt in receipts}
        for place in zip(wave.table["product"].to_pylist(), wave.table["key"].to_pylist(), strict=True):
            if place not in stay:
                self._seen[place] = Over(left.get(place))
                self._ours.add(place)


def _seen(row: Mapping[str, Any]) -> Over | None:
    """Return what a row of a plan says that is there; None where there is something without an ETag."""
    if row["etag"] is None and row["reason"] not in (Reason.NEW, Reason.REKEYED):
        return None
    return Over(row["etag"])
