"""Take stock of the products, both sides at once: step 3 of the protocol (see ARCHITECTURE).

Everything here is light: a publish with nothing to do ends soon after, without Arrow having been imported.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zsync.inventory import Listing, Scan, list_target, scan
from zsync.publication import Head, StateKeys, read_head
from zsync.storage import StoreSpec, connect, spec_for

if TYPE_CHECKING:
    from zsync.config import ResolvedProduct, RunConfig
    from zsync.transfer import Progress


@dataclass(frozen=True, slots=True)
class Stock:
    """One product as it was found.

    Attributes
    ----------
    scan
        Its source.
    listing
        Its target; None where the manifest is trusted instead.
    head
        Its current publication.
    """

    product: ResolvedProduct
    spec: StoreSpec
    state: StateKeys
    scan: Scan
    listing: Listing | None
    head: Head


def take_stock(config: RunConfig, products: tuple[ResolvedProduct, ...], progress: Progress) -> list[Stock]:
    """Scan the sources here while the targets are asked over the network.

    Raises
    ------
    SourceError
        A source is missing or cannot be read.
    TargetError
        A target cannot be reached, or refuses.
    """
    for product in products:
        if not os.path.isdir(product.root):
            scan(product.root, product.name)
    progress.begin("survey", len(products), 0)
    found = []
    try:
        with ThreadPoolExecutor(max_workers=max(1, 2 * len(products)), thread_name_prefix="zsync-stock") as pool:
            asked = [
                (spec_for(product.location, config.storage, config.publish.transport), StateKeys.of(product.location))
                for product in products
            ]
            listings = [
                pool.submit(_list, config, product, spec) for product, (spec, _) in zip(products, asked, strict=True)
            ]
            heads = [pool.submit(_head, spec, state) for spec, state in asked]
            for product, (spec, state), listing, head in zip(products, asked, listings, heads, strict=True):
                scanned = scan(product.root, product.name, follow_symlinks=config.publish.follow_symlinks)
                found.append(Stock(product, spec, state, scanned, listing.result(), head.result()))
                progress.advance(1, 0)
    finally:
        progress.end()
    return found


def _list(config: RunConfig, product: ResolvedProduct, spec: StoreSpec) -> Listing | None:
    if config.publish.trust == "manifest":
        return None
    return list_target(connect(spec), product.location.path)


def _head(spec: StoreSpec, state: StateKeys) -> Head:
    return read_head(connect(spec), state)
