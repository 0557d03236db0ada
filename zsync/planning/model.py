"""A plan is a value: frozen, ordered, printable, serialisable, and runnable elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsync.planning.classify import ArrayChange, ChangeClass
from zsync.planning.cost import Cost, cost_of
from zsync.planning.show import plan_folded, plan_shown, plan_text
from zsync.report.format import human_bytes
from zsync.report.showing import Showing
from zsync.report.text import findings_text
from zsync.tables import chosen, column, groups, numbers, scalar
from zsync.words import STAGES, Action, Finding, Reason, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from zsync.planning.diff import Grace
    from zsync.planning.losses import Loss
    from zsync.report.shown import Part


_IN_GRACE = (Reason.GRACE,)
_LEFT = (Reason.FLIPPED, Reason.GONE, Reason.VANISHED)  # by a flip
_ACTS = (Action.SEND, Action.COPY, Action.RETIRE)
_CHUNKS = 64  # of a table that may be sliced as it is


@dataclass(frozen=True, slots=True)
class PlannedProduct:
    """What the plan knows of a product beside its objects.

    Attributes
    ----------
    retire
        What happens to retired objects: ``keep``, ``trash`` or ``delete``.
    parent
        The publication that this plan builds on; None if there is none.
    keeps_replaced
        What is replaced goes to the trash as well.
    """

    name: str
    url: str
    root: str
    kind: str
    retire: str
    parent: str | None
    keeps_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Wave:
    """Objects of one stage and rank: they may go side by side, and all of them before the next wave."""

    stage: Stage
    rank: int
    table: pa.Table

    @property
    def takes_away(self) -> bool:
        """Whether its objects are taken away; no wave does both."""
        return bool(len(self.table)) and self.table["action"][0].as_py() == Action.RETIRE


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Showing):
    """What must change, and why.

    Attributes
    ----------
    table
        `zsync.tables.PLAN`: every key of every product exactly once, with what becomes of it; and besides what only
        passes: what readers are shown while arrays shrink (the fence), and what they do not find while arrays, or
        rasters with their masks, are replaced. Stage and key tell one row from another.
    products
        The products, in the order of their URLs.
    findings
        What was noticed on the way.
    changes
        What happens to each array.
    losses
        What readers lose.
    """

    table: pa.Table
    products: tuple[PlannedProduct, ...]
    findings: tuple[Finding, ...] = ()
    changes: tuple[ArrayChange, ...] = ()
    losses: tuple[Loss, ...] = ()
    _shares: dict[str, pa.Table] = field(default_factory=dict, init=False, repr=False, compare=False)
    _halves: list[pa.Table] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def lasting(self) -> pa.Table:
        """The part of the table that says what becomes of each key."""
        return self._cut_in_two()[0]

    @property
    def passing(self) -> pa.Table:
        """The part of the table about what only passes; its keys have rows in `lasting` as well."""
        return self._cut_in_two()[1]

    def _cut_in_two(self) -> list[pa.Table]:
        if not self._halves:
            passes = _passes(self.table)
            is_plain = not pc.any(passes).as_py()
            self._halves.append(self.table if is_plain else self.table.filter(pc.invert(passes)))
            self._halves.append(self.table.slice(0, 0) if is_plain else self.table.filter(passes))
        return self._halves

    def shown_while(self, *stages: Stage, product: str | None = None) -> list[dict[str, Any]]:
        """Return what only passes in some stages, row by row: of the fence, or of what is withdrawn."""
        rows = self.passing
        rows = rows.filter(pc.is_in(rows["stage"], column([str(stage) for stage in stages], pa.string())))
        if product is not None:
            rows = rows.filter(pc.equal(rows["product"], scalar(product)))
        found: list[dict[str, Any]] = rows.to_pylist()
        return found

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send, to copy, or to retire."""
        return not any(self.count(action) for action in (Action.SEND, Action.COPY, Action.RETIRE))

    def count(self, action: Action, product: str | None = None) -> int:
        """Return the number of objects with an action, of one product or of all."""
        table = self.lasting if product is None else self.share(product)
        return int(pc.sum(pc.equal(table["action"], scalar(str(action)))).as_py() or 0)

    def bytes(self, action: Action, product: str | None = None) -> int:
        """Return the size of the objects with an action, in bytes."""
        table = (self.lasting if product is None else self.share(product)).select(["action", "size"])
        sizes = table.filter(pc.equal(table["action"], scalar(str(action))))["size"]
        return int(pc.sum(sizes).as_py() or 0)

    def replaced(self, product: str) -> int:
        """Return the number of objects of a product that take the place of others."""
        sent = self.rows(Action.SEND, product)
        return len(sent) - int(sent["etag"].null_count)

    def rows(self, action: Action, product: str | None = None) -> pa.Table:
        """Return the part of the table with an action, of one product or of all."""
        table = self.lasting if product is None else self.share(product)
        return chosen(table, pc.equal(table["action"], scalar(str(action))))

    def share(self, product: str) -> pa.Table:
        """Return the part of the table about one product; it is cut once, for there may be thousands of them."""
        if not self._shares:
            self._shares.update(_cut(self.lasting))
        return self._shares.get(product, self.lasting.slice(0, 0))

    def waves(self) -> Iterator[Wave]:
        """Yield what is to be done, in order: stage after stage across all products (P4), rank after rank in each."""
        todo = chosen(self.table, pc.is_in(self.table["action"], column([*map(str, _ACTS)], pa.string())))
        for stage in STAGES:
            rows = chosen(todo, pc.equal(todo["stage"], scalar(str(stage))))
            for rank in sorted(pc.unique(rows["rank"]).to_pylist()):
                yield Wave(stage, rank, chosen(rows, pc.equal(rows["rank"], scalar(rank, pa.int32()))))

    def summary(self) -> list[dict[str, Any]]:
        """Return one row a product, store, array, action and reason, with number and size of the objects."""
        names = ["product", "store", "array", "action", "reason"]
        found, group = groups(self.lasting, names)
        counts = np.bincount(group, minlength=len(found))
        sizes = np.bincount(group, weights=numbers(self.lasting["size"]), minlength=len(found))
        rows = [
            {**row, "objects": int(count), "bytes": int(size)}
            for row, count, size in zip(found, counts, sizes, strict=True)
        ]
        return sorted(rows, key=lambda row: tuple(row[name] or "" for name in names))

    def cost(self) -> Cost:
        """Return what carrying it out takes in requests, and at S3's list price."""
        retire = {product.name: product.retire for product in self.products}
        return cost_of(self.table, retire, [product.name for product in self.products if product.keeps_replaced])

    def vanished(self) -> int:
        """Return the number of published chunks inside their grid that the source no longer has."""
        return int(pc.sum(pc.equal(self.table["reason"], scalar(str(Reason.VANISHED)))).as_py() or 0)

    def waits_until(self, grace: Grace) -> float:
        """Return when the plan will be another one merely because time goes by, in seconds since the epoch.

        Parameters
        ----------
        grace
            How long objects stay that the source lost; those that stay are in theirs.
        """
        waiting = self.table.filter(pc.equal(self.table["action"], scalar(str(Action.KEEP))))
        found = math.inf
        for reasons, seconds in ((_IN_GRACE, grace.seconds), (_LEFT, grace.flipped_s)):
            rows = waiting.filter(pc.is_in(waiting["reason"], column([*map(str, reasons)], pa.string())))
            if (first := pc.min(rows["gone_s"]).as_py()) is not None:
                found = min(found, first + seconds)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON: totals, and one row a product, array, action and reason."""
        cost = self.cost()
        return {
            "products": [
                {
                    "name": product.name,
                    "url": product.url,
                    "kind": product.kind,
                    "parent": product.parent,
                    "retire": product.retire,
                    **{str(action): self.count(action, product.name) for action in Action},
                    "bytes": self.bytes(Action.SEND, product.name),
                }
                for product in self.products
            ],
            "arrays": [change.to_dict() for change in self.changes if change.kind != ChangeClass.UNCHANGED],
            "changes": self.summary(),
            "fence": len(self.shown_while(Stage.FENCE)),
            "withdrawn": len(self.shown_while(Stage.WITHDRAW, Stage.DATA)),
            "losses": [loss.to_dict() for loss in self.losses],
            "cost": cost.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def write_parquet(self, path: str) -> None:
        """Write the table as Parquet."""
        import pyarrow.parquet as pq

        pq.write_table(self.table, path, compression="zstd")

    def text(self) -> str:
        """Return it as the command prints it."""
        return "\n".join(filter(None, (findings_text(self.findings), plan_text(self))))

    def brief(self) -> str:
        """Return it in a word or two."""
        send, retire = self.count(Action.SEND), self.count(Action.RETIRE)
        copy = f"{count:,} to copy, " if (count := self.count(Action.COPY)) else ""
        return f"{send:,} to send ({human_bytes(self.bytes(Action.SEND))}), {copy}{retire:,} to retire"

    def shown(self) -> list[Part]:
        """Return what is to be seen of it: totals, what readers lose, what was noticed; the rest for who opens it."""
        return plan_shown(self)

    def folded(self) -> list[Part]:
        """Return what it holds by array, for who opens it."""
        return plan_folded(self)


def _passes(table: pa.Table) -> pa.Array:
    """Return which rows are about what only passes; what comes back has the reason of what goes, and is sent."""
    withdrawn = pc.and_(
        pc.equal(table["reason"], scalar(str(Reason.WITHDRAWN))), pc.equal(table["action"], scalar(str(Action.RETIRE)))
    )
    return pc.or_(pc.equal(table["stage"], scalar(str(Stage.FENCE))), withdrawn)


def _cut(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the names of the products of a plan, each with its rows."""
    names = pc.unique(table["product"])
    codes = numbers(pc.index_in(table["product"], names))
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes, kind="stable")
        table, codes = table.take(column(order.tolist(), pa.int64())), codes[order]
    if table["key"].num_chunks > _CHUNKS:  # to slice a table of many chunks takes as long as there are chunks
        table = table.combine_chunks()
    ends = np.searchsorted(codes, np.arange(len(names)), side="right").tolist()
    for name, start, end in zip(names.to_pylist(), [0, *ends], ends, strict=False):
        yield name, table.slice(start, end - start)
