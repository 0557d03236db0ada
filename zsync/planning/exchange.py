"""Rasters that are replaced, with their overviews, masks and georeference: as one, as far as a bucket can.

Objects are replaced one by one, and whoever opens a raster takes up what lies beside it at that moment. A mask of one
over pixels of another gives wrong values, and so does no mask where there is one. So where a mask, or georeference,
is replaced or goes away with its raster, the raster is withdrawn for so long, and readers find none rather than a
wrong one. Overviews and statistics (PAM) are spare: a reader does without. They go before their raster is replaced and
come after it. All this is one burst at the end of the stage ``data``.

Sidecars that the source has lost go with the raster that they were of, whatever ``retire``, ``grace`` or the patterns
say: over the new raster they are not what was to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from zsync.layout import is_spare, owners
from zsync.planning.diff import REPLACED_RANK, SIDECAR_RANK
from zsync.planning.withdraw import Withdrawal, edited
from zsync.tables import scalar
from zsync.words import Action, Reason, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

_SAME_BYTES = (Reason.HEADERS, Reason.CLASS)
WITHDRAW_RANK, REMOVE_RANK, SPARE_RANK = 4, 5, 15  # around those of `zsync.planning.diff`


@dataclass(slots=True)
class _Family:
    raster: dict[str, Any]
    gone: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_hidden(self) -> bool:
        """Whether the raster has to be withdrawn while the others are exchanged."""
        is_there = self.raster["etag"] is not None
        is_late = self.raster["stage"] == Stage.ROOT  # what goes after it would have to be an index as well
        return is_there and (is_late or not all(is_spare(row["key"]) for row in (*self.gone, *self.sent)))


def exchange(table: pa.Table, *, withdraws: bool = True) -> tuple[pa.Table, list[Withdrawal]]:
    """Return the plan of a product in which no sidecar is ever seen over a raster that it is not of.

    Parameters
    ----------
    table
        `zsync.tables.PLAN` of one product.
    withdraws
        Something may be taken away for that; else sidecars go before their rasters, and that is all.

    Returns
    -------
    table
        The plan.
    withdrawals
        Rasters and spare sidecars that are withdrawn for a while.
    """
    edits: dict[int, Mapping[str, Any]] = {}
    withdrawals: list[Withdrawal] = []
    for family in _families(table):
        hidden, is_there = family.is_hidden or not withdraws, family.raster["etag"] is not None
        if family.raster["stage"] == Stage.DATA:
            edits[family.raster["number"]] = {"rank": REPLACED_RANK}
        for row in family.gone if withdraws else ():
            edits[row["number"]] = {
                "stage": Stage.DATA, "rank": REMOVE_RANK, "action": Action.RETIRE, "reason": Reason.STALE_SIDECAR,
            }  # fmt: skip
        for row in family.sent:
            comes_after = is_there and not hidden
            edits[row["number"]] = {"rank": SPARE_RANK if comes_after else SIDECAR_RANK}
            if comes_after and row["etag"] is not None:
                withdrawals.append(_withdrawal(row))
        if family.is_hidden and withdraws:
            withdrawals.append(_withdrawal(family.raster))
    return edited(table, edits), sorted(withdrawals, key=lambda item: item.key)


def _withdrawal(row: Mapping[str, Any]) -> Withdrawal:
    return Withdrawal(row["product"], row["store"], row["key"], WITHDRAW_RANK, Stage.DATA)


def _families(table: pa.Table) -> list[_Family]:
    """Return the families of which the raster is sent, and with it goes, or is gone, what belongs to it."""
    if not pc.any(pc.equal(table["role"], scalar(str(Role.SIDECAR)))).as_py():
        return []
    where = pc.indices_nonzero(pc.not_equal(table["role"], scalar(str(Role.CHUNK))))
    files = table.take(where).append_column("number", where)
    names = ("number", "product", "store", "key", "stage", "action", "reason", "etag")
    rows = {row["key"]: row for row in files.select(list(names)).to_pylist()}
    families: dict[str, _Family] = {}
    for key, owner in owners(rows).items():
        row, raster = rows[key], rows[owner]
        if not _is_sent(raster):
            continue
        family = families.setdefault(owner, _Family(raster))
        if _is_sent(row):
            family.sent.append(row)
        elif row["action"] in (Action.RETIRE, Action.KEEP):
            family.gone.append(row)
    return [family for family in families.values() if family.gone or family.sent]


def _is_sent(row: Mapping[str, Any]) -> bool:
    """Whether a row brings other bytes than the target has."""
    return row["action"] == Action.SEND and row["reason"] not in _SAME_BYTES
