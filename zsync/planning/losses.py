"""What readers can open now, and could not after the plan was carried out (promise P11)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.compute as pc

from zsync.layout import axis_names, is_chunk_like, is_node_document, join, lineage
from zsync.planning.classify import ChangeClass
from zsync.planning.guard import unseen_by_new
from zsync.printable import listed
from zsync.tables import scalar
from zsync.words import Action, Reason, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from zsync.layout import Store
    from zsync.planning.classify import ArrayChange


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that readers lose.

    Attributes
    ----------
    kind
        A whole ``store``; a ``group`` or an ``array`` of one; a ``range`` of an array; ``chunks`` of an array, which
        are fill value from then on; or ``rasters``.
    key
        Where in the product: the directory of a store, a group or an array; of rasters the first.
    detail
        Of a range, which; for people.
    count
        How many chunks or rasters.
    inside
        The store or group that it is lost with.
    """

    product: str
    kind: Literal["store", "group", "array", "range", "chunks", "rasters"]
    key: str
    detail: str = ""
    count: int = 1
    inside: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the loss as JSON."""
        return {
            "product": self.product,
            "kind": self.kind,
            "key": self.key,
            "detail": self.detail,
            "count": self.count,
            "inside": self.inside,
        }


def losses_of(
    product: str, table: pa.Table, stores: Mapping[str, Store], changes: Iterable[ArrayChange], manifest: pa.Table
) -> list[Loss]:
    """Return what readers lose of a product.

    Parameters
    ----------
    product
        Its name.
    table
        Its plan, `zsync.tables.PLAN`.
    stores
        The source's stores, by prefix.
    changes
        What happens to its arrays.
    manifest
        `zsync.tables.MANIFEST` of what is published.
    """
    gone = _newly_gone(table, manifest)
    return [
        *_nodes(product, gone, stores),
        *_ranges(product, stores, changes),
        *_chunks(product, gone),
        *_rasters(product, gone),
    ]


def _newly_gone(table: pa.Table, manifest: pa.Table) -> pa.Table:
    """Return the rows that readers find now, and will not find: retired, or only there for who is reading still."""
    retired = pc.and_(
        pc.equal(table["action"], scalar(str(Action.RETIRE))), pc.equal(table["stage"], scalar(str(Stage.RETIRE)))
    )
    waits = pc.or_(pc.equal(table["reason"], scalar(str(Reason.GRACE))), unseen_by_new(table))
    rows = table.filter(pc.or_(retired, waits))
    if not len(rows):
        return rows
    since = manifest["gone_s"].take(pc.index_in(rows["key"], manifest["key"]))
    return rows.filter(pc.is_null(since))


def _nodes(product: str, gone: pa.Table, stores: Mapping[str, Store]) -> Iterator[Loss]:
    keys = gone["key"].to_pylist()
    documents = {key.rpartition("/")[0]: key for key in keys if is_node_document(key)}
    if not documents:
        return
    stay = {join(prefix, path) for prefix, store in stores.items() for path in (*store.arrays, *store.groups)}
    removed = sorted(documents.keys() - stay)
    known = stay.union(removed)
    arrays = _arrays(documents, keys)
    for directory in removed:
        above = [place for place in lineage(directory) if place != directory and place in known]
        kind: Literal["store", "group", "array"] = "array" if directory in arrays else "group"
        lost = [place for place in above if place not in stay]
        yield Loss(product, kind if above else "store", directory, inside=lost[-1] if lost else None)


def _arrays(documents: Mapping[str, str], keys: Sequence[str]) -> set[str]:
    """Return the directories that were arrays: by the name of the document, or because they had chunks."""
    arrays = {directory for directory, key in documents.items() if key.endswith(".zarray")}
    for key in keys:
        for above in lineage(key.rpartition("/")[0]):
            if above in documents and is_chunk_like(key[len(above) + 1 :] if above else key):
                arrays.add(above)
    return arrays


def _ranges(product: str, stores: Mapping[str, Store], changes: Iterable[ArrayChange]) -> Iterator[Loss]:
    resized = (ChangeClass.SHRINK, ChangeClass.RESIZE, ChangeClass.INCOMPATIBLE)
    for change in changes:
        old, new = change.old_shape or (), change.new_shape or ()
        if change.kind not in resized or len(old) != len(new):
            continue
        names = axis_names(stores[change.store].documents, change.array, len(new))
        for name, before, now in zip(names, old, new, strict=True):
            if now < before:
                detail = f"{name} {now:,}..{before - 1:,} of {before:,}"
                yield Loss(product, "range", join(change.store, change.array), detail, before - now)


def _chunks(product: str, gone: pa.Table) -> Iterator[Loss]:
    lost = gone.filter(pc.equal(gone["reason"], scalar(str(Reason.VANISHED))))
    places = Counter(zip(lost["store"].to_pylist(), lost["array"].to_pylist(), strict=True))
    for (store, array), count in sorted(places.items(), key=str):
        yield Loss(product, "chunks", join(store or "", array or ""), count=count)


def _rasters(product: str, gone: pa.Table) -> Iterator[Loss]:
    lost = gone.filter(pc.match_substring_regex(gone["key"], "[.]tiff?$", ignore_case=True))["key"].to_pylist()
    if lost:
        yield Loss(product, "rasters", min(lost), count=len(lost))


def losses_text(losses: Iterable[Loss], names: int) -> list[str]:
    """Return lines that say what readers lose, few for many losses.

    Parameters
    ----------
    losses
        What they lose of one product.
    names
        How many things a line names at most.
    """
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    by_range: defaultdict[str, list[str]] = defaultdict(list)
    inner: Counter[str] = Counter()
    for loss in losses:
        if loss.inside is not None:
            inner[loss.kind] += 1
        elif loss.kind == "range":
            by_range[loss.detail].append(loss.key)
        elif loss.kind == "rasters":
            by_kind["rasters"].append(f"{loss.count:,}, the first is {loss.key}")
        elif loss.kind == "chunks":
            by_kind["chunks"].append(f"{loss.count:,} of {loss.key}")
        else:
            by_kind[loss.kind].append(loss.key or "the product itself")
    lines = [
        f"{kind}: {listed(by_kind[kind], names)}" for kind in ("store", "group", "array", "rasters") if by_kind[kind]
    ]
    if inner:
        counts = ", ".join(f"{count:,} {kind}s" for kind, count in sorted(inner.items()))
        lines.append(f"with them: {counts}")
    lines += [f"range: {detail} ({listed(keys, names)})" for detail, keys in by_range.items()]
    if by_kind["chunks"]:
        lines.append(f"chunks: {listed(by_kind['chunks'], names)}, fill value from then on")
    return lines
