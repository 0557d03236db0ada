"""Credentials that were given explicitly, on their way to processes that work for this one: from memory to memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zsync.storage.spec import kept_keys, leave, put_away

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zsync.storage.spec import StoreSpec


@dataclass(frozen=True, slots=True)
class Handed:
    """Credentials of some specs; they never show."""

    kept: Mapping[str, Mapping[str, str]] = field(repr=False)

    @classmethod
    def of(cls, specs: Iterable[StoreSpec]) -> Handed:
        """Return what was given explicitly for some specs."""
        return cls({spec.credentials: keys for spec in specs if (keys := kept_keys(spec)) is not None})

    @property
    def names(self) -> frozenset[str]:
        """What specs call them."""
        return frozenset(self.kept)


_taken: set[str] = set()


def take_over(handed: Handed) -> None:
    """Keep credentials in this process, as if they had been given to it."""
    for name, keys in handed.kept.items():
        if put_away(name, keys):
            _taken.add(name)


def forget(handed: Handed) -> None:
    """Forget what was taken over; what was given to this process itself stays."""
    for name in _taken & handed.names:
        _taken.discard(name)
        leave(name)
