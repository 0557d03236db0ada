"""The publications of a product: which there are, in which order they came, and which one is meant.

What was published is what a head named, one publication after the other: each names the one before it. Ids sort by the
clocks of those who made them, which is nearly the same. So records are read from the newest on, side by side and no
more than are asked for, and their order is told by what they name. A record that no head ever named is left by a
publish that was cut off in its last moment, and is nobody's publication.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import TYPE_CHECKING

from zsync.errors import ConfigError, ObjectNotFoundError, TargetError
from zsync.publication.record import is_id, read_head, read_record
from zsync.publication.state import time_of
from zsync.tasks import AT_ONCE, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from zsync.publication.manifest import Part
    from zsync.publication.record import Head, Publication
    from zsync.publication.state import StateKeys
    from zsync.storage import ObjectStore

log = logging.getLogger(__name__)

HEAD = "head"
RECORD = ".json"
_BACK = re.compile(r"head(?:~([0-9]{0,6}))?")
_WHOLE_ID = re.compile(r"[0-9]{8}T[0-9]{9}Z-[0-9a-f]{8}")
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2}))?(?::(?P<second>[0-9]{2}))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_FEW = 4  # records that are read to see whether one was ever a head
_SHOWN = 5
_HOW = "give an id of `zsync log`, the beginning of one, head, head~2, or a time like 2026-11-20"


class Records:
    """The records of one product, each read when it is asked for, and once.

    Parameters
    ----------
    store, keys
        Where they are.
    """

    def __init__(self, store: ObjectStore, keys: StateKeys) -> None:
        self._store = store
        self._keys = keys
        self._read: dict[str, Publication | None] = {}

    @property
    def url(self) -> str:
        """Where they are, for messages."""
        return self._store.url(self._keys.publications)

    @cached_property
    def head(self) -> Head:
        """The head of the product."""
        return read_head(self._store, self._keys)

    @cached_property
    def ids(self) -> list[str]:
        """All ids that have a record, oldest first."""
        return sorted(names_of(self._store, self._keys.publications, RECORD))

    def get(self, ids: Sequence[str]) -> list[Publication | None]:
        """Return some publications; None for those that are not on record, or cannot be read, which is said."""
        unread = [name for name in ids if name not in self._read]
        self._read |= dict(zip(unread, side_by_side(self._record, unread), strict=True))
        return [self._read[name] for name in ids]

    @property
    def _last(self) -> str | None:
        return self.head.publication or (self.ids[-1] if self.ids else None)

    def _record(self, publication_id: str) -> Publication | None:
        try:
            return read_record(self._store, self._keys, publication_id)
        except ObjectNotFoundError:
            return None
        except TargetError as error:
            log.warning("left out: %s", error)
            return None

    def newest(self, most: int | None = None) -> list[Publication]:
        """Return the publications that were, newest first: as many as there are, or the newest few.

        Where somebody moved the head away they begin with the newest on record.
        """
        found: list[Publication] = []
        seen = set[str]()
        at = self._last
        while at is not None and at not in seen and (most is None or len(found) < most):
            seen.add(at)
            record = self._with_older(at, None if most is None else most - len(found))
            if record is not None:
                found.append(record)
            at = self._before(at, record)
        return found

    def _with_older(self, at: str, most: int | None) -> Publication | None:
        """Return one publication; if it is to be read, older ones that will be asked for next come along."""
        if at not in self._read:
            end = bisect_left(self.ids, at)
            count = end if most is None else min(most, AT_ONCE) - 1
            self.get([at, *self.ids[max(0, end - count) : end]])
        return self._read[at]

    def _before(self, at: str, record: Publication | None) -> str | None:
        """Return what came before: what is named, or, where that is not on record, the next older one that is."""
        if record is not None and record.parent is not None and self._is_there(record.parent):
            return record.parent
        end = bisect_left(self.ids, at)
        return self.ids[end - 1] if end else None

    def _is_there(self, publication_id: str) -> bool:
        place = bisect_left(self.ids, publication_id)
        return place < len(self.ids) and self.ids[place] == publication_id

    def oldest(self) -> Publication | None:
        """Return the oldest publication on record; None if there is none."""
        for name in self.ids:
            [record] = self.get([name])
            if record is not None and self.was_head(name):
                return record
        return None

    def newest_of(self, ids: Sequence[str], fits: Callable[[Publication], bool]) -> Publication | None:
        """Return the newest of some publications that was ever the head's, and fits.

        Parameters
        ----------
        ids
            Oldest first, as in `ids`.
        """
        for start in range(len(ids), 0, -_FEW):
            for record in reversed(self.get(ids[max(0, start - _FEW) : start])):
                if record is not None and fits(record) and self.was_head(record.id):
                    return record
        return None

    def was_head(self, publication_id: str) -> bool:
        """Return whether a head ever named a publication: the next one names it as what came before."""
        if publication_id == self._last:
            return True
        for record in self._newer_than(publication_id):
            if record.parent == publication_id or record.parent is None:
                return True  # None: somebody moved the head away in between
            if record.parent < publication_id:
                return False
        return False

    def _newer_than(self, publication_id: str) -> Iterator[Publication]:
        newer = self.ids[bisect_right(self.ids, publication_id) :]
        for start in range(0, len(newer), _FEW):
            for record in self.get(newer[start : start + _FEW]):
                if record is not None:
                    yield record


def names_of(store: ObjectStore, prefix: str, suffix: str) -> dict[str, int]:
    """Return what is directly below a prefix of a product's state, without the suffix that all have, and its size."""
    base = f"{prefix}/"
    found = {}
    for page in store.list(base):
        for key, size in zip(page.keys, page.sizes, strict=True):
            name = key.removeprefix(base)
            if name.endswith(suffix) and is_id(name.removesuffix(suffix)):
                found[name.removesuffix(suffix)] = size
    return found


def find(records: Records, text: str) -> Publication:
    """Return the publication that a text means.

    Parameters
    ----------
    text
        An id, or the beginning of one that no other has; ``head``, ``head~2`` (two before it); or a time, of which the
        last publication is meant that was there when it was over: ``2026-11-20``, ``2026-11-20T12:30``; UTC, unless it
        says otherwise.

    Raises
    ------
    ConfigError
        There is none, or more than one.
    """
    if (back := _BACK.fullmatch(text)) is not None:
        return _before_head(records, text, int(back[1] or "~" in text))
    if _WHOLE_ID.fullmatch(text) and (record := records.get([text])[0]) is not None:
        return record
    if (end := end_of(text)) is not None:
        return _at_time(records, text, end)
    found = chosen(records.ids, text)
    if found is None:
        raise ConfigError("there is no such publication", f"{text} in {records.url}", _HOW)
    record = records.get([found])[0]
    if record is None:
        raise TargetError("the record of a publication cannot be read", f"{records.url}/{found}{RECORD}")
    return record


def before(records: Records, publication: Publication) -> Publication | None:
    """Return the publication of the product that came before another; None if that was the first.

    Raises
    ------
    ConfigError
        It is not on record any more.
    """
    if publication.parent is None:
        return None
    record = records.get([publication.parent])[0]
    if record is None:
        raise ConfigError("the publication before it is not on record any more", publication.id, "name two: A..B")
    return record


def chosen(ids: Collection[str], text: str) -> str | None:
    """Return the id that is, or begins with, a text; None if none does.

    Examples
    --------
    >>> chosen(["20261120T1", "20261121T1"], "20261121")
    '20261121T1'

    Raises
    ------
    ConfigError
        More than one does.
    """
    if text in ids:
        return text
    found = sorted(name for name in ids if text and name.startswith(text))
    if len(found) > 1:
        names = ", ".join(found[:_SHOWN])
        raise ConfigError(f"{len(found)} publications begin so", f"{text}: {names}", "give more of it")
    return found[0] if found else None


def end_of(text: str) -> dt.datetime | None:
    """Return when a day, an hour, a minute or a second is over; None if the text is none.

    Examples
    --------
    >>> end_of("2026-11-20").isoformat(), end_of("2026-11-20T12:30+02:00").isoformat(), end_of("2026112")
    ('2026-11-21T00:00:00+00:00', '2026-11-20T12:31:00+02:00', None)
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    parts = [match["hour"], match["minute"], match["second"]]
    lasts = {0: dt.timedelta(days=1), 1: dt.timedelta(hours=1), 2: dt.timedelta(minutes=1), 3: dt.timedelta(seconds=1)}
    clock = ":".join([*(part for part in parts if part), "00", "00", "00"][:3])
    try:
        begin = dt.datetime.fromisoformat(f"{match['day']}T{clock}{match['zone'] or 'Z'}")
        return begin + lasts[sum(part is not None for part in parts)]
    except (ValueError, OverflowError):
        return None


def _before_head(records: Records, text: str, count: int) -> Publication:
    if records.head.publication is None:
        raise ConfigError("nothing is published there", records.url, "check the URL")
    found = records.newest(count + 1)
    if len(found) > count:
        return found[count]
    raise ConfigError(_only(len(found)), f"{text} in {records.url}", _HOW)


def _only(count: int) -> str:
    return f"only {count} publication{' is' if count == 1 else 's are'} on record"


def _at_time(records: Records, text: str, end: dt.datetime) -> Publication:
    found = _newest_before(records, end)
    if found is None:
        first = f"the first on record is {records.ids[0]}" if records.ids else "nothing is on record"
        raise ConfigError("nothing was published by then", f"{text} in {records.url}", first)
    return found


def began_before(publication_id: str, instant: dt.datetime) -> bool:
    """Return whether a publication began before an instant; one whose id does not tell did not."""
    try:
        return time_of(publication_id) < instant
    except TargetError:
        return False


def is_stamped(publication_id: str) -> bool:
    """Return whether the id of a publication tells when it began."""
    return began_before(publication_id, dt.datetime.max.replace(tzinfo=dt.UTC))


def read_parts(store: ObjectStore, keys: StateKeys, at: str | None) -> tuple[tuple[Part, ...], str | None]:
    """Return the manifest of a publication, and its id; none of either if the product was never published.

    Parameters
    ----------
    at
        The publication, as `find` takes it; None: the current one.

    Raises
    ------
    ConfigError
        There is no such publication.
    """
    if at is None:
        head = read_head(store, keys)
        return head.parts, head.publication
    found = find(Records(store, keys), at)
    return found.product.parts, found.id


def find_in_each(products: Sequence[Records], text: str) -> list[Publication | None]:
    """Return what each of several products was at the publication that a text means.

    Not every publication is one of all products: of the others it is what they were published as before.

    Parameters
    ----------
    text
        As for `find`; ids, and what is counted from the head, are those of all products together.

    Returns
    -------
    list of Publication or None
        None for a product that was not published by then.

    Raises
    ------
    ConfigError
        No product was, or the text means none or more than one.
    """
    if len(products) == 1:
        return [find(products[0], text)]
    end = end_of(text)
    if end is not None:
        found = [_newest_before(records, end) for records in products]
    else:
        limit = _id_in_any(products, text)
        found = [
            records.newest_of([name for name in records.ids if name <= limit], lambda _: True) for records in products
        ]
    if not any(found):
        raise ConfigError("nothing was published by then", text, _HOW)
    return found


def _newest_before(records: Records, end: dt.datetime) -> Publication | None:
    began = [name for name in records.ids if began_before(name, end)]
    return records.newest_of(began, lambda record: record.instant < end)


def _id_in_any(products: Sequence[Records], text: str) -> str:
    if (back := _BACK.fullmatch(text)) is not None:
        count = int(back[1] or "~" in text)
        lines = side_by_side(lambda records: records.newest(count + 1), products)
        newest = sorted({record.id for line in lines for record in line}, reverse=True)
        if len(newest) <= count:
            raise ConfigError(_only(len(newest)), text, _HOW)
        return newest[count]
    found = chosen({name for records in products for name in records.ids}, text)
    if found is None:
        raise ConfigError("there is no such publication", text, _HOW)
    return found
