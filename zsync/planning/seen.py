"""What readers find of single files after a plan that was carried out in part: each shows as soon as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from zsync.printable import listed
from zsync.words import Action, Reason, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zsync.planning.model import Plan

_NAMES = 3  # that a sentence names
_SAME_BYTES = (Reason.HEADERS, Reason.CLASS)


def files_seen(plan: Plan, sent: Iterable[tuple[str, str]], *, is_exchanging: bool) -> list[str]:
    """Return a sentence a product of which readers find files that are new, or do not find some, outside stores.

    Parameters
    ----------
    plan
        What was to be done.
    sent
        Product and key of what arrived.
    is_exchanging
        What is withdrawn with rasters, or some of it, was taken away.
    """
    arrived: dict[str, set[str]] = {product.name: set() for product in plan.products}
    for name, key in sent:
        arrived[name].add(key)
    said = [_product_seen(plan, name, keys, is_exchanging=is_exchanging) for name, keys in arrived.items()]
    return [sentence for sentence in said if sentence]


def _product_seen(plan: Plan, name: str, sent: set[str], *, is_exchanging: bool) -> str:
    rows = _files(plan, name)
    replaced = [row["key"] for row in rows if row["etag"] is not None and row["key"] in sent]
    new = [row["key"] for row in rows if row["etag"] is None and row["key"] in sent]
    withdrawn = {row["key"] for row in plan.shown_while(Stage.DATA, product=name)}
    away = sorted(withdrawn - sent) if is_exchanging else []
    kinds = ((replaced, "replaced"), (new, "new"))
    parts = [f"{len(keys)} {what} ({listed(keys, _NAMES)})" for keys, what in kinds if keys]
    if away:
        parts.append(f"perhaps not {listed(away, _NAMES)}, which are replaced with all that belongs to them")
    left = len(rows) - len(replaced) - len(new)
    if not parts:
        return ""
    others = f"; {left} more are still to be sent" if left else ""
    return f"of the files of {name} readers find {' and '.join(parts)}{others}"


def _files(plan: Plan, name: str) -> list[dict[str, Any]]:
    rows = plan.rows(Action.SEND, name)
    rows = rows.filter(pc.and_(pc.is_null(rows["store"]), pc.is_null(rows["array"])))
    found: list[dict[str, Any]] = rows.select(["key", "etag", "reason"]).to_pylist()
    return [row for row in found if row["reason"] not in _SAME_BYTES]
