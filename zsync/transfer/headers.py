"""Which headers an object is stored with."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.inventory import Selection
from zsync.layout import content_type
from zsync.storage import HeaderRules, Headers
from zsync.words import Kind, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable


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

    def digests(self, rows: Iterable[tuple[str, str, str]]) -> list[str]:
        """Return the digests of the headers of objects, given as key, role and stage.

        Chunks, of which there are many, all have the same, unless the user set content types by glob.
        """
        chunks: dict[str, str] = {}

        def digest(key: str, role: str, stage: str) -> str:
            if role != Role.CHUNK or self.rules.content_types:
                return self.headers(key, role, stage).digest
            if stage not in chunks:
                chunks[stage] = self.headers(key, role, stage).digest
            return chunks[stage]

        return [digest(*row) for row in rows]


@functools.cache
def _selection(glob: str) -> Selection:
    return Selection(include=(glob,))


def _matches(glob: str, key: str) -> bool:
    return _selection(glob).mask([key])[0]
