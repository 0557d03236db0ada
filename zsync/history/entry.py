"""Publications as `zsync log` shows them: values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.publication import Publication, PublishedProduct


@dataclass(frozen=True, slots=True)
class Trash:
    """What is in the trash: how many objects, and their size in bytes."""

    objects: int = 0
    bytes: int = 0

    def __add__(self, other: Trash) -> Trash:
        return Trash(self.objects + other.objects, self.bytes + other.bytes)

    def to_dict(self) -> dict[str, int]:
        """Return it as JSON."""
        return {"objects": self.objects, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class EntryProduct:
    """One product's share in a publication.

    Attributes
    ----------
    share
        As it is on record.
    is_head
        Readers see it now.
    trash
        What of it the publication retired and is in the trash still.
    """

    share: PublishedProduct
    is_head: bool
    trash: Trash

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON; its manifest is in the record."""
        document = self.share.to_dict()
        del document["manifest"]
        return {**document, "head": self.is_head, "trash": self.trash.to_dict()}


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One publication, with those of its products that were asked about.

    Attributes
    ----------
    publication
        As it is on record.
    products
        Its products.
    """

    publication: Publication
    products: tuple[EntryProduct, ...]

    def __repr__(self) -> str:
        said = filter(None, (self.id, self.time, self.who, self.message))
        return f"<Entry: {', '.join(said)}>"

    @property
    def id(self) -> str:
        """Its id."""
        return self.publication.id

    @property
    def time(self) -> str:
        """When it was put on record, ISO 8601, UTC."""
        return self.publication.time

    @property
    def who(self) -> str:
        """Who made it."""
        by = self.publication.by
        return by.get("member") or f"{by.get('user', '?')}@{by.get('host', '?')}"

    @property
    def message(self) -> str | None:
        """What its publisher says of it."""
        return self.publication.remarks.message

    @property
    def restores(self) -> str | None:
        """Of a rollback: the earlier publication; of products that went back to several, the newest of them."""
        return max((item.share.restores for item in self.products if item.share.restores is not None), default=None)

    @property
    def meta(self) -> Mapping[str, str]:
        """What else they say, by name."""
        return self.publication.remarks.meta

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from."""
        return self.publication.remarks.provenance

    @property
    def parent(self) -> str | None:
        """The publication before it; of several products the newest that any of them had."""
        return max((item.share.parent for item in self.products if item.share.parent is not None), default=None)

    @property
    def objects(self) -> int:
        """How many objects the products have."""
        return sum(item.share.objects for item in self.products)

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(item.share.bytes for item in self.products)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "id": self.id,
            "time": self.time,
            "parent": self.parent,
            "by": dict(self.publication.by),
            **self.publication.remarks.to_dict(),
            **({} if self.restores is None else {"restores": self.restores}),
            "objects": self.objects,
            "bytes": self.bytes,
            "head": any(item.is_head for item in self.products),
            "products": [item.to_dict() for item in self.products],
        }
