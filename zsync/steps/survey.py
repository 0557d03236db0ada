"""From stock to survey: step 4 of the protocol: inspect the source, and put both sides together."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from zsync.errors import TargetError
from zsync.inventory import (
    agreed_listing,
    as_they_are,
    cache_directory,
    list_target,
)
from zsync.inventory.selection import is_below
from zsync.keys import under
from zsync.layout import kept_findings, place
from zsync.planning import NO_FLIPS, Survey, kept_keys, of_other_keys
from zsync.publication import ManifestLostError
from zsync.publication import manifest as manifests
from zsync.steps.arrived import arrived
from zsync.steps.consolidating import Consolidated, consolidated
from zsync.steps.damage import gone_documents, lost_nodes_of
from zsync.steps.encoding import Named, Sides, named_now, rows_of, sides, with_other_keys
from zsync.steps.inspect import inspect
from zsync.steps.naming import with_indexes
from zsync.steps.neighbours import findings_around, findings_inside, others_in
from zsync.steps.selecting import with_selections_judged
from zsync.steps.surveyed import Surveyed
from zsync.storage import connect
from zsync.tables import MANIFEST, OBJECTS, column, each, looked_up, scalar, table_of, taken, texts_of, with_values
from zsync.tasks import side_by_side
from zsync.transfer import HeaderPolicy
from zsync.words import Finding, Kind, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from zsync.config import ResolvedProduct
    from zsync.inventory import Origin
    from zsync.layout import Encodings, Layout
    from zsync.planning import Flips
    from zsync.steps.inspect import Inspected
    from zsync.steps.stock import Stock
    from zsync.steps.terms import Terms
    from zsync.storage import StoreSpec


_ATTRIBUTES = ".zattrs"


def survey(stock: Sequence[Stock], terms: Terms) -> list[Surveyed]:
    """Inspect every source, and put the two sides of every product together.

    Raises
    ------
    SourceError
        A source is empty, or unfit to publish.
    ConfigError
        Patterns select nothing.
    """
    # Before anything more is asked over the network.
    local = with_indexes(
        with_selections_judged([inspect(item, terms) for item in stock], allow_empty=terms.allow_empty)
    )
    return [_survey(mine, terms) for mine in local]


def with_flips(item: Surveyed, flips: Flips, plan: pa.Table, terms: Terms) -> Surveyed:
    """Return a product of which some arrays are published under other chunk keys; what was hashed stays known.

    Parameters
    ----------
    plan
        `zsync.tables.PLAN` of the product with the keys that it has now.
    """
    return replace(_again(item, terms, flips, item.found), unflipped=plan)


def with_found(item: Surveyed, found: Encodings, terms: Terms) -> Surveyed:
    """Return a product of which some arrays are published under other chunk keys than are on record."""
    return _again(item, terms, item.flips, {**item.found, **found})


def _again(item: Surveyed, terms: Terms, flips: Flips, found: Encodings) -> Surveyed:
    new = _survey(replace(item.inspected, stock=item.stock), terms, flips, found)
    where = pc.index_in(new.survey.files, item.survey.files)
    known, source = taken(item.survey.source.select(["digest"]), where)["digest"], new.survey.source
    source = with_values(source, "digest", pc.coalesce(source["digest"], known))
    return replace(new, survey=replace(new.survey, source=source))


def _survey(
    inspected: Inspected, terms: Terms, flips: Flips = NO_FLIPS, found: Encodings = MappingProxyType({})
) -> Surveyed:
    headers = HeaderPolicy(inspected.layout.kind, terms.headers)
    manifest, findings = _manifest(inspected.stock)
    recorded, own = manifest["key"], _without_others(inspected.stock, manifest)
    stock = _agreed(inspected.stock, own)
    now = _named_now(inspected, own, terms)
    both = sides(inspected, {**now.encodings, **found, **flips.encodings})
    local = both.published
    target, skipped = _target(stock, own, local, lost=bool(findings))
    manifest = _with_arrived(stock, own, local, target, lost=bool(findings))
    around = [
        *findings_inside(stock, local.source["key"], recorded),
        *findings_around(stock, local.source["key"], target),
    ]
    related, kept, done = _relate(stock, terms, both, target, manifest, headers)
    gone = gone_documents(related)
    lost = lost_nodes_of(stock, related, gone, allows_damage=terms.allows_damage)
    return Surveyed(
        stock,
        local.layout,
        headers,
        related,
        (*local.findings, *stock.noticed, *lost, *findings, *around, *kept, *skipped, *_shortcomings(stock, terms)),
        local.selection,
        () if findings else stock.head.parts,
        inspected,
        frozenset() if terms.retire == "keep" else frozenset(k for k in gone if k.endswith(_ATTRIBUTES)),
        is_behind=len(own) < len(recorded) or manifest is not own,
        consolidated=done,
        moved=now.moved.difference(found),
        misnamed=now.misnamed,
        flips=flips,
        found=found,
    )


def _named_now(inspected: Inspected, manifest: pa.Table, terms: Terms) -> Named:
    """Return how chunks are named that readers see now, where they are to be named so still."""
    if not terms.keeps_keys or inspected.layout.kind is not Kind.ZARR:
        return Named({})
    listing = inspected.stock.listing
    now = named_now(inspected.layout, manifest, () if listing is None else listing.keys)
    if terms.rewriting.incompatible or not now.moved:
        return now
    # Where nothing may flip, other keys in the source are an incompatible change like others.
    kept = {place: known for place, known in now.encodings.items() if place not in now.moved}
    return Named(kept, now.moved, now.misnamed)


def _shortcomings(stock: Stock, terms: Terms) -> tuple[Finding, ...]:
    """Say what the target cannot do that a promise rests on."""
    is_public = terms.retires == "recorded" or (terms.retires == "all" and stock.origin.is_local)
    if not is_public or connect(stock.spec).capabilities.conditional_put:  # a pull goes to somebody's directory
        return ()
    message = "this target has no conditional writes: two publishers at the same time are not kept apart reliably"
    return (Finding("info", "no-conditional-writes", stock.product.name, "", message),)


def _manifest(stock: Stock) -> tuple[pa.Table, tuple[Finding, ...]]:
    try:
        found = manifests.read(connect(stock.spec), stock.state, stock.head.parts, cache_directory() / "manifests")
        return _with_recognised(found, stock.recognised), ()
    except ManifestLostError as error:
        message = f"the manifest is lost, so objects are compared by ETag: {error}"
        return table_of([], MANIFEST), (Finding("warning", "manifest-lost", stock.product.name, "", message),)


def _without_others(stock: Stock, manifest: pa.Table) -> pa.Table:
    """Return a manifest without what other products have taken since."""
    others = others_in(stock)
    if not others:
        return manifest
    return manifest.filter(column([not is_below(key, others) for key in each(manifest["key"])], pa.bool_()))


def _agreed(stock: Stock, manifest: pa.Table) -> Stock:
    """Return the stock with a listing that does not lack what the manifest names and is there."""
    location = stock.product.location
    if stock.listing is None or location.scheme == "file":  # a directory is no service: what it does not show is gone
        return stock
    lacking = manifest["key"].filter(pc.invert(pc.is_in(manifest["key"], stock.listing.table()["key"])))
    listing = agreed_listing(connect(stock.spec), location.path, stock.listing, each(lacking))
    return stock if listing is stock.listing else replace(stock, listing=listing)


def _with_recognised(manifest: pa.Table, recognised: pa.Table | None) -> pa.Table:
    if recognised is None or not len(recognised):
        return manifest
    others = manifest.filter(pc.invert(pc.is_in(manifest["key"], recognised["key"].combine_chunks())))
    return pa.concat_tables([others, recognised])


def _target(stock: Stock, manifest: pa.Table, local: Inspected, *, lost: bool) -> tuple[pa.Table, tuple[Finding, ...]]:
    """Return what is in the target, and what was left out because of its key."""
    store, path, listing = connect(stock.spec), stock.product.location.path, stock.listing
    if listing is None and (lost or stock.head.publication is None):
        listing = list_target(store, path)
    if listing is None:
        return manifest.select(["key", "size", "etag"]), ()
    table = listing.table()
    is_known = pc.or_(pc.is_in(table["key"], local.source["key"]), pc.is_in(table["key"], manifest["key"]))
    doubtful = table.filter(pc.invert(is_known))["key"].to_pylist()
    if not doubtful:
        return table, listing.skipped(stock.product.name, local.selection) if stock.origin.is_local else ()
    sure = set(listing.keys).difference(doubtful)
    listing = listing.without_markers(sure, local.source["key"].to_pylist() if listing.small(sure) else ())
    listing = as_they_are(store, path, listing, doubtful)
    return listing.table(), listing.skipped(stock.product.name, local.selection) if stock.origin.is_local else ()


def _with_arrived(stock: Stock, manifest: pa.Table, local: Inspected, target: pa.Table, *, lost: bool) -> pa.Table:
    """Return a manifest with what a run that was cut off has sent since."""
    is_trusted = stock.listing is None and not lost and stock.head.publication is not None
    if is_trusted or not stock.origin.is_local:
        return manifest
    found = arrived(stock.spec, stock.state, target, manifest)
    if not len(found):
        return manifest
    places = pc.index_in(found["key"], local.layout.objects["key"].combine_chunks())
    found, objects = found.filter(pc.is_valid(places)), local.layout.objects.take(pc.drop_null(places))
    for name in ("store", "array", "stage"):
        found = with_values(found, name, objects[name])
    return _with_recognised(manifest, found)


def _relate(
    stock: Stock,
    terms: Terms,
    both: Sides,
    target: pa.Table,
    manifest: pa.Table,
    headers: HeaderPolicy,
) -> tuple[Survey, list[Finding], Consolidated]:
    """Put the two sides together, with consolidated metadata that describes the target as it will be."""
    inspected, local, encodings = both.own, both.published, both.encodings
    gone_keys = target["key"].filter(pc.invert(pc.is_in(target["key"], local.source["key"])))
    gone = place(local.layout, texts_of(gone_keys))
    selected = column(local.selection.mask(texts_of(gone_keys)), pa.bool_())
    if terms.retires != "all":
        if terms.retires == "recorded":
            theirs = pc.or_(pc.is_valid(gone["store"]), pc.is_in(gone_keys, manifest["key"].combine_chunks()))
        else:
            theirs = pc.and_(pc.is_valid(gone["store"]), _is_ours(gone_keys, target, manifest))
        if terms.retires == "ours-and-strays":
            # What was written here into an array that is to be as published would show in place of fill values.
            theirs = pc.or_(theirs, pc.fill_null(gone["in_grid"], scalar(False)))
        selected = pc.and_(selected, theirs)
    kept = kept_keys(gone, selected, keeps=terms.retire == "keep")
    extra = _kept_documents(local.layout, kept, stock.product, stock.spec)
    unfit = [
        finding
        for prefix, documents in extra.items()
        for finding in kept_findings(stock.product.name, local.layout.stores[prefix], documents)
    ]
    done = consolidated(inspected.layout, extra, terms.consolidate)
    renamed = with_other_keys(inspected.layout, inspected.documents, done.generated, encodings)
    bodies = {key: body for key, body in renamed.bodies.items() if key not in done.removed}
    generated = {**done.generated, **bodies}
    # What zsync makes may be in the target already, though the source has no such file.
    is_gone = pc.invert(pc.is_in(gone["key"], column(list(generated), pa.string())))
    gone = gone.append_column("selected", selected).filter(is_gone)
    source, objects = _with_generated(local, inspected.source["key"], generated, stock.origin)
    if done.removed:
        source, objects, gone = _without_removed(local.layout, done.removed, source, objects, gone, target)
    own_keys = source["key"] if encodings else None
    if encodings:
        source = with_values(source, "key", objects["key"])
    related = Survey(
        source=source,
        objects=objects,
        headers=headers.digests(objects),
        generated=generated,
        originals=renamed.originals,
        lost=_lost(inspected, gone, manifest, source["key"] if own_keys is None else own_keys),
        own_keys=own_keys,
        target=target,
        gone=gone.select(OBJECTS.names),
        gone_selected=gone["selected"],
        manifest=manifest,
        etag_is_md5=connect(stock.spec).capabilities.etag_is_md5,
        misplaced=stock.misplaced,
        doubted=stock.doubted,
    )
    return related, unfit, done


def _lost(inspected: Inspected, gone: pa.Table, manifest: pa.Table, files: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return of which chunks that are published under other keys the source has no file any more (`Survey.lost`)."""
    own = manifest["source_key"].take(pc.index_in(gone["key"], manifest["key"]))
    has_none = pc.and_(pc.is_valid(own), pc.invert(pc.is_in(own, files.combine_chunks())))
    is_lost = pc.and_(of_other_keys(gone), has_none)
    if not pc.any(is_lost).as_py():
        return None
    where = pc.fill_null(place(inspected.layout, texts_of(own.filter(is_lost)))["in_grid"], scalar(False))
    mask = is_lost.combine_chunks() if isinstance(is_lost, pa.ChunkedArray) else is_lost
    return pc.replace_with_mask(pa.chunked_array([pa.nulls(len(own), pa.bool_())]), mask, where.combine_chunks())


def _is_ours(keys: pa.ChunkedArray, target: pa.Table, manifest: pa.Table) -> pa.ChunkedArray:
    """Return which objects of the target are as we put them there."""
    there = target["etag"].take(pc.index_in(keys, target["key"]))
    recorded = manifest["etag"].take(pc.index_in(keys, manifest["key"]))
    return pc.fill_null(pc.equal(there, recorded), scalar(False))


def _kept_documents(
    layout: Layout, kept: pa.Table, product: ResolvedProduct, spec: StoreSpec
) -> dict[str, dict[str, Any]]:
    """Read the metadata of nodes that stay in the target though the source lacks them, by store and key in it."""
    documents = kept.filter(pc.equal(kept["role"], scalar(str(Role.METADATA)))).select(["key", "store"]).to_pylist()
    documents = [row for row in documents if row["store"] in layout.stores]
    if not documents:
        return {}
    store = connect(spec)
    base = f"{product.location.path}/" if product.location.path else ""
    bodies = side_by_side(lambda row: store.get(under(base, row["key"])).data, documents)
    extra: dict[str, dict[str, Any]] = {}
    for row, body in zip(documents, bodies, strict=True):
        inside = row["key"].removeprefix(f"{row['store']}/") if row["store"] else row["key"]
        try:
            extra.setdefault(row["store"], {})[inside] = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise TargetError(
                "metadata in the target is not JSON",
                store.url(base + row["key"]),
                "delete it, or have it go: retire: trash",
            ) from error
    return extra


def _without_removed(
    layout: Layout, removed: Collection[str], source: pa.Table, objects: pa.Table, gone: pa.Table, target: pa.Table
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return source, objects and what is gone, as if the source did not have some objects."""
    stays = pc.invert(pc.is_in(source["key"], value_set=column(list(removed), pa.string())))
    there = pc.is_in(column(sorted(removed), pa.string()), target["key"])
    placed = place(layout, column(sorted(removed), pa.string()).filter(there).to_pylist())
    selected = column([True] * len(placed), pa.bool_())
    lost = placed.append_column("selected", selected).select(gone.column_names)
    return source.filter(stays), objects.filter(stays), pa.concat_tables([gone, lost.cast(gone.schema)])


def _with_generated(
    local: Inspected, files: pa.ChunkedArray, generated: Mapping[str, bytes], origin: Origin
) -> tuple[pa.Table, pa.Table]:
    """Return source, by the keys of its files, and objects, with digests of documents, and what zsync makes in place.

    Parameters
    ----------
    files
        Keys of the source's files, row by row.
    """
    read = {key: blake3(body).hexdigest() for key, body in local.documents.items()}
    source = with_values(local.source, "key", files)
    known = looked_up(source["key"], read, pa.string())
    source = with_values(source, "digest", pc.coalesce(known, origin.digests(source["key"])))
    if not generated:
        return source, local.layout.objects
    stays = pc.invert(pc.is_in(source["key"], value_set=column(list(generated), pa.string())))
    return (
        pa.concat_tables([source.filter(stays), table_of(rows_of(generated), source.schema)]),
        pa.concat_tables([local.layout.objects.filter(stays), place(local.layout, list(generated))]),
    )
