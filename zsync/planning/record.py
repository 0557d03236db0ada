"""The manifest that a carried-out plan comes to: built from receipts, not from intentions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zsync.tables import ANSWERS, MANIFEST, chosen, column, hexadecimal, scalar, table_of, taken, with_values
from zsync.words import Action

if TYPE_CHECKING:
    from zsync.planning.model import Plan

NO_ANSWERS = table_of([], ANSWERS)


class Recorded:
    """What the target holds of a product once a plan is carried out; rows are made when they are asked for.

    Parameters
    ----------
    plan
        The plan.
    product
        Name of the product.
    answers
        What the store answered, `zsync.tables.ANSWERS`: a row for every object that the plan sends.

    Raises
    ------
    KeyError
        An object that was to be sent has no answer.
    """

    def __init__(self, plan: Plan, product: str, answers: pa.Table) -> None:
        rows = plan.share(product)
        is_known = pc.or_(pc.is_valid(rows["digest"]), pc.is_valid(rows["gone_s"]))
        stays = pc.and_(_is(rows, Action.KEEP), is_known)  # objects of others stay unasked, and are no part of it
        goes_on_record = pc.or_(pc.or_(_is(rows, Action.UNCHANGED), stays), _is_sent(rows))
        self._rows = chosen(rows, goes_on_record)
        self._answers = answers
        self._is_sent = _is_sent(self._rows)
        self._where = pc.index_in(self._rows["key"], answers["key"])
        lacking = self._rows["key"].filter(pc.and_(self._is_sent, pc.is_null(self._where)))
        if len(lacking):
            raise KeyError(lacking[0].as_py())

    @property
    def places(self) -> pa.Table:
        """Store, array and key of each row."""
        return self._rows.select(["store", "array", "key"])

    def rows(self, places: np.ndarray | None = None) -> pa.Table:
        """Return rows as `zsync.tables.MANIFEST`, those at some places in the order of these; by default all."""
        if not len(self._rows):
            return table_of([], MANIFEST)
        if places is None:
            places = np.arange(len(self._rows))
        # A slice costs nothing, and what is taken of it need not be looked for in all that there is.
        first, count = int(places.min()), int(np.ptp(places)) + 1
        which = column(places - first, pa.int64())
        table = taken(self._rows.slice(first, count), which)
        is_sent = self._is_sent.slice(first, count).take(which)
        answers = taken(self._answers, self._where.slice(first, count).take(which))
        found = {"digest": hexadecimal(answers["digest"]), "etag": answers["etag"], "version": answers["version"]}
        for name, values in found.items():
            table = with_values(table, name, pc.if_else(is_sent, values, table[name]))
        return table.select(MANIFEST.names).cast(MANIFEST)


def manifest_of(plan: Plan, product: str, answers: pa.Table = NO_ANSWERS) -> pa.Table:
    """Return what the target holds of a product once the plan is carried out, as `zsync.tables.MANIFEST`.

    Parameters are those of `Recorded`.

    Raises
    ------
    KeyError
        An object that was to be sent has no answer.
    """
    return Recorded(plan, product, answers).rows()


def _is_sent(rows: pa.Table) -> pa.ChunkedArray:
    return pc.or_(_is(rows, Action.SEND), _is(rows, Action.COPY))


def _is(rows: pa.Table, action: Action) -> pa.ChunkedArray:
    return pc.equal(rows["action"], scalar(str(action)))
