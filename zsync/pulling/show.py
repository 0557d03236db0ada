"""How the result of a pull is shown as text, for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zsync.report.format import human_bytes, many
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
    def to_fetch(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def retired(self) -> int: ...
    @property
    def to_remove(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def bytes_to_fetch(self) -> int: ...


class _Result(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def products(self) -> Sequence[_Product]: ...
    @property
    def seconds(self) -> float: ...


def pull_text(result: _Result) -> str:
    """Return what came of a pull, a line a product, and the sum."""
    is_planned = result.status == "planned"
    rows = [
        [
            item.name,
            f"{item.received + item.to_fetch:,} {'to fetch' if is_planned else 'received'}",
            human_bytes(item.bytes + item.bytes_to_fetch),
            f"{item.unchanged:,} unchanged",
            f"{item.left:,} left alone",
            f"{item.retired + item.to_remove:,} {'to remove' if is_planned else 'removed'}",
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
    count = sum(item.received + item.to_fetch for item in result.products)
    size = sum(item.bytes + item.bytes_to_fetch for item in result.products)
    amount = f": {many(count, 'object')}, {human_bytes(size)}" if count else ""
    return f"{columns(rows)}\n{said}{amount} ({result.seconds:.1f} s)" if rows else said
