"""Inspect the source: metadata parses, chunks lie in their grids, nothing is torn; step 4 of the protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from zsync.errors import ConfigError, SourceError
from zsync.inventory import Selection
from zsync.inventory.digest import Signature
from zsync.layout import (
    NCZARR_NAMES,
    arrays_cut,
    describe,
    documents_of_zarr,
    is_metadata,
    local_findings,
    select,
    with_groups_above,
    with_sidecars,
)
from zsync.planning import split_arrays
from zsync.report.format import many
from zsync.steps.fitness import fit_part, leniency, tolerated
from zsync.tables import column, each, scalar, texts_of
from zsync.tasks import side_by_side
from zsync.words import Finding, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zsync.config import ResolvedProduct
    from zsync.inventory import Origin
    from zsync.layout import Layout
    from zsync.steps.stock import Stock
    from zsync.steps.terms import Terms

_DOCUMENTS_AT_ONCE = 64  # of a bucket; a store may have thousands


@dataclass(frozen=True, slots=True)
class Inspected:
    """One product's source, understood.

    Attributes
    ----------
    stock
        The product as it was found; with what is unfit held back, where units stand alone.
    source
        `zsync.tables.SOURCE`, row by row with the objects of the layout.
    documents
        Its metadata, by key.
    findings
        What was noticed.
    """

    stock: Stock
    source: pa.Table
    layout: Layout
    documents: Mapping[str, bytes]
    selection: Selection
    findings: tuple[Finding, ...]


def inspect(stock: Stock, terms: Terms) -> Inspected:
    """Inspect a product's source.

    Raises
    ------
    SourceError
        It is empty, or unfit to publish.
    ConfigError
        The patterns take only a part of an array.
    """
    product, scan = stock.product, stock.scan
    if not terms.by_unit or not scan.keys:
        _refuse(scan.findings)
    if not scan.keys and not scan.unseen and not terms.allow_empty:
        raise SourceError(
            "the source is empty",
            product.root,
            "is it mounted? To retire all that was published, set allow_empty: true",
        )
    kind, besides = kind_of(product, scan.keys), leniency(stock.origin, terms)
    if terms.by_unit:
        fit = fit_part(stock, kind, allows_damage=terms.allows_damage, besides=besides)
        stock, scan, documents, layout = fit.stock, fit.scan, fit.documents, fit.layout
    else:
        excluded = Selection(exclude=product.exclude)
        documents = read_documents(stock.origin, kind, scan.keys, scan.signatures, excluded.leaves_out)
        layout = describe(kind, product.name, scan.keys, documents, scan.sizes)
        layout = replace(
            layout, findings=tolerated(layout.findings, allows_damage=terms.allows_damage, besides=besides)
        )
    keys, source = scan.keys, scan.table()
    # What is below a directory that was not entered may be there still.
    without = stock.without.union(stock.scan.unseen)
    selection = Selection(product.include, product.exclude, stock.within, without)
    if not selection.is_everything:
        mask = selection.mask(keys)
        torn = split_arrays(layout.objects, column(mask, pa.bool_())) or arrays_cut(layout, mask, stock.scan.unseen)
        if torn:
            raise ConfigError(
                "include and exclude take only a part of an array",
                f"{product.name}/{torn[0]}",
                "name whole arrays or groups",
            )
        mask = with_sidecars(layout, with_groups_above(layout, mask), selection.leaves_out)
        source, layout = source.filter(column(mask, pa.bool_())), select(layout, mask)
        stays = set(each(source["key"].filter(pc.is_in(source["key"], column([*documents], pa.string())))))
        documents = {key: body for key, body in documents.items() if key in stays}
    if not stock.origin.is_local:
        _refuse(tuple(local_findings(product.name, texts_of(source["key"]))))
    _refuse(layout.findings)
    if "" in layout.stores and not product.location.path:
        raise ConfigError(
            "a Zarr store cannot be a whole bucket: its state would lie in it, and Zarr readers warn of that",
            product.location.url,
            "give it a prefix, like s3://bucket/name.zarr",
        )
    source, layout = _without_foreign(product, source, layout, terms)
    if stock.origin.is_local and terms.outside_grid == "skip":
        source, layout = _without_outside(source, layout)
    return Inspected(stock, source, layout, documents, selection, (*scan.findings, *layout.findings))


def _without_foreign(
    product: ResolvedProduct, source: pa.Table, layout: Layout, terms: Terms
) -> tuple[pa.Table, Layout]:
    foreign = _is_foreign(layout)
    if terms.foreign == "publish" or not pc.any(foreign).as_py():
        return source, layout
    if terms.foreign == "refuse":
        first = source.filter(foreign)["key"][0].as_py()
        raise SourceError(
            "a file does not belong to any store", f"{product.root}/{first}", "remove it, or set foreign: publish"
        )
    keep = pc.invert(foreign)
    return source.filter(keep), replace(layout, objects=layout.objects.filter(keep))


def _is_foreign(layout: Layout) -> pa.Array:
    """Return which objects are not of the product's format: of a Zarr product, whatever lies beside its stores."""
    roles = [Role.FOREIGN]
    if layout.kind is Kind.ZARR:
        roles += [Role.COG, Role.SIDECAR, Role.INDEX]
    is_other = pc.is_in(layout.objects["role"], column([str(role) for role in roles], pa.string()))
    if not pc.any(is_other).as_py():
        return is_other
    keys = layout.objects["key"].filter(is_other).to_pylist()
    of_nczarr = [key for key in keys if key.rpartition("/")[2] in NCZARR_NAMES]
    return pc.and_not(is_other, pc.is_in(layout.objects["key"], column(of_nczarr, pa.string())))


def _without_outside(source: pa.Table, layout: Layout) -> tuple[pa.Table, Layout]:
    """Leave out the chunks that lie outside the grids of their arrays: no reader sees them."""
    keep = pc.fill_null(layout.objects["in_grid"], scalar(True))
    return source.filter(keep), replace(layout, objects=layout.objects.filter(keep))


def kind_of(product: ResolvedProduct, keys: Sequence[str]) -> Kind:
    """Return the product's kind: the one that was given, or the one that its files tell."""
    if product.kind is not None:
        return Kind(product.kind)
    if documents_of_zarr(keys):
        return Kind.ZARR
    return Kind.COG if any(key.lower().endswith((".tif", ".tiff")) for key in keys) else Kind.FILES


def read_documents(
    origin: Origin,
    kind: Kind,
    keys: Sequence[str],
    signatures: Sequence[tuple[int, int, int, int]],
    is_spare: Callable[[str], bool] = lambda _key: False,
) -> dict[str, bytes]:
    """Read the metadata documents; their bytes are hashed later, so what is planned is what was understood.

    Parameters
    ----------
    origin
        The source.
    kind
        What it is.
    keys, signatures
        What is there.
    is_spare
        Tells of a document whether it does not matter if it cannot be read.
    """
    wanted = [(key, signature) for key, signature in zip(keys, signatures, strict=True) if is_metadata(kind, key)]

    def read(item: tuple[str, tuple[int, int, int, int]]) -> tuple[str, bytes | None]:
        try:
            return item[0], origin.document(item[0], Signature(*item[1]))
        except SourceError:
            if not is_spare(item[0]):
                raise
            return item[0], None

    bodies = map(read, wanted) if origin.is_local else side_by_side(read, wanted, _DOCUMENTS_AT_ONCE)
    return {key: body for key, body in bodies if body is not None}


def _refuse(findings: tuple[Finding, ...]) -> None:
    """Raise the first error among findings, and say how many there are."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" (and {many(len(errors) - 1, 'more error')})" if len(errors) > 1 else ""
        raise SourceError(f"{errors[0].message}{more}", f"{errors[0].product}/{errors[0].key}")
