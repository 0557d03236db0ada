"""The publications of products as a table: `zsync log`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError
from zsync.history.entry import Entry, EntryProduct, Trash
from zsync.history.show import log_shown, log_text
from zsync.inventory import list_target
from zsync.publication import Records
from zsync.report.showing import Showing
from zsync.tasks import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zsync.publication import Publication
    from zsync.publication.places import Place
    from zsync.report.shown import Part


class Log(list[Entry], Showing):
    """Publications, oldest first; shows itself in a notebook.

    Attributes
    ----------
    trash
        What is in the trash of each product, by URL.
    """

    def __init__(self, entries: Iterable[Entry] = (), trash: Mapping[str, Trash] | None = None) -> None:
        super().__init__(entries)
        self.trash = dict(trash or {})

    __repr__ = Showing.__repr__  # not that of a list

    def text(self) -> str:
        """Return it as the command prints it."""
        return log_text(self, self.trash)

    def brief(self) -> str:
        """Return it in a word or two."""
        count = f"{len(self):,} publication{'' if len(self) == 1 else 's'}"
        return f"{count}, the newest {self[-1].id}" if self else count

    def to_dict(self) -> list[dict[str, Any]]:
        """Return the publications as JSON."""
        return [entry.to_dict() for entry in self]

    def to_pandas(self) -> Any:
        """Return the publications as a pandas DataFrame, a row a publication and product."""
        import pandas as pd

        rows = []
        for entry in self:
            said = {"id": entry.id, "time": entry.time, "who": entry.who, "message": entry.message}
            for item in entry.products:
                document = item.to_dict()
                rows.append({**said, **document, "trash": item.trash.bytes})
        table = pd.DataFrame(rows)
        if rows:
            table["time"] = pd.to_datetime(table["time"])
        return table

    def shown(self) -> list[Part]:
        """Return what is to be seen of it."""
        return log_shown(self, self.trash)


def read_log(places: Sequence[Place], most: int | None) -> Log:
    """Return the publications of products.

    Parameters
    ----------
    places
        Where the products are.
    most
        How many, the newest; None for all.

    Raises
    ------
    ConfigError
        Nothing is published there.
    TargetError
        The store refuses, or cannot be reached.
    """
    read = side_by_side(lambda place: _read(place, most), places)
    heads = [records.head.publication for records, _, _ in read]
    shares: dict[str, list[EntryProduct]] = {}
    said: dict[str, Publication] = {}
    for (_, line, trashes), head in zip(read, heads, strict=True):
        for record in reversed(line):
            said[record.id] = record
            trash = trashes.get(record.id, Trash())
            shares.setdefault(record.id, []).append(EntryProduct(record.product, record.id == head, trash))
    if not said:
        raise ConfigError("nothing was ever published there", ", ".join(place.url for place in places), "check the URL")
    # Of one product the order is told by what each names as its parent; ids sort those of several.
    ids = list(said) if len(places) == 1 else sorted(said)
    entries = [Entry(said[name], tuple(shares[name])) for name in ids[-most if most is not None else 0 :]]
    return Log(entries, {place.url: sum(item[2].values(), Trash()) for place, item in zip(places, read, strict=True)})


def _read(place: Place, most: int | None) -> tuple[Records, list[Publication], dict[str, Trash]]:
    records = Records(place.store, place.state)
    line = records.newest(most)
    return records, line, trash_of(place)


def trash_of(place: Place) -> dict[str, Trash]:
    """Return what is in the trash of a product, by the publication that retired it."""
    listing = list_target(place.store, place.state.trashes)
    found: dict[str, Trash] = {}
    for key, size in zip(listing.keys, listing.sizes, strict=True):
        name = key.partition("/")[0]
        found[name] = found.get(name, Trash()) + Trash(1, size)
    return found
