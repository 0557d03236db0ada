"""What changed between two publications: their manifests are read, and what is told of the arrays that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.history.difference import borrowed, compare, differences
from zsync.history.known import known_of
from zsync.history.model import CHANGES, ProductDifference
from zsync.history.reading import AsPublished, Sight
from zsync.history.show import difference_shown, difference_text
from zsync.history.span import Span
from zsync.publication import Records, find_in_each
from zsync.publication.finding import before as before_it
from zsync.report.showing import Showing
from zsync.tables import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from zsync.history.model import ArrayPlace, Known
    from zsync.publication import Publication
    from zsync.publication.places import Place
    from zsync.report.shown import Part

Pair = tuple["Publication | None", "Publication | None"]


@dataclass(frozen=True, slots=True, repr=False)
class Difference(Showing):
    """What changed between two publications; shows itself in a notebook.

    Attributes
    ----------
    products
        What differs, product by product; one in which nothing does is among them.
    """

    products: tuple[ProductDifference, ...]

    def text(self) -> str:
        """Return it as the command prints it."""
        return difference_text(self.products)

    def brief(self) -> str:
        """Return it in a word or two."""
        count = sum(len(product.objects) for product in self.products)
        return f"{count:,} object{' differs' if count == 1 else 's differ'}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not any(len(product.objects) for product in self.products)

    def to_dict(self) -> dict[str, Any]:
        """Return the difference as JSON, object by object."""
        return {"products": [product.to_dict() for product in self.products]}

    def to_pandas(self) -> Any:
        """Return the difference as a pandas DataFrame, a row an object."""
        import pandas as pd

        rows = [{"url": product.url, **row} for product in self.products for row in product.rows()]
        return pd.DataFrame(rows, columns=["url", *CHANGES.names, "chunk"])

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        return difference_shown(self.products)


def between(places: Sequence[Place], text: str) -> Difference:
    """Return what changed between two publications.

    Parameters
    ----------
    places
        Where the products are.
    text
        Which two, as `Span` has it.

    Raises
    ------
    ConfigError
        There is no such publication.
    TargetError
        A manifest cannot be read.
    """
    records = [Records(place.store, place.state) for place in places]
    pairs = _pairs(records, Span.of(text))
    found = zip(places, pairs, strict=True)
    return Difference(tuple(_of_product(place, *pair) for place, pair in found if any(pair)))


def _pairs(products: Sequence[Records], span: Span) -> list[Pair]:
    """Return the two publications of each product."""
    last = find_in_each(products, span.last)
    if not span.is_one:
        first = [records.oldest() for records in products] if span.first is None else find_in_each(products, span.first)
        return list(zip(first, last, strict=True))
    newest = max(found.id for found in last if found is not None)
    return [
        (before_it(records, found), found) if found is not None and found.id == newest else (None, None)
        for records, found in zip(products, last, strict=True)
    ]


def _of_product(place: Place, before: Publication | None, after: Publication | None) -> ProductDifference:
    parts = [{part.digest for part in item.product.parts} if item is not None else set() for item in (before, after)]
    shared = frozenset(parts[0] & parts[1])
    sight = Sight(place)
    old, new = (AsPublished(sight, item, shared) for item in (before, after))
    changes = compare(old.own, new.own) if parts[0] != parts[1] else table_of([], CHANGES)
    known = _known(old, new, changes)
    first, last = (item.id if item is not None else None for item in (before, after))
    return ProductDifference(place.url, first, last, differences(changes, *known), changes, known)


def _known(
    old: AsPublished, new: AsPublished, changes: pa.Table
) -> tuple[Mapping[ArrayPlace, Known], Mapping[ArrayPlace, Known]]:
    """Return what is known of the arrays that differ, as they were and as they are."""
    columns = (changes[name].to_pylist() for name in ("store", "array"))
    places = dict.fromkeys(zip(*columns, strict=True))
    before, after = known_of(old, places), known_of(new, places)
    return borrowed(before, after), borrowed(after, before)
