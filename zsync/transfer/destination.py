"""Where the objects of a product go, and what is done there with those that they replace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsync.inventory import Origin
    from zsync.publication import StateKeys
    from zsync.publication.claims import Claim
    from zsync.storage import StoreSpec
    from zsync.transfer.headers import HeaderPolicy


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a product's objects go.

    Attributes
    ----------
    prefix
        The product's prefix in the bucket, empty or ending in ``/``.
    origin
        The product's source.
    publication
        Id of the publication: the trash is kept by it.
    trashes
        Retired objects go to the trash; else they are deleted.
    keeps
        Keys, each with what is below it, of which what is replaced goes to the trash too.
    leaves_moving
        A file outside stores that changes meanwhile is left out; else it ends the work, as one in a store does.
    copies
        What the source holds is in the same bucket, which copies it by itself.
    """

    store: StoreSpec
    prefix: str
    origin: Origin
    headers: HeaderPolicy
    state: StateKeys
    publication: str
    trashes: bool
    keeps: frozenset[str] = frozenset()
    leaves_moving: bool = False
    copies: bool = False

    @property
    def claim(self) -> Claim:
        """What a worker asks for whether it still may."""
        return self.publication, self.state.prefix
