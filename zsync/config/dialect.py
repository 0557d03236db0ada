"""What a reader of a dialect returns."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic asks for it when a model has such a field
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ConfigOrigin:
    """Where a configuration comes from, for the record of what is published by it; no part of what it says.

    Attributes
    ----------
    file
        The file that it was read from; None if it was none.
    titles
        What a pipeline's run configuration calls what it makes, by product.
    """

    file: str | None = field(default=None, compare=False)
    titles: Mapping[str, str] = field(default_factory=dict, compare=False)


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
    titles
        What the document calls what is published, by product.
    file
        The file that says most of it, where the document is none.
    """

    doc: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    nothing_to_do: str | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None
