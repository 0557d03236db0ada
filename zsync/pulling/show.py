"""How the result of a pull is shown as text, for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zsync.report.format import human_bytes
from zsync.report.text import columns

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Product(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def received(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def retired(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class _Result(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def products(self) -> Sequence[_Product]: ...
    @property
    def seconds(self) -> float: ...


def pull_text(result: _Result) -> str:
    """Return what came of a pull, a line a product."""
    rows = [
        [
            item.name,
            f"{item.received:,} {'to fetch' if result.status == 'planned' else 'received'}",
            human_bytes(item.bytes),
            f"{item.unchanged:,} unchanged",
            f"{item.left:,} left alone",
            f"{item.retired:,} removed",
            item.path,
        ]
        for item in result.products
    ]
    said = {
        "pulled": "pulled",
        "unretired": "pulled, but some files that are not published any more could not be removed",
        "unchanged": "nothing to do",
        "planned": "planned, nothing written",
    }[result.status]
    return f"{columns(rows)}\n{said} ({result.seconds:.1f} s)" if rows else said
