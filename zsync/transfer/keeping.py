"""What must not be lost though a plan takes its place: it is kept in the trash, and must be as it was planned on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.inventory import Selection
from zsync.storage import Over
from zsync.words import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.planning import Plan, Wave
    from zsync.transfer.batch import Receipt
    from zsync.transfer.destination import Destination


class Keeping:
    """Knows, while a plan is carried out, what is in the target wherever that is to be kept.

    Fences and withdrawals are ours: what is written after them takes the place of what they left.
    """

    def __init__(self, plan: Plan, destinations: Mapping[str, Destination]) -> None:
        self._places = {
            name: Selection(within=destination.keeps) for name, destination in destinations.items() if destination.keeps
        }
        self._seen: dict[tuple[str, str], str | None] = {}
        self._ours: set[tuple[str, str]] = set()
        if self._places:
            rows = zip(*(plan.table[name].to_pylist() for name in ("product", "key", "etag")), strict=True)
            self._seen = {(product, key): etag for product, key, etag in rows}

    def over(self, to: Destination, product: str, key: str) -> Over | None:
        """Return what a write, or a retirement, takes the place of; None where that is not kept."""
        places = self._places.get(product)
        if places is None or not places.mask([key])[0]:
            return None
        seen = self._seen.get((product, key))
        is_kept = seen is not None and (product, key) not in self._ours
        return Over(seen, to.state.trash(to.publication, key) if is_kept else None)

    def take_note(self, wave: Wave, receipts: list[Receipt]) -> None:
        """Take note of what a wave left in the target."""
        if not self._places or wave.stage not in (Stage.FENCE, Stage.WITHDRAW):
            return
        left = {(receipt.product, receipt.key): receipt.etag for receipt in receipts}
        for place in zip(wave.table["product"].to_pylist(), wave.table["key"].to_pylist(), strict=True):
            self._seen[place] = left.get(place)
            self._ours.add(place)
