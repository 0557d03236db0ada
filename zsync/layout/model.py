"""What a product turns out to be: its stores, their arrays, and a table of its objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from zsync.layout.grid import Grid
    from zsync.words import Finding, Kind


@dataclass(frozen=True, slots=True)
class Array:
    """An array of a store.

    Parameters
    ----------
    path
        The array's path in its store, "" where the store is itself one array.
    zarr_format
        2 or 3.
    shape
        The array's shape.
    grid
        The grid of its objects. None: its chunk grid or key encoding is not known here, so that every key below it
        counts as data and none can be missed.
    """

    path: str
    zarr_format: int
    shape: tuple[int, ...]
    grid: Grid | None


@dataclass(frozen=True, slots=True)
class Store:
    """One Zarr hierarchy inside a product.

    Parameters
    ----------
    prefix
        The directory of its root node, without a slash at its end; "" is the product's root.
    zarr_format
        The format of its root node, 2 or 3.
    documents
        Its metadata documents, parsed, by key relative to the store's root: ``t2m/.zarray``.
    arrays
        Its arrays, by path.
    groups
        The paths of the groups that have metadata of their own, the root's "" among them.
    """

    prefix: str
    zarr_format: int
    documents: Mapping[str, Any]
    arrays: Mapping[str, Array]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What every key of a product is.

    Parameters
    ----------
    kind
        The product's kind.
    objects
        One row a key, in the order of the keys given; schema `zsync.tables.OBJECTS`.
    stores
        The product's Zarr stores, by prefix.
    findings
        What is wrong or worth knowing, errors first.
    """

    kind: Kind
    objects: pa.Table
    stores: Mapping[str, Store]
    findings: tuple[Finding, ...]
