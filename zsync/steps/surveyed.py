"""What is known of a product before anything is decided: both sides of it, put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.planning.flip import NO_FLIPS
from zsync.steps.consolidating import Consolidated

if TYPE_CHECKING:
    import pyarrow as pa

    from zsync.inventory import Selection
    from zsync.layout import Encodings, Layout
    from zsync.planning import Flips, Survey
    from zsync.publication import Part
    from zsync.steps.inspect import Inspected
    from zsync.steps.stock import Stock
    from zsync.transfer import HeaderPolicy
    from zsync.words import Finding, Kind


@dataclass(frozen=True, slots=True)
class Surveyed:
    """One product, with everything that its plan is made of.

    Attributes
    ----------
    parts
        The parts of its manifest that are known to be there.
    bare
        Keys of attributes that readers see, that the source does not have, and that will not stay.
    is_behind
        The manifest on record is to be written anew: it names what belongs to another product by now, or does not name
        what a run that was cut off has sent.
    consolidated
        What is done about consolidated metadata.
    edits
        Keys of what is replaced or retired though it is somebody's edit: it goes to the trash as well, as what the
        terms keep does.
    inspected
        The source as it is, under its own keys.
    moved
        Arrays of which the source names the chunks otherwise than when it was published last.
    misnamed
        Arrays of which the source has no chunk, but files that would be chunks by another encoding of their keys.
    flips
        Arrays that are published under other chunk keys than before.
    found
        How chunks are named that readers see, where that is on no record.
    unflipped
        `zsync.tables.PLAN` as it was with the keys before.
    """

    stock: Stock
    layout: Layout
    headers: HeaderPolicy
    survey: Survey
    findings: tuple[Finding, ...]
    selection: Selection
    parts: tuple[Part, ...]
    inspected: Inspected
    bare: frozenset[str] = frozenset()
    is_behind: bool = False
    consolidated: Consolidated = field(default_factory=lambda: Consolidated("auto"))
    edits: frozenset[str] = frozenset()
    moved: frozenset[tuple[str, str]] = frozenset()
    misnamed: frozenset[tuple[str, str]] = frozenset()
    flips: Flips = NO_FLIPS
    found: Encodings = field(default_factory=dict)
    unflipped: pa.Table | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The product's name."""
        return self.stock.product.name

    @property
    def kind(self) -> Kind:
        """What the product is."""
        return self.layout.kind
