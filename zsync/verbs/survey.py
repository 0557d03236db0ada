"""Take stock of one product, both sides of it: steps 3 to 5 of the protocol (see ARCHITECTURE)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError, SourceError, TargetError
from zsync.inventory import DigestCache, Selection, cache_directory, digest_source, list_target, scan
from zsync.inventory.digest import Signature, Wanted
from zsync.publication import Head, ManifestLostError, StateKeys, read_head
from zsync.publication import manifest as manifests
from zsync.storage import connect, spec_for

if TYPE_CHECKING:
    import pyarrow as pa

    from zsync.config import ResolvedProduct, RunConfig
    from zsync.layout import Layout
    from zsync.planning import Survey
    from zsync.storage import StoreSpec
    from zsync.tables import Finding, Kind
    from zsync.transfer import HeaderPolicy, Progress


@dataclass(frozen=True, slots=True)
class Remote:
    """What the target says of a product."""

    head: Head
    manifest: pa.Table
    target: pa.Table
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One product, with everything that its plan is made of."""

    product: ResolvedProduct
    kind: Kind
    spec: StoreSpec
    state: StateKeys
    headers: HeaderPolicy
    head: Head
    survey: Survey
    findings: tuple[Finding, ...]


def take_stock(config: RunConfig, products: tuple[ResolvedProduct, ...], progress: Progress) -> list[Surveyed]:
    """Survey all products: their targets over the network while their sources are scanned here.

    Raises
    ------
    SourceError
        A source is missing, empty, or unfit to publish.
    TargetError
        A target cannot be reached, or refuses.
    """
    for product in products:
        if not os.path.isdir(product.root):  # noqa: PTH112 - before anything is asked over the network
            scan(product.root, product.name)
    progress.begin("survey", len(products), 0)
    try:
        with ThreadPoolExecutor(max_workers=max(1, len(products)), thread_name_prefix="zsync-survey") as pool:
            remotes = [pool.submit(_ask_target, config, product) for product in products]
            surveyed = []
            for product, remote in zip(products, remotes, strict=True):
                surveyed.append(_survey(config, product, remote))
                progress.advance(1, 0)
    finally:
        progress.end()
    return surveyed


def _ask_target(config: RunConfig, product: ResolvedProduct) -> Remote:
    from zsync.tables import MANIFEST, Finding

    store = connect(spec_for(product.location, config.storage, config.publish.transport))
    state = StateKeys.of(product.location)
    trusts_manifest = config.publish.trust == "manifest"
    with ThreadPoolExecutor(max_workers=1) as pool:
        listing = None if trusts_manifest else pool.submit(list_target, store, product.location.path)
        head = read_head(store, state)
        findings: tuple[Finding, ...] = ()
        try:
            manifest = manifests.read(store, state, head.parts, cache_directory() / "manifests")
        except ManifestLostError as error:
            manifest = MANIFEST.empty_table()
            message = f"the manifest is lost, so objects are compared by ETag: {error}"
            findings = (Finding("warning", "manifest-lost", product.name, "", message),)
        if listing is not None:
            target = listing.result()
        elif head.publication is None or findings:
            target = list_target(store, product.location.path)
        else:
            target = manifest.select(["key", "size", "etag"])
    return Remote(head, manifest, target, findings)


def _survey(config: RunConfig, product: ResolvedProduct, remote: Future[Remote]) -> Surveyed:
    from zsync.tables import Kind
    from zsync.transfer import HeaderPolicy

    local = _take_local_stock(config, product)
    answer = remote.result()
    kind = local.layout.kind
    spec = spec_for(product.location, config.storage, config.publish.transport)
    headers = HeaderPolicy.of(Kind(kind), config.storage)
    survey = _relate(config, product, local, answer, spec, headers)
    return Surveyed(
        product,
        kind,
        spec,
        StateKeys.of(product.location),
        headers,
        answer.head,
        survey,
        (*local.findings, *answer.findings),
    )


@dataclass(frozen=True, slots=True)
class _Local:
    source: pa.Table
    layout: Layout
    documents: Mapping[str, bytes]
    selection: Selection
    findings: tuple[Finding, ...]


def _take_local_stock(config: RunConfig, product: ResolvedProduct) -> _Local:
    """Scan the source and inspect it: metadata parses, chunks lie in their grids, nothing is torn."""
    import pyarrow as pa

    from zsync.layout import describe
    from zsync.planning import split_arrays

    found = scan(product.root, product.name, follow_symlinks=config.publish.follow_symlinks)
    _refuse(found.findings)
    source = found.table
    kind = _kind_of(product, source)
    if not len(source) and not config.publish.allow_empty:
        raise SourceError(
            "the source is empty", product.root, "is it mounted? To retire all that was published, set allow_empty: true"
        )
    documents = _read_documents(product, kind, source)
    selection = Selection(product.include, product.exclude)
    layout = describe(kind, product.name, source["key"].to_pylist(), documents, source["size"].to_pylist())
    if not selection.is_everything:
        mask = pa.array(selection.mask(source["key"].to_pylist()), pa.bool_())
        if torn := split_arrays(layout.objects, mask):
            raise ConfigError(
                "include and exclude take only a part of an array", f"{product.name}/{torn[0]}", "name whole arrays or groups"
            )
        source = source.filter(mask)
        keys = source["key"].to_pylist()
        documents = {key: documents[key] for key in keys if key in documents}
        layout = describe(kind, product.name, keys, documents, source["size"].to_pylist())
    _refuse(layout.findings)
    source, layout = _without_foreign(config, product, source, layout)
    return _Local(source, layout, documents, selection, (*found.findings, *layout.findings))


def _without_foreign(
    config: RunConfig, product: ResolvedProduct, source: pa.Table, layout: Layout
) -> tuple[pa.Table, Layout]:
    import pyarrow.compute as pc

    from zsync.tables import Role

    foreign = pc.equal(layout.objects["role"], str(Role.FOREIGN))
    if config.publish.foreign == "publish" or not pc.any(foreign).as_py():
        return source, layout
    if config.publish.foreign == "refuse":
        first = source.filter(foreign)["key"][0].as_py()
        raise SourceError("a file does not belong to any store", f"{product.root}/{first}", "remove it, or set foreign: publish")
    keep = pc.invert(foreign)
    return source.filter(keep), replace(layout, objects=layout.objects.filter(keep))


def _kind_of(product: ResolvedProduct, source: pa.Table) -> Kind:
    """Return the product's kind: the one that was given, or the one that its files tell."""
    from zsync.layout import is_metadata
    from zsync.tables import Kind

    if product.kind is not None:
        return Kind(product.kind)
    keys = source["key"].to_pylist()
    if any(is_metadata(Kind.ZARR, key) for key in keys):
        return Kind.ZARR
    return Kind.COG if any(key.lower().endswith((".tif", ".tiff")) for key in keys) else Kind.FILES


def _read_documents(product: ResolvedProduct, kind: Kind, source: pa.Table) -> dict[str, bytes]:
    """Read the metadata documents; their bytes are hashed here, so what is planned is what was understood."""
    from zsync.inventory.digest import read_blocks
    from zsync.layout import is_metadata

    documents = {}
    for index, key in enumerate(source["key"].to_pylist()):
        if is_metadata(kind, key):
            signature = _signature(source, index)
            documents[key] = b"".join(read_blocks(f"{product.root}/{key}", key, signature, max(1, signature.size)))
    return documents


def _signature(table: pa.Table, index: int) -> Signature:
    return Signature(*(table[name][index].as_py() for name in ("size", "mtime_ns", "ctime_ns", "inode")))


def _refuse(findings: tuple[Finding, ...]) -> None:
    """Raise the first error among findings, and say how many there are."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise SourceError(f"{errors[0].message}{more}", f"{errors[0].product}/{errors[0].key}")


def _relate(
    config: RunConfig, product: ResolvedProduct, local: _Local, remote: Remote, spec: StoreSpec, headers: HeaderPolicy
) -> Survey:
    """Put the two sides together, with consolidated metadata that describes the target as it will be."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.layout import place
    from zsync.planning import Survey, kept_keys

    gone_keys = remote.target["key"].filter(pc.invert(pc.is_in(remote.target["key"], local.source["key"])))
    gone = place(local.layout, gone_keys.to_pylist())
    selected = pa.array(local.selection.mask(gone_keys.to_pylist()), pa.bool_())
    keeps = config.publish.retire == "keep"
    kept = kept_keys(gone, selected, keeps=keeps)
    extra = _kept_documents(local.layout, kept, product, spec)
    generated = _consolidate(local.layout, extra)
    # What zsync makes may be in the target already, though the source has no such file.
    stays_gone = pc.invert(pc.is_in(gone["key"], pa.array(list(generated), pa.string())))
    source, objects = _with_generated(local, generated)
    rows = zip(*(objects[name].to_pylist() for name in ("key", "role", "stage")), strict=True)
    return Survey(
        source=source,
        objects=objects,
        headers=pa.array(headers.digests(rows), pa.string()),
        generated=generated,
        target=remote.target,
        gone=gone.filter(stays_gone),
        gone_selected=selected.filter(stays_gone.combine_chunks()),
        manifest=remote.manifest,
        etag_is_md5=connect(spec).capabilities.etag_is_md5,
    )


def _kept_documents(
    layout: Layout, kept: pa.Table, product: ResolvedProduct, spec: StoreSpec
) -> dict[str, dict[str, Any]]:
    """Read the metadata of nodes that stay in the target though the source lacks them, by store and key in the store."""
    import json

    import pyarrow.compute as pc

    from zsync.tables import Role

    documents = kept.filter(pc.equal(kept["role"], str(Role.METADATA))).select(["key", "store"]).to_pylist()
    documents = [row for row in documents if row["store"] in layout.stores]
    if not documents:
        return {}
    store = connect(spec)
    base = f"{product.location.path}/" if product.location.path else ""
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="zsync-kept") as pool:
        bodies = list(pool.map(lambda row: store.get(base + row["key"]).data, documents))
    extra: dict[str, dict[str, Any]] = {}
    for row, body in zip(documents, bodies, strict=True):
        inside = row["key"].removeprefix(f"{row['store']}/") if row["store"] else row["key"]
        try:
            extra.setdefault(row["store"], {})[inside] = json.loads(body)
        except ValueError as error:
            raise TargetError(
                "metadata in the target is not JSON", store.url(base + row["key"]), "delete it, or publish with another retire"
            ) from error
    return extra


def _consolidate(layout: Layout, extra: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Return the consolidated metadata that zsync makes, because the source's is missing or would be untrue."""
    from zsync.layout import consolidate

    return {
        f"{prefix}/{key}".lstrip("/"): body
        for prefix, store in layout.stores.items()
        for key, body in consolidate(store, extra.get(prefix, {})).items()
    }


def _with_generated(local: _Local, generated: Mapping[str, bytes]) -> tuple[pa.Table, pa.Table]:
    """Return source and objects, with digests of all documents, and with what zsync makes in its place."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from blake3 import blake3

    from zsync.layout import place

    known = {key: blake3(body).hexdigest() for key, body in local.documents.items()}
    source = local.source
    digests = [known.get(key) for key in source["key"].to_pylist()] if known else []
    if digests:
        index = source.schema.get_field_index("digest")
        source = source.set_column(index, "digest", pa.array(digests, pa.string()))
    if not generated:
        return source, local.layout.objects
    stays = pc.invert(pc.is_in(source["key"], value_set=pa.array(list(generated), pa.string())))
    made = [
        {
            "key": key,
            "size": len(body),
            "digest": blake3(body).hexdigest(),
            "etag": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        }
        for key, body in generated.items()
    ]
    return (
        pa.concat_tables([source.filter(stays), pa.Table.from_pylist(made, schema=source.schema)]),
        pa.concat_tables([local.layout.objects.filter(stays), place(local.layout, list(generated))]),
    )


def with_digests(surveyed: Surveyed, workers: int, progress: Progress, *, writes_cache: bool) -> Surveyed:
    """Hash what the plan cannot do without and the digest cache does not know.

    Parameters
    ----------
    writes_cache
        Keep the digests for the next run; a dry run writes nothing, not even that.

    Raises
    ------
    SourceChangedError
        A file is no longer what the scan saw.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from zsync.planning import undecided

    cache = DigestCache(surveyed.product.root)
    survey = replace(surveyed.survey, source=cache.fill(surveyed.survey.source))
    rows = undecided(survey)
    if len(rows):
        progress.begin("digest", len(rows), pc.sum(rows["size"]).as_py())
        wanted = [
            Wanted(key, Signature(*stat), etag)
            for key, etag, *stat in zip(
                *(rows[name].to_pylist() for name in ("key", "etag", "size", "mtime_ns", "ctime_ns", "inode")), strict=True
            )
        ]
        try:
            hashed = digest_source(surveyed.product.root, wanted, workers=workers, advance=progress.advance)
        finally:
            progress.end()
        survey = replace(survey, source=_merged(survey.source, {item.key: (item.digest, item.etag) for item in hashed}))
        if writes_cache:
            cache.keep(survey.source)
    return replace(surveyed, survey=survey)


def _merged(source: pa.Table, hashed: Mapping[str, tuple[str, str | None]]) -> pa.Table:
    """Return the source with what was hashed."""
    import pyarrow as pa

    keys = source["key"].to_pylist()
    for place, name in enumerate(("digest", "etag")):
        old = source[name].to_pylist()
        new = [hashed[key][place] if key in hashed else value for key, value in zip(keys, old, strict=True)]
        source = source.set_column(source.schema.get_field_index(name), name, pa.array(new, pa.string()))
    return source


def remember_receipts(surveyed: Surveyed, digests: Mapping[str, str]) -> None:
    """Keep the digests of what was sent, so that the next run need not hash it again."""
    hashed: dict[str, tuple[str, str | None]] = {key: (digest, None) for key, digest in digests.items()}
    source = _merged(surveyed.survey.source, hashed)
    DigestCache(surveyed.product.root).keep(source.filter(_from_files(source)))


def _from_files(source: pa.Table) -> Any:
    import pyarrow.compute as pc

    return pc.is_valid(source["inode"])
