"""The words of DESIGN as values: kinds, stages, roles, actions, reasons, findings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

STATE = ".zsync"  # the directory, beside each product, that zsync keeps its records in
WHOLE_SIZE = 64 * 2**20  # bytes; an object up to this size goes up in one part, and its ETag then is its MD5
PART_SIZE = 16 * 2**20  # bytes of a part of a larger one


# Codes of findings that more than one room knows.
VANISHED = "vanished"  # it went away while it was looked at
UNREADABLE = "unreadable"


class Kind(StrEnum):
    """What a product is."""

    ZARR = "zarr"
    COG = "cog"
    FILES = "files"


class Stage(StrEnum):
    """The place of an object in the order of publishing (the order of the members is that order)."""

    FENCE = "fence"  # before arrays shrink: metadata that shows only what old and new have in common (promise P3)
    WITHDRAW = "withdraw"  # what would be read wrongly under the metadata that is to come
    DATA = "data"
    ARRAY = "array"
    GROUP = "group"
    ROOT = "root"
    RETIRE = "retire"


STAGES: tuple[Stage, ...] = tuple(Stage)


class Role(StrEnum):
    """What an object is to the product that it belongs to."""

    CHUNK = "chunk"  # a chunk, or a shard, of an array
    METADATA = "metadata"  # .zarray, .zattrs, .zgroup, zarr.json
    CONSOLIDATED = "consolidated"  # .zmetadata (v3 keeps consolidated metadata inside the group's zarr.json: METADATA)
    COG = "cog"  # a GeoTIFF, but for those of a `files` product
    SIDECAR = "sidecar"  # .aux.xml, .msk, .ovr, world file of a raster
    INDEX = "index"  # VRT, STAC, references, pages, ...: names others
    FILE = "file"  # an object of a `files` product
    FOREIGN = "foreign"  # an object that the product's format does not know


class Action(StrEnum):
    """What a plan does with an object."""

    SEND = "send"
    COPY = "copy"  # the target copies what it holds under another key; where it cannot, it is sent
    UNCHANGED = "unchanged"
    RETIRE = "retire"
    KEEP = "keep"  # in the target only, and stays there


class Reason(StrEnum):
    """Why a plan does it."""

    NEW = "new"  # not in the target
    CHANGED = "changed"  # other bytes than those published
    FOREIGN_WRITE = "overwritten by others"  # the target no longer holds what was published
    DOUBTED = "not as on record"  # it was looked at: what a listing shows of the target is not so
    UNKNOWN = "unknown content"  # the target's content cannot be known from a listing
    HEADERS = "headers"  # same bytes, other content type, cache control, storage class, ...
    CLASS = "storage class"  # same bytes, but the target keeps them in another storage class than asked for
    FENCE = "common extent"  # shown while arrays shrink
    WITHDRAWN = "withdrawn meanwhile"  # metadata that readers must not find while an array is replaced
    GENERATED = "consolidated anew"  # consolidated metadata made by zsync
    RENAMING = "names other keys"  # metadata of arrays whose chunks have other keys than in the source
    SAME = "same content"
    REKEYED = "same content, other key"  # of an array of which the chunks get other keys
    GONE = "gone from the source"
    FLIPPED = "of what was published before"  # readers who opened that may still want it; new ones do not see it
    VANISHED = (
        "vanished chunk"  # a chunk inside its array's grid that was published and is now gone: fill value, or lost
    )
    STALE = "stale chunk"  # readers cannot see it now, and would see it under the new metadata
    STALE_SIDECAR = "of a raster that is replaced"  # a mask, an overview, ... that the source has no more
    EXISTS = "exists already"  # and is not to be touched
    MOVING = "changed meanwhile"  # a file that changed while it was to be sent; the next run takes it
    GRACE = "grace"  # gone from the source, but not for long enough
    NOT_SELECTED = "not selected"  # left out by only, include, exclude
    POLICY = "retire: keep"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Which arrays of which the chunks are replaced get other chunk keys.

    Attributes
    ----------
    values
        Those of which values change: ``flip`` all that can, ``inplace`` none; ``auto``: where at least half of the
        chunks change, or no more than `most` have to be copied.
    incompatible
        Those of which old and new chunks decode differently.
    most
        How many chunks of a store ``auto`` has copied.
    is_asked_for
        They are asked for by name: what attributes say otherwise of chunks that did not change is meant.
    is_strict
        Keys that readers of an earlier publication may still want are never used.
    """

    values: Literal["auto", "inplace", "flip"] = "inplace"
    incompatible: bool = False
    most: int = 0
    is_asked_for: bool = False
    is_strict: bool = True


OUTSIDE_GRID = "outside-grid"  # a chunk beyond its array's shape
# Codes of findings about what another publisher left, which concern whoever brings a copy here no more than a reader.
THEIRS = frozenset({OUTSIDE_GRID, "wrong-separator", "empty-chunk", "two-formats"})
# Codes of findings that are errors unless `damaged: allow` is said (promise P11).
DAMAGE = frozenset({"lost-metadata", "orphan-metadata", "misaligned", "cut-off", "not-a-tiff"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was noticed about a product.

    Errors stop the product; warnings and infos are on the report.
    """

    level: Literal["error", "warning", "info"]
    code: str  # stable, kebab-case: "outside-grid", "leftover", ...
    product: str
    key: str
    message: str  # one line; names what to do where something is to be done

    def to_dict(self) -> dict[str, str]:
        """Return the finding as JSON."""
        return {
            "level": self.level,
            "code": self.code,
            "product": self.product,
            "key": self.key,
            "message": self.message,
        }
