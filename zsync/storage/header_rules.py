"""What the user set of the headers that objects are stored with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsync.config import Storage


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """Headers, as the user set them.

    Attributes
    ----------
    content_types
        Glob and type; the first that fits wins, before the usual one.
    cache_control
        Stage and value.
    storage_class, tags
        Those of all objects.
    """

    content_types: tuple[tuple[str, str], ...] = ()
    cache_control: tuple[tuple[str, str], ...] = ()
    storage_class: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, storage: Storage) -> HeaderRules:
        """Return what the user's settings come to."""
        return cls(
            content_types=tuple(storage.content_type.items()),
            cache_control=tuple(sorted((str(stage), value) for stage, value in storage.cache_control.items())),
            storage_class=storage.storage_class,
            tags=tuple(sorted(storage.tags.items())),
        )
