"""What a reader of a dialect returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reading:
    """A document, understood.

    Parameters
    ----------
    doc
        The native document; not checked yet.
    notes
        What the document says that is not needed.
    nothing_to_do
        Why there is nothing to publish, if so.
    """

    doc: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    nothing_to_do: str | None = None
