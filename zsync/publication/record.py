"""Publications and heads: what was published when, by whom, and which of it is current."""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zsync.errors import ConflictError, ObjectNotFoundError, PreconditionError, TargetError
from zsync.publication.conditional import STATE_HEADERS, write_document
from zsync.publication.manifest import Part
from zsync.publication.process import this_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

FORMAT = 1
MOST_BYTES = 64 * 2**20  # of a head, or a record
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")  # it becomes a part of keys
_NAMED = 20  # products of a publication of which every record names all
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, OverflowError, StopIteration, RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """The pointer to a product's current publication, as it was read.

    Attributes
    ----------
    publication
        Id of the publication, or None if the product was never published.
    parts
        Its manifest.
    etag
        ETag of the head itself, for the condition of the next move; None if it is absent.
    version
        Its version, where the bucket keeps versions.
    restores
        The publication is a rollback to this earlier one.
    undoes
        What was last published from a source before that: publishing it once more would undo the rollback.
    """

    publication: str | None = None
    parts: tuple[Part, ...] = ()
    etag: str | None = None
    version: str | None = None
    restores: str | None = None
    undoes: str | None = None

    @property
    def is_versioned(self) -> bool:
        """Whether the bucket is known to keep versions."""
        return self.version not in (None, "null")


@dataclass(frozen=True, slots=True)
class PublishedProduct:
    """One product's share in a publication.

    Attributes
    ----------
    restores
        Of a rollback: the earlier publication that it is equal to.
    undoes
        Of a rollback: what was last published from a source before it.
    copied
        Objects that the service copied, for chunks got other keys.
    """

    name: str
    url: str
    kind: str
    parent: str | None
    sent: int
    unchanged: int
    retired: int
    bytes_sent: int
    parts: tuple[Part, ...]
    restores: str | None = None
    undoes: str | None = None
    copied: int = 0

    @property
    def objects(self) -> int:
        """Number of objects of the product."""
        return sum(part.objects for part in self.parts)

    @property
    def bytes(self) -> int:
        """Size of the product, in bytes."""
        return sum(part.bytes for part in self.parts)

    def in_brief(self) -> dict[str, Any]:
        """Return what the records of others tell of it, as JSON."""
        return {"name": self.name, "url": self.url, "kind": self.kind, "objects": self.objects, "bytes": self.bytes}

    def to_dict(self) -> dict[str, Any]:
        """Return the share as JSON."""
        return {
            "name": self.name,
            "url": self.url,
            "kind": self.kind,
            "parent": self.parent,
            "objects": self.objects,
            "bytes": self.bytes,
            "sent": self.sent,
            "unchanged": self.unchanged,
            "retired": self.retired,
            "bytes_sent": self.bytes_sent,
            **({"copied": self.copied} if self.copied else {}),
            **self.rolled_back(),
            "manifest": [part.to_dict() for part in self.parts],
        }

    def rolled_back(self) -> dict[str, str]:
        """Return what there is to say of a rollback, as JSON."""
        said = {"restores": self.restores, "undoes": self.undoes}
        return {name: value for name, value in said.items() if value is not None}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> PublishedProduct:
        """Read a share from JSON.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is none.
        """
        parent = document["parent"]
        restores, undoes = _rolled_back(document)
        return cls(
            name=_text(document["name"]),
            url=_text(document["url"]),
            kind=_text(document["kind"]),
            parent=None if parent is None else _id_of(parent),
            sent=_count(document["sent"]),
            unchanged=_count(document["unchanged"]),
            retired=_count(document["retired"]),
            bytes_sent=_count(document["bytes_sent"]),
            parts=tuple(Part.from_dict(part) for part in document["manifest"]),
            restores=restores,
            undoes=undoes,
            copied=_count(document.get("copied", 0)),
        )


@dataclass(frozen=True, slots=True)
class Remarks:
    """What is said of a publication besides what was done.

    Attributes
    ----------
    message
        What its publisher says of it.
    meta
        What else they say, by name.
    provenance
        Where it comes from, as far as that could be found out: JSON.
    """

    message: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what there is of them as JSON."""
        said = {"message": self.message, "meta": dict(self.meta), "provenance": dict(self.provenance)}
        return {name: value for name, value in said.items() if value}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Remarks:
        """Read them from the JSON of a record; what is none of them is left out: it says nothing of what was done."""
        message, meta, provenance = (document.get(name) for name in ("message", "meta", "provenance"))
        return cls(
            message if isinstance(message, str) else None,
            {name: str(value) for name, value in meta.items()} if isinstance(meta, dict) else {},
            provenance if isinstance(provenance, dict) else {},
        )


NO_REMARKS = Remarks()


@dataclass(frozen=True, slots=True)
class Publication:
    """One committed run: its products, when, and who.

    Attributes
    ----------
    id
        It sorts by time.
    time
        When it was put on record, ISO 8601, UTC.
    by
        Who made it: user, host, version of zsync, and what tells the process from all others.
    products
        All of them; of one that was read from a record, only the product that the record is kept beside.
    objects, bytes
        Of all products together.
    remarks
        What else is said of it.
    """

    id: str
    time: str
    by: Mapping[str, str]
    products: tuple[PublishedProduct, ...]
    objects: int
    bytes: int
    remarks: Remarks = NO_REMARKS
    write_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def now(
        cls,
        publication_id: str,
        products: tuple[PublishedProduct, ...],
        version: str,
        member: str | None = None,
        remarks: Remarks = NO_REMARKS,
    ) -> Publication:
        """Return the record of a run that ends now; `member` is who made it, to the others of a team."""
        by = this_process(version) | ({"member": member} if member else {})
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        objects, size = sum(item.objects for item in products), sum(item.bytes for item in products)
        return cls(publication_id, now, by, products, objects, size, remarks)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Publication:
        """Read the record that is kept beside a product.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError, StopIteration
            It is none.
        """
        mine = next(item for item in document["products"] if item["name"] == document["product"])
        when = _text(document["time"])
        if dt.datetime.fromisoformat(when).tzinfo is None:
            raise ValueError("this time has no zone")
        return cls(
            _id_of(document["id"]),
            when,
            {str(name): str(value) for name, value in document["by"].items()},
            (PublishedProduct.from_dict(mine),),
            _count(document["objects"]),
            _count(document["bytes"]),
            Remarks.from_dict(document),
            str(document.get("write_id")),
        )

    @property
    def product(self) -> PublishedProduct:
        """The product, or the first of them."""
        return self.products[0]

    @property
    def parent(self) -> str | None:
        """The publication of the product that came before; None if there was none."""
        return self.product.parent

    @property
    def instant(self) -> dt.datetime:
        """When it was put on record."""
        return dt.datetime.fromisoformat(self.time)

    def to_dict(self, product: PublishedProduct) -> dict[str, Any]:
        """Return the record as JSON, as it is kept beside `product`.

        It tells all of that product. Of the others it names a few: together, records must not grow with the square of
        the number of products. Those that are not named have records of the same id beside them.
        """
        others = [item for item in self.products if item is not product] if len(self.products) <= _NAMED else []
        return {
            "format": FORMAT,
            "id": self.id,
            "time": self.time,
            "parent": product.parent,
            "by": self.by,
            **self.remarks.to_dict(),
            "product": product.name,
            "objects": self.objects,
            "bytes": self.bytes,
            "number_of_products": len(self.products),
            "products": [product.to_dict(), *(item.in_brief() for item in others)],
            "write_id": self.write_id,
        }


def read_head(store: ObjectStore, keys: StateKeys) -> Head:
    """Return a product's head.

    Raises
    ------
    TargetError
        The head is not one that this version understands: publishing over it could undo what a newer one did.
    NoBucketError
        The bucket does not exist.
    """
    try:
        found = store.get(keys.head, most=MOST_BYTES)
    except ObjectNotFoundError:
        return Head()
    try:
        document = json.loads(found.data)
        if document["format"] > FORMAT:
            raise TargetError("the product was published by a newer zsync", store.url(keys.head), "upgrade zsync")
        parts = tuple(Part.from_dict(part) for part in document["manifest"])
        return Head(_id_of(document["publication"]), parts, found.etag, found.version, *_rolled_back(document))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise TargetError(
            "the head cannot be read",
            store.url(keys.head),
            "move it away to have the product compared object by object",
        ) from error


def _id_of(text: Any) -> str:
    if not isinstance(text, str) or _ID.fullmatch(text) is None:
        raise ValueError("this is no id of a publication")
    return text


def _rolled_back(document: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return which publication one restores, and which it undoes, if it is a rollback."""
    restores, undoes = (document.get(name) for name in ("restores", "undoes"))
    return None if restores is None else _id_of(restores), None if undoes is None else _id_of(undoes)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("this is no text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("this is no number of objects or bytes")
    return value


def is_id(text: str) -> bool:
    """Return whether a text may be the id of a publication: it becomes a part of keys."""
    return _ID.fullmatch(text) is not None


def read_record(store: ObjectStore, keys: StateKeys, publication_id: str) -> Publication:
    """Return a publication as it is on record beside one of its products.

    Raises
    ------
    ObjectNotFoundError
        There is no such publication.
    TargetError
        The record cannot be read.
    """
    key = keys.publication(publication_id)
    try:
        document = json.loads(store.get(key, most=MOST_BYTES).data)
        is_newer = document["format"] > FORMAT
        found = None if is_newer else Publication.from_dict(document)
    except _UNREADABLE as error:
        raise TargetError("the record of a publication cannot be read", store.url(key)) from error
    if found is None:
        raise TargetError("the publication was made by a newer zsync", store.url(key), "upgrade zsync")
    if found.id != publication_id:
        raise TargetError("the record of a publication is that of another", store.url(key))
    return found


def write_record(store: ObjectStore, keys: StateKeys, publication: Publication, product: PublishedProduct) -> None:
    """Write the record of a publication beside one of its products; nobody asks for it before a head names it."""
    record = publication.to_dict(product)
    store.put(keys.publication(publication.id), json.dumps(record, indent=1).encode(), STATE_HEADERS)


def move_head(
    store: ObjectStore, keys: StateKeys, head: Head, publication: Publication, product: PublishedProduct
) -> Head:
    """Move a product's head to a publication of which everything else is written: with that it is committed.

    Parameters
    ----------
    head
        The head as it was read before the work began; if it moved since, somebody else published.

    Raises
    ------
    ConflictError
        The head moved.
    """
    document = {
        "format": FORMAT,
        "publication": publication.id,
        "time": publication.time,
        "product": product.name,
        "objects": product.objects,
        "bytes": product.bytes,
        **product.rolled_back(),
        "manifest": [part.to_dict() for part in product.parts],
        "write_id": publication.write_id,
    }
    if not store.capabilities.conditional_put:
        stored = store.put(keys.head, json.dumps(document, indent=1).encode(), STATE_HEADERS)
    else:
        try:
            stored = write_document(store, keys.head, document, head.etag)
        except PreconditionError as error:
            raise ConflictError(
                "somebody else published meanwhile: the head moved", store.url(keys.head), "publish again"
            ) from error
    head = Head(publication.id, product.parts, restores=product.restores, undoes=product.undoes)
    return replace(head, etag=stored.etag, version=stored.version)
