"""What every key of a product is, which stage it belongs to, and what its metadata says.

Everything here is pure: keys and the bytes of metadata come in, values go out. `describe` is the way in.

Why it is so
------------

- Meaning has one form (`layout/canonical`; types, codecs and attributes in modules of their own): what zarr-python
  decodes alike for every chunk is the same in it, and nothing else is. Whether a change is compatible
  (`layout/meaning`, which looks only at chunks that hold cells of both extents) and whether consolidated metadata is
  true are asked of it alike. What only an encoder asks is no part of it. A property test holds it to zarr-python,
  over changed documents of some twenty writers (`tests/unit/documents.jsonl`).
- Consolidated metadata is made, or not, as `publish.consolidate` says ([docs](docs/consolidated-metadata.md));
  `Terms.consolidate` is what a verb makes of it: teams leave all as it is, a pull only mends what would be untrue.
  What JSON
  cannot say is never written by us (`layout/strict`), and what a fence shows leaves such attributes out.
- What is kept must fit (`layout/alignment`): with `retire: keep` a variable that the source lacks stays in
  consolidated metadata; if its dimensions no longer have the others' lengths, no reader could open the group, so that
  is refused.
- Metadata of two formats at one node is not two arrays: each document goes in the stage of its own format, each
  consolidated metadata is made and fenced, and old and new are compared in a format that both have. They must tell of
  the same chunks; v2 may show less, as appending through v3 leaves it.
- What is kept on this machine carries checksums, for Arrow trusts what it reads; a digest is kept only of a file that
  was old when its hashing began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.alignment import axis_names, kept_findings, misfit_findings, named_axes
from zsync.layout.canonical import same_document
from zsync.layout.checks import examples, in_order, key_findings, local_findings, look_alikes, unfit_name
from zsync.layout.consolidated import Consolidating, Remade, remade
from zsync.layout.damage import is_chunk_like, is_node_document, lost_arrays, lost_attributes, lost_nodes
from zsync.layout.dimensions import Dimensions, without_levels
from zsync.layout.documents import METADATA_NAMES
from zsync.layout.encoded import Encodings, encoded, fixed_keys, other_encodings, rewritten, with_encoding
from zsync.layout.files import INDEX_RANK, NCZARR_NAMES, describe_files, is_data_name
from zsync.layout.grid import Grid, KeyEncoding
from zsync.layout.headers import content_type
from zsync.layout.meaning import Meaning, meaning_of
from zsync.layout.model import Array, Layout, Store
from zsync.layout.nodes import join, lineage, store_prefixes
from zsync.layout.place import place
from zsync.layout.published import members_of, with_shape, with_shapes
from zsync.layout.rasters import is_spare, owners, with_families
from zsync.layout.recognise import documents_of_zarr
from zsync.layout.references import Objects, is_binary_index, named_in, ranks
from zsync.layout.select import arrays_cut, select, with_groups_above, with_sidecars
from zsync.layout.strict import with_fill
from zsync.layout.units import misplaced_stores, store_roots, unit_of
from zsync.layout.zarr import describe_zarr
from zsync.words import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "INDEX_RANK",
    "NCZARR_NAMES",
    "Array",
    "Consolidating",
    "Dimensions",
    "Encodings",
    "Grid",
    "KeyEncoding",
    "Layout",
    "Meaning",
    "Objects",
    "Remade",
    "Store",
    "arrays_cut",
    "axis_names",
    "content_type",
    "describe",
    "documents_of_zarr",
    "encoded",
    "examples",
    "fixed_keys",
    "is_binary_index",
    "is_chunk_like",
    "is_data_name",
    "is_metadata",
    "is_node_document",
    "is_spare",
    "join",
    "kept_findings",
    "lineage",
    "local_findings",
    "look_alikes",
    "lost_arrays",
    "lost_attributes",
    "lost_nodes",
    "meaning_of",
    "members_of",
    "misfit_findings",
    "named_axes",
    "named_in",
    "other_encodings",
    "owners",
    "place",
    "ranks",
    "remade",
    "rewritten",
    "same_document",
    "select",
    "store_prefixes",
    "store_roots",
    "unfit_name",
    "unit_of",
    "with_encoding",
    "with_families",
    "with_fill",
    "with_groups_above",
    "with_shape",
    "with_shapes",
    "with_sidecars",
    "without_levels",
]


def is_metadata(kind: Kind, key: str) -> bool:
    """Return whether `describe` needs the bytes of an object.

    Examples
    --------
    >>> is_metadata(Kind.ZARR, "site.zarr/t2m/.zarray"), is_metadata(Kind.COG, "zarr.json")
    (True, False)
    """
    return kind is Kind.ZARR and key.rpartition("/")[2] in METADATA_NAMES


def describe(
    kind: Kind,
    product: str,
    keys: Sequence[str],
    documents: Mapping[str, bytes],
    sizes: Sequence[int] | None = None,
) -> Layout:
    """Return what every key of a product is.

    Parameters
    ----------
    kind
        The product's kind.
    product
        The product's name, for findings.
    keys
        Keys relative to the product's root, each once, in any order.
    documents
        The bytes of the objects for which `is_metadata` is true, by key.
    sizes
        The sizes of the objects, in the order of `keys`; without them no empty chunk is noticed.

    Returns
    -------
    Layout
        One row a key, in the order of `keys`; and the stores and findings, which do not depend on that order.
    """
    findings = key_findings(product, keys)
    if kind is not Kind.ZARR:
        objects = describe_files(keys, kind)
        return Layout(kind, objects, {}, in_order([*findings, *misplaced_stores(product, kind, keys)]))
    objects, stores, more = describe_zarr(product, keys, documents, sizes)
    return Layout(kind, objects, stores, in_order([*findings, *more]))
