"""A long listing from many places at once, and yet whole, whatever order the service lists in.

Each request begins after a key that is expected to be there (S3 API Reference, ListObjectsV2: ``start-after``). What it
shows counts up to a key that another request began after, and there that one goes on. So a request that began after a
key which is not there is never come to, and nothing is skipped: between two keys that both were shown all was shown.
That a listing which begins after a key goes on right behind it is seen, each time, by what the first of the two shows
there: services begin again, or leave out what is below a key that is an object as well.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from zsync.storage import PAGE, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from zsync.storage import Answer

_PLAIN = re.compile(r"[A-Za-z0-9._/-]*")
STEP = 950  # keys, of those that an answer holds: a few may be there that nobody expects
_FIRST = 4  # requests, before it is known whether anything is there at all
_AHEAD = 64  # requests from then on
_SEEN_BEHIND = 2  # keys: one to go on after, and what is behind it


class UnfitListingError(Exception):
    """A listing cannot be begun after a key here; it has to be made in another way."""


def bounds_among(keys: Sequence[str], step: int = STEP, most: int = PAGE) -> list[str]:
    """Return every so many of some keys; those that no client writes in another way.

    Parameters
    ----------
    most
        Keys that an answer holds: what the last one is expected to hold needs no bound.

    Examples
    --------
    >>> bounds_among(["a", "b", "c", "d%", "e", "f", "g", "h", "i"], step=2, most=3)
    ['b', 'f']
    """
    return [key for key in map(keys.__getitem__, range(step - 1, len(keys) - most + step - 1, step)) if is_plain(key)]


def is_plain(key: str) -> bool:
    """Return whether no client writes a key in another way."""
    return _PLAIN.fullmatch(key) is not None


def chained(ask: Callable[[str | None], Answer], bounds: Sequence[str]) -> Iterator[Page]:
    """Yield a listing, piece by piece.

    Parameters
    ----------
    ask
        Returns the answer to a listing that begins after a key, or at the beginning.
    bounds
        Keys that are expected to be there.

    Raises
    ------
    UnfitListingError
        The service does not go on after a key.

    Examples
    --------
    >>> from zsync.storage import Answer, Page
    >>> keys = ["a", "b", "c", "d", "e"]
    >>> def ask(key):
    ...     rest = keys[keys.index(key) + 1 if key in keys else 0 :]
    ...     return Answer(Page(rest[:3], [0] * 3, [None] * 3), is_last=len(rest) <= 3)
    >>> [list(page.keys) for page in chained(ask, ["b", "not there", "d"])]
    [['a', 'b'], ['c', 'd', 'e']]
    """
    places = {bound: number for number, bound in enumerate(bounds, 1)}
    with _Requests(ask, [None, *bounds]) as requests:
        answer = requests.answer(0)
        while not answer.is_last:
            shown = answer.page.keys
            if len(shown) < _SEEN_BEHIND:
                raise UnfitListingError
            known = (place for place in reversed(range(len(shown) - 1)) if shown[place] in places)
            cut = next(known, len(shown) - 2)
            yield _part(answer.page, cut + 1)
            number = places.pop(shown[cut], None)
            after = ask(shown[cut]) if number is None else requests.answer(number)
            behind = shown[cut + 1 :]
            if any(one != other for one, other in zip(behind, after.page.keys, strict=False)) or not after.page.keys:
                raise UnfitListingError
            answer = after
        yield answer.page


def _part(page: Page, count: int) -> Page:
    return Page(page.keys[:count], page.sizes[:count], page.etags[:count])


class _Requests:
    """Requests that are made ahead of where they are needed; a context that ends when all have."""

    def __init__(self, ask: Callable[[str | None], Answer], keys: Sequence[str | None]) -> None:
        self._ask, self._keys = ask, keys
        self._pool = ThreadPoolExecutor(min(_AHEAD, len(keys)), thread_name_prefix="zsync-list")
        self._made: dict[int, Future[Answer]] = {}
        self._next = 0
        self._ahead = _FIRST

    def answer(self, number: int) -> Answer:
        """Return the answer to one of the requests, and have those after it be on their way."""
        for passed in [made for made in self._made if made < number]:
            self._made.pop(passed).cancel()
        self._next = max(self._next, number)
        while self._next < min(number + self._ahead, len(self._keys)):
            self._made[self._next] = self._pool.submit(self._ask, self._keys[self._next])
            self._next += 1
        self._ahead = _AHEAD
        made = self._made.pop(number, None)
        return self._ask(self._keys[number]) if made is None else made.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
