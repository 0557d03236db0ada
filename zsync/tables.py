"""The Arrow tables that flow between the rooms, and the words in them.

A *source* inventory is what a scan found, a *target* inventory what a listing found, a *manifest* what was published.
All three are keyed by `key`, relative to the product's root, with ``/`` between its parts. A *plan* joins them.

Digests are BLAKE3, 64 hexadecimal characters. ETags are without quotes. Sizes are in bytes, times in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import pyarrow as pa


PART_SIZE = 64 * 2**20  # bytes; an object up to this size goes up in one part, and its ETag then is its MD5


class Kind(StrEnum):
    """What a product is."""

    ZARR = "zarr"
    COG = "cog"
    FILES = "files"


class Stage(StrEnum):
    """The place of an object in the order of publishing (the order of the members is that order)."""

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
    COG = "cog"  # a GeoTIFF of a cog product
    SIDECAR = "sidecar"  # .aux.xml, .msk, .ovr beside a GeoTIFF
    INDEX = "index"  # VRT, STAC, index JSON: refers to others
    FILE = "file"  # an object of a `files` product
    FOREIGN = "foreign"  # an object that the product's format does not know


class Action(StrEnum):
    """What a plan does with an object."""

    SEND = "send"
    UNCHANGED = "unchanged"
    RETIRE = "retire"
    KEEP = "keep"  # in the target only, and stays there


class Reason(StrEnum):
    """Why a plan does it."""

    NEW = "new"  # not in the target
    CHANGED = "changed"  # other bytes than those published
    FOREIGN_WRITE = "overwritten by others"  # the target no longer holds what was published
    UNKNOWN = "unknown content"  # the target's content cannot be known from a listing
    HEADERS = "headers"  # same bytes, other content type, cache control, storage class, ...
    GENERATED = "consolidated anew"  # consolidated metadata made by zsync
    SAME = "same content"
    GONE = "gone from the source"
    VANISHED = "vanished chunk"  # a chunk inside its array's grid that was published and is now gone: fill value, or lost
    NOT_SELECTED = "not selected"  # left out by only, include, exclude
    POLICY = "retire: keep"


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


SOURCE = pa.schema(
    [
        ("key", pa.string()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("inode", pa.uint64()),
        ("digest", pa.string()),  # null: not known yet
        ("etag", pa.string()),  # what S3 would give these bytes, in the form that the target's ETag has; null: not asked
    ]
)

TARGET = pa.schema([("key", pa.string()), ("size", pa.int64()), ("etag", pa.string())])

OBJECTS = pa.schema(
    [
        ("key", pa.string()),
        ("store", pa.string()),  # key prefix of the store's root, "" for the product's root; null outside any store
        ("array", pa.string()),  # path of the array within its store, "" if the store is an array; null outside arrays
        ("role", pa.string()),
        ("stage", pa.string()),
        ("rank", pa.int32()),  # order inside the stage, ascending; equal ranks may go together
        ("in_grid", pa.bool_()),  # the key is a chunk and lies inside its array's grid
    ]
)

MANIFEST = pa.schema(
    [
        ("key", pa.string()),
        ("source_key", pa.string()),  # differs from key where an array's published key encoding is not the source's
        ("size", pa.int64()),
        ("digest", pa.string()),
        ("etag", pa.string()),
        ("version", pa.string()),
        ("store", pa.string()),
        ("array", pa.string()),
        ("stage", pa.string()),
        ("headers", pa.string()),  # digest of content type, cache control, storage class, ...: their drift is invisible to an ETag
    ]
)

PLAN = pa.schema(
    [
        ("product", pa.string()),
        ("key", pa.string()),
        ("source_key", pa.string()),  # null: generated, or only in the target
        ("store", pa.string()),
        ("array", pa.string()),
        ("role", pa.string()),
        ("stage", pa.string()),
        ("rank", pa.int32()),
        ("action", pa.string()),
        ("reason", pa.string()),
        ("size", pa.int64()),
        ("digest", pa.string()),  # null: a new object, hashed while it is sent
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("inode", pa.uint64()),
        ("etag", pa.string()),  # what the target holds now; null if nothing
        ("version", pa.string()),
        ("headers", pa.string()),
    ]
)
