"""Whether a publish would undo a rollback without meaning to: its source is what it was before that."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import ObjectNotFoundError
from zsync.inventory import cache_directory
from zsync.planning import plan_product
from zsync.publication import Head, ManifestLostError, manifest, read_record
from zsync.steps.hashing import with_digests
from zsync.steps.survey import survey
from zsync.storage import connect
from zsync.tables import column, scalar
from zsync.words import Action, Finding, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.publication import Part
    from zsync.report.progress import Progress
    from zsync.steps.stock import Stock
    from zsync.steps.terms import Terms

log = logging.getLogger(__name__)

CODE = "undoes-rollback"
_NO_CONTENT = (str(Reason.HEADERS), str(Reason.CLASS))  # reasons to send the same bytes again


def is_rolled_back(stock: Stock) -> bool:
    """Return whether what is published is a rollback, and something else than what was published before it."""
    return stock.head.undoes is not None and stock.head.undoes != stock.head.restores


def would_undo(stock: Sequence[Stock], terms: Terms, progress: Progress, *, is_dry: bool) -> list[Finding]:
    """Return an error for each product of which a publish would undo a rollback, and nobody changed anything since.

    What is published together was made together: if the source of one product changed since the rollback, then the
    publish is meant. Where every unit is for itself, so is every product.

    Parameters
    ----------
    is_dry
        Nothing is to be written, not even what was hashed.
    """
    if terms.forces:
        return []
    rolled = [item for item in stock if is_rolled_back(item) and _differs(item, terms, progress, is_dry=is_dry)]
    same = [item for item in rolled if not _differs(_as_before(item), terms, progress, is_dry=is_dry)]
    if len(same) < len(rolled) and not terms.by_unit:
        log.info("a source changed since the publication that a rollback undid: it is published as always")
        return []
    return [_finding(item) for item in same]


def _differs(stock: Stock | None, terms: Terms, progress: Progress, *, is_dry: bool) -> bool:
    """Return whether there is anything to publish, or to retire; what is not known is not taken to differ."""
    if stock is None:
        return False
    try:
        [item] = survey([stock], terms)
    except ObjectNotFoundError:  # metadata that stayed at that time, though the source did not have it
        return False
    table = plan_product(item.name, with_digests(item, terms, progress, writes_cache=not is_dry).survey,
                         keeps=terms.retire == "keep")  # fmt: skip
    is_sent = pc.and_(
        pc.equal(table["action"], scalar(str(Action.SEND))),
        pc.invert(pc.is_in(table["reason"], column(list(_NO_CONTENT), pa.string()))),
    )
    # What was gone at that time already, and stayed for a while, is no change.
    was_gone = pc.fill_null(pc.greater(table["gone_s"], scalar(0, pa.int64())), scalar(False))
    is_retired = pc.and_not(pc.equal(table["action"], scalar(str(Action.RETIRE))), was_gone)
    return bool(pc.any(pc.or_(is_sent, is_retired)).as_py())


def _as_before(stock: Stock) -> Stock | None:
    """Return the stock as if what the rollback undid were published still; None if that is not on record any more."""
    parts = _parts(stock)
    if parts is None:
        return None
    # Without a listing the manifest tells what is there.
    return replace(stock, head=Head(stock.head.undoes, parts, stock.head.etag, stock.head.version), listing=None)


def _parts(stock: Stock) -> tuple[Part, ...] | None:
    store = connect(stock.spec)
    try:
        parts = read_record(store, stock.state, str(stock.head.undoes)).product.parts
        manifest.read(store, stock.state, parts, cache_directory() / "manifests")
    except (ObjectNotFoundError, ManifestLostError):
        return None
    return parts


def _finding(stock: Stock) -> Finding:
    head = stock.head
    message = (
        f"publishing would undo a rollback: {head.undoes} was rolled back to {head.restores}, and the source is what it"
        " was before; publish another one, or, to undo the rollback, use --force"
    )
    return Finding("error", CODE, stock.product.name, "", message)
