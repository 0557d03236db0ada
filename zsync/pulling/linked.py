"""Links in the directory that a pull writes to: nothing is written or deleted through one."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from zsync.inventory.links import links_among
from zsync.inventory.selection import is_in
from zsync.layout import store_roots, unit_of
from zsync.packed import packed
from zsync.words import Finding

if TYPE_CHECKING:
    from zsync.steps.stock import Stock


def leaving_links(stock: Stock, directory: str) -> Stock:
    """Return the stock of a pull that leaves alone what lies behind links, and says so.

    What is behind a link that stays in the directory is there under another name as well. A store of which a part is
    behind one is left alone whole. Links that lead out are refused when it is known what is to be written.
    """
    if not os.path.isdir(directory):
        return stock
    there = stock.scan.keys if stock.listing is None else packed(chain(stock.scan.keys, stock.listing.keys))
    links = links_among(directory, there)
    inside = frozenset(link for link in links if _is_inside(directory, link))
    if not inside:
        return stock
    chosen = stock.selection.mask(there)
    behind = [key for key, is_chosen in zip(there, chosen, strict=True) if is_chosen and is_in(key, inside)]
    roots = store_roots(there)
    units = {unit_of(key, roots) for key in behind}
    found = [
        Finding(
            "warning", "link", stock.product.name, link,
            "this is a symbolic link here, and nothing is written or deleted through a link: what is behind it, and"
            " stores of which a part is, are left alone; replace the link by what it leads to, or exclude it",
        )
        for link in sorted(inside) if any(is_in(key, frozenset({link})) for key in behind)
    ]  # fmt: skip
    return replace(stock, without=stock.without | units, noticed=(*stock.noticed, *found))


def _is_inside(directory: str, link: str) -> bool:
    root = os.path.realpath(directory)
    return os.path.realpath(f"{directory}/{link}").startswith(f"{root}/")
