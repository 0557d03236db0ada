"""How closely is looked at products, and what each comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsync.verifying.asking import Found
    from zsync.verifying.difference import Difference
    from zsync.verifying.sampling import Sample
    from zsync.words import Finding, Kind


@dataclass(frozen=True, slots=True)
class Depth:
    """How closely is looked.

    Attributes
    ----------
    bytes
        Which objects are read; None for none.
    headers
        Of all objects the headers are asked for; else of some.
    as_reader
        Stores and rasters are opened, and some of them decoded.
    zarr_checksum
        DANDI's digest of each store is computed.
    at
        Id of the publication that is compared with; None: the current one.
    seed
        Chooses what is looked at.
    ignore
        Kinds of differences that do not matter.
    scheduler, workers
        What reads bytes, and how many at a time.
    """

    bytes: Sample | None = None
    headers: bool = False
    as_reader: bool = False
    zarr_checksum: bool = False
    at: str | None = None
    seed: int = 0
    ignore: tuple[str, ...] = ()
    scheduler: str = "threads"
    workers: int | str = "auto"


@dataclass(slots=True)
class Looked:
    """What one product comes to, as it becomes known.

    Attributes
    ----------
    documents
        Metadata that was read, by key.
    touched
        Keys of files of which only the times changed.
    headers, read, read_bytes
        Of how many objects the headers were asked for, how many were read, and their size.
    is_sampled
        The seed chose them.
    """

    found: Found
    kind: Kind
    differences: list[Difference] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    headers: int = 0
    is_sampled: bool = False
    read: int = 0
    read_bytes: int = 0
    checksums: dict[str, str] = field(default_factory=dict)
