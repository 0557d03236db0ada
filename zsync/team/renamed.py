"""What is published under other keys than the source's, for a team that knows the source's only.

A place that was published, and flipped since (`zsync.planning.flip`), names the chunks of its arrays otherwise than the
folder that it came from. For who merges the two they are one: keys, and metadata, are those of the source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from zsync.planning.merge import Content
from zsync.planning.own import as_its_own
from zsync.tables import each_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from zsync.inventory import Listing

Row = tuple[str, int, str | None]  # key, size, ETag


@dataclass(frozen=True, slots=True)
class Renamed:
    """What a target names otherwise than its source.

    Attributes
    ----------
    names
        Keys in the target by those in the source, where they differ.
    originals
        The source's metadata in place of what names other keys, by key.
    stands_for
        What stands for these in the target: size and ETag, by key.
    left
        Keys of the target that only who opened an earlier publication reads still.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, bytes] = field(default_factory=dict)
    stands_for: Mapping[str, tuple[int, str | None]] = field(default_factory=dict)
    left: frozenset[str] = frozenset()

    def in_target(self, keys: Iterable[str]) -> set[str]:
        """Return the keys that some have in the target."""
        return {self.names.get(key, key) for key in keys}

    def in_source(self, listing: Listing, recorded: Mapping[str, Content]) -> list[Row]:
        """Return what is in the target as the source would have it: metadata, if it is as it is on record."""
        own = {published: key for key, published in self.names.items()}
        rows = []
        for key, size, etag in zip(listing.keys, listing.sizes, listing.etags, strict=True):
            if key in self.left:
                continue
            name = own.get(key, key)
            if self.stands_for.get(key) == (size, etag):
                rows.append((name, recorded[name].size, recorded[name].etag))
            else:
                rows.append((name, size, etag))
        return rows


def recorded_in(table: pa.Table) -> tuple[dict[str, Content], Renamed]:
    """Return what a manifest tells of, by the source's keys; and what the target names otherwise."""
    own = as_its_own(table)
    live = own.filter(pc.is_null(own["gone_s"]))
    names, originals, contents = {}, {}, {}
    columns = ("key", "published", "size", "digest", "etag", "original")
    for key, published, size, digest, etag, original in each_row(live, columns):
        contents[key] = Content(size, digest, etag)
        if key != published:
            names[key] = published
        if original is not None:
            originals[key] = original
    made = table.filter(pc.is_valid(table["original"]))
    stands_for = {key: (size, etag) for key, size, etag in each_row(made, ("key", "size", "etag"))}
    left = frozenset(table["key"].to_pylist()).difference(own["published"].to_pylist()) if names else frozenset()
    return contents, Renamed(names, originals, stands_for, left)
