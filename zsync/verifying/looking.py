"""Verify products: from their listings, then as deep as was asked for."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zsync.layout import is_metadata, store_prefixes
from zsync.publication import read_head
from zsync.tasks import side_by_side
from zsync.verifying import asking
from zsync.verifying.compare import compare
from zsync.verifying.difference import Difference, Wrong, advised, in_order, with_same_bytes
from zsync.verifying.headers import check_headers, tells_headers
from zsync.verifying.reading import Read, checks_of, differences_of, read_all
from zsync.verifying.sampling import Sample
from zsync.verifying.structure import is_at, kind_of, sparse, stores_to_look_at, structure
from zsync.verifying.verification import VerifiedProduct
from zsync.verifying.zarr_checksum import zarr_checksum
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from zsync.report.progress import Progress
    from zsync.transfer import Executor
    from zsync.verifying.asking import Found, Target
    from zsync.words import Finding

_HEADERS = 128  # objects of which the headers are asked for
_ATTEMPTS = 3
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Depth:
    """How closely is looked.

    Attributes
    ----------
    bytes
        Which objects are read; None for none.
    headers
        Of all objects the headers are asked for; else of some.
    as_reader
        Stores and rasters are opened, and some of them decoded.
    zarr_checksum
        DANDI's digest of each store is computed.
    at
        Id of the publication that is compared with; None: the current one.
    seed
        Chooses what is looked at.
    ignore
        Kinds of differences that do not matter.
    """

    bytes: Sample | None = None
    headers: bool = False
    as_reader: bool = False
    zarr_checksum: bool = False
    at: str | None = None
    seed: int = 0
    ignore: tuple[str, ...] = ()


@dataclass(slots=True)
class _Looked:
    """What one product comes to, as it becomes known."""

    found: Found
    kind: Kind
    differences: list[Difference] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    headers: int = 0
    is_sampled: bool = False
    read: Read = field(default_factory=Read)


def verify_products(
    targets: Sequence[Target], depth: Depth, executor: Executor, progress: Progress,
    only: Sequence[Collection[str] | None],
) -> tuple[list[VerifiedProduct], list[Finding]]:  # fmt: skip
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
    verified = [_read(looked, depth, executor, progress, keys) for looked, keys in zip(asked, only, strict=True)]
    return verified, [finding for looked in asked for finding in (*looked.found.findings, *looked.findings)]


def _asked(target: Target, only: Collection[str] | None, depth: Depth) -> _Looked:
    looked = _from_listing(target, depth)
    _headers(looked, depth, only)
    return looked


def _read(
    looked: _Looked, depth: Depth, executor: Executor, progress: Progress, only: Collection[str] | None
) -> VerifiedProduct:
    _bytes(looked, depth, executor, progress, only)
    if depth.as_reader and not looked.found.is_past:
        from zsync.verifying.readers import as_reader

        differences, findings = as_reader(looked.found, looked.kind, looked.documents, depth.seed)
        looked.differences += differences
        looked.findings += findings
    checksums = _checksums(looked, executor, progress) if depth.zarr_checksum else {}
    found = looked.found
    differences = [advised(item, is_past=found.is_past, is_here=found.is_here) for item in looked.differences]
    return VerifiedProduct(
        found.name, found.target.place.url, str(looked.kind), found.publication, len(found.there),
        sum(found.there["size"].to_pylist()), looked.headers, looked.read.objects, looked.read.bytes,
        in_order(differences, depth.ignore), checksums, looked.is_sampled,
    )  # fmt: skip


def _from_listing(target: Target, depth: Depth) -> _Looked:
    """Compare what is listed with what is on record; where somebody published meanwhile, once more."""
    for attempt in range(_ATTEMPTS):
        found = asking.ask(target, depth.at)
        looked = _compared(found)
        is_last = attempt == _ATTEMPTS - 1
        if is_last or not looked.differences or found.is_past or not _has_moved(found):
            break
    differences, findings = asking.of_state(looked.found, dt.datetime.now(dt.UTC))
    looked.differences += differences
    looked.findings += findings
    _structure(looked)
    return looked


def _has_moved(found: Found) -> bool:
    place = found.target.place
    return found.publication is not None and read_head(place.store, place.state).etag != found.head.etag


def _compared(found: Found) -> _Looked:
    keys = found.there["key"].to_pylist()
    looked = _Looked(found, found.kind or kind_of(keys), list(found.differences))
    if found.recorded is not None:
        compared = compare(found.name, found.recorded, found.there, is_here=found.is_here, counts=not found.is_past)
        looked.differences += compared.differences
        looked.touched = compared.touched
    return looked


def _structure(looked: _Looked) -> None:
    """Inspect all where nothing is on record; else the stores of which metadata is not as it was published."""
    found, kind = looked.found, looked.kind
    if found.is_past:
        return
    keys, is_foreign = found.listing.keys, found.recorded is None
    prefixes = frozenset({""})
    if not is_foreign:
        differing = {item.key for item in looked.differences} | looked.touched
        prefixes = stores_to_look_at(kind, [*keys, *found.rows], differing)
        if not prefixes:
            return
    sizes = zip(keys, found.listing.sizes, strict=True)
    rows = [row for row in sizes if any(is_at(prefix, row[0]) for prefix in prefixes)]
    wanted = [key for key, _ in rows if is_metadata(kind, key)]
    looked.documents, unread = asking.documents_of(found, wanted)
    inspected = structure(found.name, kind, [key for key, _ in rows], [size for _, size in rows], looked.documents)
    looked.differences += [*unread, *inspected.differences]
    looked.findings += [*inspected.findings, *(sparse(found.name, inspected.layout) if is_foreign else ())]
    if is_foreign and found.is_here:
        from zsync.inventory.cogs import cut_off, is_raster
        from zsync.verifying.difference import of_finding

        rasters = [key for key in keys if is_raster(key)]
        looked.differences += map(of_finding, cut_off(f"/{found.target.place.location.path}", found.name, rasters))


def _headers(looked: _Looked, depth: Depth, only: Collection[str] | None) -> None:
    """Ask for headers: of metadata first, for all of it depends on them."""
    if not tells_headers(looked.found):
        return
    known = {item.key for item in looked.differences}
    keys = [key for key in looked.found.there["key"].to_pylist() if key in looked.found.rows and key not in known]
    if only is not None:
        keys = [key for key in keys if key in only]
    elif not depth.headers:
        documents = [key for key in keys if is_metadata(looked.kind, key)]
        others = [key for key in keys if not is_metadata(looked.kind, key)]
        half = Sample(_HEADERS // 2, seed=depth.seed)
        chosen = [*half.of(documents), *half.of(others)]
        looked.is_sampled = len(chosen) < len(keys)
        keys = chosen
    looked.headers = len(keys)
    looked.differences += check_headers(looked.found, keys)


def _bytes(looked: _Looked, depth: Depth, executor: Executor, progress: Progress, only: Collection[str] | None) -> None:
    """Read what is to be read; of files of which only the times changed, all."""
    gone = {item.key for item in looked.differences if item.kind in (Wrong.MISSING, Wrong.SIZE)}
    there = [key for key in looked.found.there["key"].to_pylist() if key not in gone]
    chosen = set(depth.bytes.of(there) if depth.bytes is not None else ())
    looked.is_sampled = looked.is_sampled or 0 < len(chosen) < len(there)
    if only is not None:
        chosen = set(there).intersection(only)
    chosen |= looked.touched
    if not chosen:
        return
    checks = checks_of(looked.found, [key for key in there if key in chosen])
    looked.read = read_all(looked.found, checks, executor, progress)
    on_record = {key for key, row in looked.found.rows.items() if row["digest"] is not None}
    same = on_record.intersection(looked.read.digests)
    looked.differences = [
        with_same_bytes(item) if item.kind == Wrong.OVERWRITTEN and item.key in same else item
        for item in looked.differences
    ]
    overwritten = {item.key for item in looked.differences if item.kind == Wrong.OVERWRITTEN}
    # That the bytes of what was written over are others is no news.
    looked.differences += [item for item in differences_of(looked.read) if item.key not in overwritten]


def _checksums(looked: _Looked, executor: Executor, progress: Progress) -> dict[str, str]:
    """Return DANDI's digest of each store."""
    if looked.kind is not Kind.ZARR:
        return {}
    found = looked.found
    tells = found.target.place.store.capabilities.etags_tell
    listing = found.listing
    md5s: dict[str, str] = {
        key: etag for key, etag in zip(listing.keys, listing.etags, strict=True)
        if tells and etag is not None and _MD5.fullmatch(etag)
    }  # fmt: skip
    now = replace(found, there=listing.table(), is_past=False)
    unknown = [key for key in listing.keys if key not in md5s]
    md5s |= read_all(now, checks_of(now, unknown, is_md5=True), executor, progress).digests if unknown else {}
    prefixes = store_prefixes(listing.keys)
    files: defaultdict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for key, size in zip(listing.keys, listing.sizes, strict=True):
        prefix = next((prefix for prefix in _above(key) if prefix in prefixes), None)
        if prefix is not None and key in md5s:
            files[prefix].append((key[len(prefix) + 1 :] if prefix else key, size, md5s[key]))
    return {prefix: zarr_checksum(rows) for prefix, rows in sorted(files.items())}


def _above(key: str) -> Sequence[str]:
    """Return the directories above a key, from the product's root."""
    parts = key.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(len(parts) + 1)]
