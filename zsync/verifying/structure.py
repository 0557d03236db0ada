"""What a product is by itself, without a record of it: metadata, grids, consolidated metadata. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from zsync.layout import describe, documents_of_zarr, is_metadata, join, lineage, remade, store_prefixes
from zsync.layout.strict import unfit
from zsync.tables import groups, numbers, scalar
from zsync.verifying.difference import Difference, Wrong, difference, of_finding
from zsync.words import Finding, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from zsync.layout import Layout, Store

_EXAMPLES = 5  # arrays that lack chunks


@dataclass(frozen=True, slots=True)
class Structure:
    """What there is, and what is wrong with it."""

    layout: Layout
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]


def kind_of(keys: Sequence[str]) -> Kind:
    """Return what a product is, as its keys tell."""
    if documents_of_zarr(keys):
        return Kind.ZARR
    return Kind.COG if any(key.lower().endswith((".tif", ".tiff")) for key in keys) else Kind.FILES


def structure(
    product: str, kind: Kind, keys: Sequence[str], sizes: Sequence[int], documents: Mapping[str, bytes]
) -> Structure:
    """Inspect what there is.

    Parameters
    ----------
    product
        Its name.
    kind
        What it is.
    keys, sizes
        Its objects.
    documents
        The bytes of its metadata, by key.
    """
    layout = describe(kind, product, keys, documents, sizes)
    differences = [of_finding(finding) for finding in layout.findings if finding.level == "error"]
    findings = [finding for finding in layout.findings if finding.level != "error"]
    for store in layout.stores.values():
        differences += _unstrict(product, store)
        for made in remade(store, how="as-is"):
            key = join(store.prefix, made.key)
            if made.what == "untrue":
                message = "consolidated metadata tells of other nodes or metadata than there are: readers see it first"
                differences.append(difference(product, key, Wrong.STALE, message))
            elif not key.endswith(".zmetadata") or key not in documents:
                message = "there is no consolidated metadata: readers list the store, or ask for each node"
                findings.append(Finding("info", "no-consolidated", product, key, message))
    return Structure(layout, tuple(differences), tuple(findings))


def _unstrict(product: str, store: Store) -> Iterator[Difference]:
    for key, document in store.documents.items():
        if (what := unfit(document)) is not None:
            message = f"is no strict JSON: {what}"
            yield difference(product, join(store.prefix, key), Wrong.NOT_STRICT, message)


def sparse(product: str, layout: Layout) -> list[Finding]:
    """Return which arrays lack chunks: where nothing is on record, nobody can tell fill values from losses."""
    rows = layout.objects.filter(pc.equal(layout.objects["role"], scalar(str(Role.CHUNK))))
    found, group = groups(rows, ["store", "array"])
    there = dict.fromkeys(((row["store"], row["array"]) for row in found), 0)
    for row, is_in in zip(group.tolist(), numbers(rows["in_grid"]).tolist(), strict=True):
        there[found[row]["store"], found[row]["array"]] += is_in
    lacking = [
        (join(store.prefix, path), array.grid.size - count, array.grid.size)
        for store in layout.stores.values()
        for path, array in store.arrays.items()
        if array.grid is not None and (count := there.get((store.prefix, path), 0)) < array.grid.size
    ]
    more = f" (one of {len(lacking):,} such arrays)" if len(lacking) > _EXAMPLES else ""
    return [
        Finding("info", "sparse", product, where,
                f"{count:,} of {size:,} chunks are not there: they are fill value, or lost{more}")
        for where, count, size in lacking[:_EXAMPLES]
    ]  # fmt: skip


def stores_to_look_at(kind: Kind, keys: Iterable[str], differing: Collection[str]) -> frozenset[str]:
    """Return the stores of which metadata is not as it was published; of the others it was judged then.

    Parameters
    ----------
    keys
        All keys that are there, or on record.
    differing
        Those that differ.
    """
    documents = [key for key in differing if is_metadata(kind, key)]
    if not documents:
        return frozenset()
    prefixes = store_prefixes([*keys, *documents])
    return frozenset(above for key in documents for above in lineage(key.rpartition("/")[0]) if above in prefixes)
