"""Storage classes: which objects of a target are not kept as they were asked to be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from zsync.storage import connect
from zsync.storage.details import keeps_classes, list_details

if TYPE_CHECKING:
    from zsync.steps.stock import Stock

log = logging.getLogger(__name__)

_tried: dict[tuple[str, str | None, str], bool] = {}  # bucket, endpoint and class: whether the service keeps it


def misplaced_keys(stock: Stock, wanted: str | None) -> frozenset[str]:
    """Return the keys of a product that are kept in another storage class than wanted.

    Parameters
    ----------
    wanted
        The class; None: any is fine, and nothing is asked.

    Returns
    -------
    frozenset of str
        Empty where a service knows no classes, which is tried out before anything is said to be wrong.
    """
    if wanted is None or not connect(stock.spec).capabilities.headers:
        return frozenset()
    path = stock.product.location.path
    base = f"{path}/" if path else ""
    wrong = frozenset(
        found.key.removeprefix(base) for found in list_details(stock.spec, base) if found.storage_class != wanted
    )
    return wrong if wrong and _is_kept(stock, wanted) else frozenset()


def _is_kept(stock: Stock, wanted: str) -> bool:
    place = (stock.spec.location.url, stock.spec.endpoint_url, wanted)
    if place not in _tried:
        _tried[place] = keeps_classes(stock.spec, f"{stock.state.prefix}/class-trial", wanted)
        if not _tried[place]:
            log.warning("the service does not keep storage class %s: %s", wanted, stock.product.location.url)
    return _tried[place]
