"""Sources in which every store, and every file outside stores, is for itself: what is unfit stops no other."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import chain, compress
from types import MappingProxyType
from typing import TYPE_CHECKING

from zsync.errors import SourceChangedError, SourceError
from zsync.inventory import Scan, Selection
from zsync.inventory.digest import Signature
from zsync.layout import describe, is_metadata, local_findings, store_prefixes, store_roots, unit_of, with_families
from zsync.packed import Signatures, Texts
from zsync.words import DAMAGE, OUTSIDE_GRID, THEIRS, UNREADABLE, VANISHED, Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zsync.inventory import Origin
    from zsync.layout import Layout
    from zsync.steps.stock import Stock
    from zsync.steps.terms import Terms

_NO_STORE = "no-store"
_EFFECTIVE = os.access in os.supports_effective_ids


@dataclass(frozen=True, slots=True)
class Fit:
    """The part of a source that is fit to publish.

    Attributes
    ----------
    stock
        The stock, with what is unfit among what it is without.
    scan
        What is left of its scan.
    """

    stock: Stock
    scan: Scan
    documents: Mapping[str, bytes]
    layout: Layout


def tolerated(
    findings: Iterable[Finding], *, allows_damage: bool, besides: Mapping[str, str] = MappingProxyType({})
) -> tuple[Finding, ...]:
    """Return findings, of which those of damage are warnings where the user allows it (``damaged: allow``).

    Parameters
    ----------
    besides
        Codes of more findings that are warnings, each with what is done about it.
    """
    allowed = {**(dict.fromkeys(DAMAGE, "") if allows_damage else {}), **besides}
    return tuple(
        replace(finding, level="warning", message=finding.message.rpartition("; ")[0] + allowed[finding.code])
        if finding.level == "error" and finding.code in allowed
        else finding
        for finding in findings
    )


def leniency(origin: Origin, terms: Terms) -> dict[str, str]:
    """Return codes of findings that do not make a source unfit, besides damage, each with what is done about it."""
    if not origin.is_local:
        return dict.fromkeys(THEIRS, ": it comes as it is")
    return {OUTSIDE_GRID: ": left out"} if terms.outside_grid == "skip" else {}


def fit_part(
    stock: Stock, kind: Kind, *, allows_damage: bool = False, besides: Mapping[str, str] = MappingProxyType({})
) -> Fit:
    """Return the part of a source that is fit to publish, and what is not, with the reason.

    Stores are left out whole. What this run is without already is not looked at: its writer is at work. Parameters are
    those of `tolerated`.
    """
    roots = roots_of(stock, kind)
    gone = {unit_of(finding.key, roots) for finding in stock.scan.findings if finding.code == VANISHED}
    # A scan tells only of what the patterns select, by names that patterns may not know any more.
    others = [item for item in stock.scan.findings if item.level == "error" and item.code != VANISHED]
    at_work = Selection(within=stock.within, without=stock.without).mask([finding.key for finding in others])
    others = [finding for finding, is_mine in zip(others, at_work, strict=True) if is_mine]
    without = stock.without | with_families(gone, stock.scan.keys)
    stock = leave_out(replace(stock, without=without), roots, others)
    stock, documents = _documents(stock, kind, roots)
    while True:
        scan = _part(stock)
        keys, sizes = scan.keys, scan.sizes
        documents = {key: documents[key] for key in keys if key in documents}
        layout = describe(kind, stock.product.name, keys, documents, sizes)
        layout = replace(layout, findings=tolerated(layout.findings, allows_damage=allows_damage, besides=besides))
        findings = layout.findings if stock.origin.is_local else (*layout.findings, *local_findings("", keys))
        errors = [*_of_interest(stock, findings), *_no_store(stock, kind, findings)]
        if not errors:
            fine = tuple(finding for finding in layout.findings if finding.level != "error")
            return Fit(stock, scan, documents, replace(layout, findings=fine))
        stock = leave_out(stock, roots, errors)


def unreadable(stock: Stock, keys: Iterable[str]) -> list[Finding]:
    """Return which files of a source cannot be read, before anything is sent for it."""
    if not stock.origin.is_local:
        return []
    found = []
    for key in keys:
        path = f"{stock.origin.name}/{key}"
        if os.access(path, os.R_OK, effective_ids=_EFFECTIVE):
            continue
        try:  # not every file system answers such questions truly
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            continue  # that it is gone is noticed when it is read
        except OSError as error:
            message = f"a source file cannot be read ({error.strerror}); check its permissions, or exclude it"
            found.append(Finding("error", UNREADABLE, stock.product.name, key, message))
    return found


def roots_of(stock: Stock, kind: Kind | None = None, published: Iterable[str] = ()) -> frozenset[str]:
    """Return the stores in a source; what is no product of Zarr has none, whatever its files are called.

    A product of rasters must not hold any; where it does, they are left out as what they are.

    Parameters
    ----------
    published
        Keys of the target: what is a store there is one.
    """
    kind = kind or (None if stock.product.kind is None else Kind(stock.product.kind))
    if kind is Kind.COG:
        return store_prefixes(stock.scan.keys)
    return store_roots(chain(stock.scan.keys, published)) if kind in (None, Kind.ZARR) else frozenset()


def leave_out(stock: Stock, roots: frozenset[str], findings: Iterable[Finding]) -> Stock:
    """Return the stock without what findings are about."""
    found = tuple(findings)
    units = {unit_of(finding.key, roots) if finding.key else "" for finding in found}
    without = stock.without | with_families(units, stock.scan.keys)
    return replace(stock, without=without, left_out=(*stock.left_out, *found))


def _of_interest(stock: Stock, findings: Iterable[Finding]) -> list[Finding]:
    """Return the errors that are about what the user's patterns select."""
    # That no store is left among files of which some are left out says nothing.
    errors = [finding for finding in findings if finding.level == "error" and finding.code != _NO_STORE]
    chosen = stock.selection.mask([finding.key for finding in errors])
    return [finding for finding, is_in in zip(errors, chosen, strict=True) if is_in]


def _no_store(stock: Stock, kind: Kind, findings: Iterable[Finding]) -> list[Finding]:
    """Return that there is no store yet where there is to be one: then chunks are not to go up as mere files."""
    if any(is_metadata(kind, key) for key in stock.scan.keys):
        return []
    return [replace(finding, key="") for finding in findings if finding.code == _NO_STORE]


def _part(stock: Stock) -> Scan:
    chosen = Selection(without=stock.without).mask(stock.scan.keys)
    findings = tuple(finding for finding in stock.scan.findings if finding.level != "error")
    keys, signatures = compress(stock.scan.keys, chosen), compress(stock.scan.signatures, chosen)
    return Scan(Texts(keys), Signatures(signatures), findings)


def _documents(stock: Stock, kind: Kind, roots: frozenset[str]) -> tuple[Stock, dict[str, bytes]]:
    """Read the metadata; what cannot be read is left out, what moves as well, and that is nobody's fault."""
    documents: dict[str, bytes] = {}
    scan = _part(stock)
    for key, signature in zip(scan.keys, scan.signatures, strict=True):
        if not is_metadata(kind, key):
            continue
        before = stock
        try:
            documents[key] = b"".join(stock.origin.reader(key, Signature(*signature)).blocks())
        except SourceChangedError:
            stock = replace(stock, without=stock.without | {unit_of(key, roots)})
        except SourceError as error:
            if Selection(exclude=stock.product.exclude).leaves_out(key):
                continue
            finding = Finding("error", UNREADABLE, stock.product.name, key, str(error))
            stock = replace(stock, without=stock.without | {unit_of(key, roots)})
            stock = replace(stock, left_out=(*stock.left_out, *_of_interest(before, [finding])))
    return stock, documents
