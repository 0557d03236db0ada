"""Which products go back, and to which publication each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zsync.errors import ConfigError
from zsync.printable import listed
from zsync.publication import Records, find_in_each
from zsync.publication.finding import end_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.publication import Publication
    from zsync.publication.places import Place


@dataclass(frozen=True, slots=True)
class Meant:
    """A product that goes back.

    Attributes
    ----------
    name
        What it is called.
    publication
        What it goes back to.
    """

    place: Place
    name: str
    publication: Publication


def meant_by(places: Sequence[Place], text: str, only: Sequence[str]) -> tuple[list[Meant], list[Place]]:
    """Return the products that go back together, and those that the publication did not hold.

    Parameters
    ----------
    places
        Where the products are.
    text
        The publication, as `zsync.publication.find` takes it. Of a time each product goes back to what it was then.
    only
        Names of products, or of their places; empty for all.

    Raises
    ------
    ConfigError
        There is no such publication, or no such product.
    """
    records = [Records(place.store, place.state) for place in places]
    found = find_in_each(records, text)
    newest = max(record.id for record in found if record is not None)
    is_time = end_of(text) is not None
    held = [record if record is not None and (is_time or record.id == newest) else None for record in found]
    pairs = list(zip(places, held, strict=True))
    meant = [Meant(place, record.product.name, record) for place, record in pairs if record is not None]
    others = [place for place, record in pairs if record is None]
    if only:
        meant, others = _only(meant, only), []
    if len({item.name for item in meant}) < len(meant):
        meant = [replace(item, name=item.place.location.name) for item in meant]
    return meant, others


def _only(meant: Sequence[Meant], only: Sequence[str]) -> list[Meant]:
    names = [{item.name, item.place.location.name} for item in meant]
    for name in only:
        if not any(name in known for known in names):
            there = listed([item.name for item in meant])
            raise ConfigError("the publication holds no such product", f"only: {name}", f"it holds {there}")
    return [item for item, known in zip(meant, names, strict=True) if not known.isdisjoint(only)]
