"""What a publish that was cut off has sent already, where no ETag tells of the bytes (promise P9)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.inventory.receipts import KeptReceipts
from zsync.storage import connect
from zsync.tables import MANIFEST, RECEIPTS, scalar, table_of
from zsync.words import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning import Plan
    from zsync.publication import StateKeys
    from zsync.steps.surveyed import Surveyed
    from zsync.storage import StoreSpec
    from zsync.transfer import Receipt

log = logging.getLogger(__name__)


def arrived(spec: StoreSpec, state: StateKeys, target: pa.Table, recorded: pa.Table) -> pa.Table:
    """Return what is in a target just as an earlier run sent it, though it is not on record.

    Parameters
    ----------
    target
        What a listing shows, `zsync.tables.TARGET`; a manifest will not do, for it does not tell what is there.
    recorded
        What is on record, `zsync.tables.MANIFEST`; of what is as it says no receipt is asked.

    Returns
    -------
    pyarrow.Table
        `zsync.tables.MANIFEST`, with what a receipt tells.
    """
    kept = _kept(spec, state)
    found = None if kept is None else kept.read()
    if found is None or not len(found):
        return table_of([], MANIFEST)  # `empty_table` would import pandas
    is_news = pc.invert(_is_as(found, recorded))
    latest = {row["key"]: row for row in found.filter(pc.and_(_is_as(found, target), is_news)).to_pylist()}
    return table_of(list(latest.values()), MANIFEST)


def _is_as(found: pa.Table, other: pa.Table) -> pa.ChunkedArray:
    """Return which receipts name the ETag and the size that another table has for their key."""
    there = other.select(["etag", "size"]).take(pc.index_in(found["key"], other["key"].combine_chunks()))
    is_same = pc.and_(pc.equal(found["etag"], there["etag"]), pc.equal(found["size"], there["size"]))
    return pc.fill_null(is_same, scalar(False))


def _kept(spec: StoreSpec, state: StateKeys) -> KeptReceipts | None:
    """Return where receipts are kept; None where what stands for an ETag may stand for other bytes too."""
    if spec.location.scheme != "s3":
        return None
    return KeptReceipts(f"{spec.endpoint_url or ''} {connect(spec).url(state.prefix)}")


class Arrivals:
    """Keeps the receipts of a publish as they come, where ETags tell nothing, until they are on record."""

    def __init__(self, items: Sequence[Surveyed], plan: Plan) -> None:
        self._plan = plan
        self._kept = {item.name: kept for item in items if (kept := _kept(item.stock.spec, item.stock.state))}
        self._stores = {item.name: connect(item.stock.spec) for item in items}
        self._headers: dict[str, dict[str, str | None]] = {}

    def begin(self) -> None:
        """Forget what is kept of all that is about to be sent anew, before it is."""
        for name, kept in self._kept.items():
            try:
                found = kept.read()
                if len(found):
                    stays = self._plan.rows(Action.UNCHANGED, name)["key"]
                    kept.replace(found.filter(pc.is_in(found["key"], stays.combine_chunks())))
            except OSError as error:
                self._give_up(name, error)

    def __call__(self, receipts: Sequence[Receipt]) -> None:
        """Keep what the services answered."""
        rows: dict[str, list[dict[str, object]]] = {}
        for receipt in receipts:
            if receipt.product in self._kept and not self._stores[receipt.product].capabilities.etags_tell:
                rows.setdefault(receipt.product, []).append(
                    {"key": receipt.key, "size": receipt.size, "digest": receipt.digest, "etag": receipt.etag,
                     "version": receipt.version, "headers": self._headers_of(receipt.product).get(receipt.key)}
                )  # fmt: skip
        for name, found in rows.items():
            try:
                self._kept[name].add(table_of(found, RECEIPTS))
            except OSError as error:
                self._give_up(name, error)

    def _headers_of(self, product: str) -> dict[str, str | None]:
        if product not in self._headers:
            self._headers[product] = {}
            for action in (Action.SEND, Action.COPY):
                rows = self._plan.rows(action, product)
                self._headers[product].update(zip(*(rows[n].to_pylist() for n in ("key", "headers")), strict=True))
        return self._headers[product]

    def forget(self) -> None:
        """Forget all: it is on record."""
        for name, kept in list(self._kept.items()):
            try:
                kept.forget()
            except OSError as error:
                self._give_up(name, error)

    def _give_up(self, product: str, error: OSError) -> None:
        self._kept.pop(product, None)
        log.warning(
            "what arrives cannot be kept in mind, so that a publish that is cut off sends it again: %s (%s)",
            error.filename, error.strerror,
        )  # fmt: skip
