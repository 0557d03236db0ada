"""What a source has lost of what is published, told from both sides (promise P11); `layout/damage` has the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from zsync.layout import is_chunk_like, is_node_document, join, lineage, lost_arrays, lost_nodes
from zsync.steps.fitness import tolerated
from zsync.tables import each, scalar
from zsync.words import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.planning import Survey
    from zsync.steps.stock import Stock
    from zsync.words import Finding

_DOCUMENTS = r"(^|/)(\.zarray|\.zgroup|\.zattrs|zarr\.json)$"


def gone_documents(related: Survey) -> list[str]:
    """Return the keys of metadata that readers find, and that the source does not have.

    A node above what is to be published is of interest whatever the patterns are.
    """
    documents = related.gone.append_column("selected", related.gone_selected)
    documents = documents.filter(pc.match_substring_regex(documents["key"], _DOCUMENTS))
    if not len(documents):
        return []
    # What was gone at an earlier publication already, and stays for a while or for ever, readers do not find any more.
    since = related.manifest["gone_s"].take(pc.index_in(documents["key"], related.manifest["key"]))
    documents = documents.filter(pc.is_null(since))
    above = {place for key in each(related.source["key"]) for place in lineage(key.rpartition("/")[0])}
    rows = zip(documents["key"].to_pylist(), documents["selected"].to_pylist(), strict=True)
    return [
        key for key, is_selected in rows if is_selected or (key.rpartition("/")[0] in above and is_node_document(key))
    ]


def lost_nodes_of(stock: Stock, related: Survey, gone: Sequence[str], *, allows_damage: bool) -> tuple[Finding, ...]:
    """Return what was published, is gone, and of which something is left; errors unless the user allows it.

    Parameters
    ----------
    gone
        What `gone_documents` says.
    """
    if not stock.origin.is_local:
        return ()
    lost = []
    if gone:
        # What is held back, or excluded, is there all the same.
        lost = lost_nodes(stock.product.name, gone, stock.scan.keys, frozenset(related.target["key"].to_pylist()))
    if not lost:
        lost = lost_arrays(stock.product.name, _loose_chunks(related))
    return tolerated(lost, allows_damage=allows_damage)


def _loose_chunks(related: Survey) -> list[tuple[str, str]]:
    """Return the keys of the source that lie in no array, and were published as chunks, with the array's directory."""
    loose = pc.and_(pc.equal(related.objects["role"], scalar(str(Role.FOREIGN))), pc.is_null(related.objects["array"]))
    keys = related.objects["key"].filter(loose)
    if not len(keys):
        return []
    recorded = related.manifest.take(pc.index_in(keys, related.manifest["key"]))
    chunks = recorded.filter(pc.is_valid(recorded["array"])).select(["key", "store", "array"]).to_pylist()
    places = ((row["key"], join(row["store"] or "", row["array"])) for row in chunks)
    return [(key, place) for key, place in places if is_chunk_like(key[len(place) + 1 :] if place else key)]
