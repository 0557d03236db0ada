"""What a configuration says of when something is taken up by `zsync watch`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zsync.config import seconds
from zsync.config.values import REGEX
from zsync.inventory import Selection
from zsync.layout import is_metadata
from zsync.watching import Rules
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.config import ResolvedProduct, RunConfig


def rules_of(config: RunConfig, product: ResolvedProduct) -> Rules:
    """Return when stores and files of a product are at rest."""
    selection = Selection(product.include, product.exclude)

    def selects(keys: Sequence[str]) -> list[bool]:
        # Metadata of groups goes with what is below them.
        chosen = selection.mask(keys)
        return [
            is_in or (bool(product.include) and is_metadata(Kind.ZARR, key))
            for key, is_in in zip(keys, chosen, strict=True)
        ]

    return Rules(
        settle_s=seconds(config.watch.settle),
        marker=config.watch.marker,
        has_stores=product.kind in (None, Kind.ZARR),
        selects=selects,
    )


def without_markers(config: RunConfig) -> RunConfig:
    """Return the configuration that does not publish markers: they are said to zsync, not to readers."""
    marker = config.watch.marker
    if marker is None:
        return config
    name = re.escape(marker)
    patterns = [*config.publish.exclude, f"{REGEX}(^|/){name}$", rf"{REGEX}\.{name}$"]
    return config.model_copy(update={"publish": config.publish.model_copy(update={"exclude": patterns})})
