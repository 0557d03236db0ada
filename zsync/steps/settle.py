"""Sources that move: wait until a writer is done, and see that the source stayed as it was while its data went up."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from zsync.errors import SourceChangedError, SourceError
from zsync.inventory import Scan, Selection, scan
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.config import ResolvedProduct
    from zsync.steps.surveyed import Surveyed
    from zsync.steps.terms import Terms

log = logging.getLogger(__name__)

_PATIENCE = 20  # a writer that is not quiet within so many times `settle` will not be
_NS = 10**9


def wait_until_settled(products: Sequence[ResolvedProduct], terms: Terms) -> None:
    """Wait until no source has changed for as long as ``settle`` says.

    A source is quiet if its files, unfinished ones (``*.partial``) included, are all older than that; or, where clocks
    differ and files come from the future, if it looks the same for so long.

    Raises
    ------
    SourceError
        A writer does not come to rest.
    """
    settle = terms.settle_s
    if not settle:
        return
    began = last = time.monotonic()
    seen: list[Scan] = []
    while True:
        now = [_selected(product, terms) for product in _there(products)]
        if now != seen:
            seen, last = now, time.monotonic()
        newest_ns = max((item.newest_ns for item in now), default=0)
        age = time.time() - newest_ns / _NS
        if age >= settle or time.monotonic() - last >= settle:
            return
        if time.monotonic() - began > _PATIENCE * settle:
            raise SourceError(
                f"the source does not come to rest: for {_PATIENCE * settle} s it was never unchanged for {settle} s",
                os.path.commonpath([product.root for product in products]),
                "publish once its writer is done, or set another settle",
            )
        log.info("waiting for the source to settle: it changed %.0f s ago, settle is %d s", max(age, 0), settle)
        time.sleep(min(max(settle - max(age, 0), 0.05), settle))


def _selected(product: ResolvedProduct, terms: Terms) -> Scan:
    selection = Selection(product.include, product.exclude)
    found = scan(product.root, product.name, follow_symlinks=terms.follow_symlinks, selection=selection)
    return found.only(selection)


def _there(products: Sequence[ResolvedProduct]) -> list[ResolvedProduct]:
    """Return the products of which the source is there; what is missing is said elsewhere."""
    return [product for product in products if os.path.isdir(product.root)]


def refuse_if_changed(items: Sequence[Surveyed], terms: Terms) -> None:
    """Look at the sources again, before any metadata is written that describes them (promise P6).

    A writer that makes an array longer says so in its metadata first and writes the chunks after that. Only if nothing
    at all has changed do metadata and chunks belong together.

    Raises
    ------
    SourceChangedError
        A file that is published changed, went, or came.
    """
    for item in items:
        changed = _changed(item, terms)
        if changed:
            raise SourceChangedError(
                "the source changed while it was being published",
                f"{item.name}/{changed[0]}",
                "publish again once its writer is done",
            )


def left_for_the_next(items: Sequence[Surveyed], terms: Terms) -> list[Finding]:
    """Say what came or changed while files were published that nothing describes, so that it did not matter to them."""
    found: list[Finding] = []
    if terms.by_unit:  # it is looked at all the time
        return found
    for item in items:
        if not item.stock.origin.is_local:  # what does not move
            continue
        changed = _changed(item, terms)
        if changed:
            message = (
                f"{len(changed)} files came or changed while this was published: they are left for the next publish"
            )
            found.append(Finding("warning", "left-for-the-next", item.name, changed[0], message))
    return found


def _changed(item: Surveyed, terms: Terms) -> list[str]:
    """Return the keys that came, went or changed since stock was taken, of those that are published."""
    seen, origin = item.stock.scan, item.stock.origin
    if origin.is_as(seen):
        return []
    now = origin.look()
    before = dict(zip(seen.keys, seen.signatures, strict=True))
    after = dict(zip(now.keys, now.signatures, strict=True))
    differing = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    if terms.by_unit:  # a file by itself is read as it was planned, or left out
        from zsync.layout import unit_of

        differing = [key for key in differing if unit_of(key, item.layout.stores) in item.layout.stores]
    selected = item.selection.mask(differing)
    return [key for key, chosen in zip(differing, selected, strict=True) if chosen]
