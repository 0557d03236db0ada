"""Which headers an object is stored with."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from zsync.inventory import Selection
from zsync.layout import content_type
from zsync.storage import HeaderRules, Headers
from zsync.tables import column, each_row, scalar
from zsync.words import Kind, Role, Stage


@dataclass(frozen=True)
class HeaderPolicy:
    """Content type by role, cache control by stage, storage class and tags for all.

    There is never a Content-Encoding: it would break range requests on COGs and shards.
    """

    kind: Kind
    rules: HeaderRules = field(default_factory=HeaderRules)

    def headers(self, key: str, role: str, stage: str) -> Headers:
        """Return the headers of one object; `key` is relative to the product's root."""
        chosen = next((value for glob, value in self.rules.content_types if _matches(glob, key)), None)
        return Headers(
            content_type=chosen or content_type(self.kind, Role(role), key),
            cache_control=dict(self.rules.cache_control).get(Stage(stage)),
            storage_class=self.rules.storage_class,
            tags=self.rules.tags,
        )

    def digests(self, objects: pa.Table) -> pa.ChunkedArray:
        """Return the digests of the headers of objects (`zsync.tables.OBJECTS`).

        Chunks, of which there are many, all have the same, unless the user set content types by glob.
        """
        alike = pc.equal(objects["role"], scalar(str(Role.CHUNK)))
        alike = pc.and_(alike, scalar(not self.rules.content_types))
        stages = pc.unique(objects["stage"].filter(alike)).to_pylist()
        found = pa.chunked_array([pa.nulls(len(objects), pa.string())])
        for stage in stages:
            digest = scalar(self.headers("", Role.CHUNK, stage).digest)
            is_of_stage = pc.and_(alike, pc.equal(objects["stage"], scalar(stage)))
            found = pc.if_else(is_of_stage, digest, found)
        others = objects.filter(pc.invert(alike))
        rest = [self.headers(*row).digest for row in each_row(others, ("key", "role", "stage"))]
        return pc.replace_with_mask(found, pc.invert(alike).combine_chunks(), column(rest, pa.string()))


@functools.cache
def _selection(glob: str) -> Selection:
    return Selection(include=(glob,))


def _matches(glob: str, key: str) -> bool:
    return _selection(glob).mask([key])[0]
