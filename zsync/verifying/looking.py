"""Verify products: from their listings, then as deep as was asked for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from zsync.tasks import side_by_side
from zsync.verifying import asking
from zsync.verifying.difference import Wrong, advised, in_order
from zsync.verifying.headers import check_headers, tells_headers
from zsync.verifying.looked import Looked
from zsync.verifying.sampling import Sample
from zsync.verifying.verification import VerifiedProduct
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from zsync.report.progress import Progress
    from zsync.verifying.asking import Found, Target
    from zsync.verifying.looked import Depth
    from zsync.words import Kind

_HEADERS = 128  # objects of which the headers are asked for
_ATTEMPTS = 4


def verify_products(
    targets: Sequence[Target], depth: Depth, progress: Progress, only: Sequence[Collection[str] | None]
) -> tuple[list[VerifiedProduct], list[Finding]]:
    """Verify products: all of them asked for at once, then read one after the other.

    Parameters
    ----------
    only
        For each product: of no other objects headers and bytes are looked at; None for all.

    Returns
    -------
    tuple
        What was looked at of each, and what was noticed on the way.

    Raises
    ------
    ZsyncError
        As for `zsync.verify`.
    """
    pairs = list(zip(targets, only, strict=True))
    progress.begin("survey", len(pairs), 0)
    try:
        asked = side_by_side(lambda pair: _asked(*pair, depth), pairs)
    finally:
        progress.end()
    verified = [_read(looked, depth, progress, keys) for looked, keys in zip(asked, only, strict=True)]
    return verified, [finding for looked in asked for finding in (*looked.found.findings, *looked.findings)]


def _asked(target: Target, only: Collection[str] | None, depth: Depth) -> Looked:
    looked = _from_listing(target, depth)
    _headers(looked, depth, only)
    return looked


def _read(looked: Looked, depth: Depth, progress: Progress, only: Collection[str] | None) -> VerifiedProduct:
    if depth.bytes is not None or looked.touched or only:
        from zsync.verifying.deeper import read_bytes

        read_bytes(looked, depth, progress, only)
    if depth.as_reader and not looked.found.is_past:
        from zsync.verifying.readers import as_reader

        differences, findings = as_reader(looked.found, looked.kind, looked.documents, depth.seed)
        looked.differences += differences
        looked.findings += findings
    if depth.zarr_checksum:
        from zsync.verifying.deeper import checksums

        looked.checksums = checksums(looked, depth, progress)
    found = looked.found
    differences = [advised(item, is_past=found.is_past, is_here=found.is_here) for item in looked.differences]
    return VerifiedProduct(
        found.name, found.target.place.url, str(looked.kind), found.publication, len(found.there),
        sum(found.there["size"].to_pylist()), looked.headers, looked.read, looked.read_bytes,
        in_order(differences, depth.ignore), looked.checksums, looked.is_sampled,
    )  # fmt: skip


def _from_listing(target: Target, depth: Depth) -> Looked:
    """Compare what is listed with what is on record.

    What differs is asked for again until the head is the one that it was: else somebody may have published between the
    answers that are compared.
    """
    head = None
    for _ in range(_ATTEMPTS):
        looked = _compared(asking.ask(target, depth.at))
        found, before, head = looked.found, head, looked.found.head
        if not looked.differences or found.is_past or found.publication is None or head == before:
            break
    differences, findings = asking.of_state(looked.found, dt.datetime.now(dt.UTC))
    looked.differences += differences
    looked.findings += findings
    if (looked.differences or looked.touched or found.recorded is None) and not found.is_past:
        from zsync.verifying.deeper import inspect

        inspect(looked)
    return looked


def _compared(found: Found) -> Looked:
    looked = Looked(found, found.kind or _kind_of(found), list(found.differences))
    if found.recorded is not None:
        from zsync.verifying.compare import compare

        compared = compare(found.name, found.recorded, found.there, is_here=found.is_here, counts=not found.is_past)
        looked.differences += compared.differences
        _leave_what_may_be(looked)
        looked.touched = compared.touched
    return looked


def _leave_what_may_be(looked: Looked) -> None:
    """Take from the differences what is not on record, and may be there all the same."""
    target = looked.found.target
    if target.selection.is_everything and not target.keeps_all:
        return
    extra = [item for item in looked.differences if item.kind == Wrong.EXTRA]
    is_ours = target.selection.mask([item.key for item in extra])
    spare = {item.key for item, ours in zip(extra, is_ours, strict=True) if target.keeps_all or not ours}
    if not spare:
        return
    looked.differences = [item for item in looked.differences if item.kind != Wrong.EXTRA or item.key not in spare]
    message = f"{len(spare):,} objects are there that zsync did not publish, and that the configuration lets be"
    looked.findings.append(Finding("info", "let-be", target.name, min(spare), message))


def _kind_of(found: Found) -> Kind:
    from zsync.verifying.structure import kind_of

    return kind_of(found.there["key"].to_pylist())


def _headers(looked: Looked, depth: Depth, only: Collection[str] | None) -> None:
    """Ask for headers: of metadata first, for all of it depends on them."""
    if not tells_headers(looked.found):
        return
    known = {item.key for item in looked.differences}
    keys = [key for key in looked.found.keys_on_record() if key not in known]
    if only is not None:
        keys = [key for key in keys if key in only]
    elif not depth.headers:
        data = looked.found.keys_of_data()
        half = Sample(_HEADERS // 2, seed=depth.seed)
        chosen = [*half.of([key for key in keys if key not in data]), *half.of([key for key in keys if key in data])]
        looked.is_sampled = len(chosen) < len(keys)
        keys = chosen
    looked.headers = len(keys)
    looked.differences += check_headers(looked.found, keys)
