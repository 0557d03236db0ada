"""How the result of a publish is shown as text, for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zsync.printable import printable
from zsync.report.format import human_bytes, many
from zsync.report.text import columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zsync.planning import Plan


class _Product(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def sent(self) -> int: ...
    @property
    def copied(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def retired(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class _Result(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def note(self) -> str | None: ...
    @property
    def products(self) -> Sequence[_Product]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def restores(self) -> str | None: ...
    @property
    def publication(self) -> str | None: ...


def result_text(result: _Result) -> str:
    """Return what came of a publish, a line a product."""
    if result.note is not None:
        return printable(result.note)
    if result.status == "unchanged":
        count = sum(product.unchanged for product in result.products)
        return f"nothing to do: {many(count, 'object')} unchanged, 0 sent ({result.seconds:.1f} s)"
    rows = [
        [
            product.name,
            f"{product.sent:,} sent",
            human_bytes(product.bytes),
            f"{product.copied:,} copied",
            f"{product.unchanged:,} unchanged",
            f"{product.retired:,} retired",
            product.url,
        ]
        for product in result.products
    ]
    but = "" if result.status != "unretired" else "; not all that is gone from the source could be retired"
    back = "" if result.restores is None else f", a rollback to {result.restores},"
    if not any(product.copied for product in result.products):
        rows = [[*row[:3], *row[4:]] for row in rows]
    return f"{columns(rows)}\npublished {result.publication}{back} in {result.seconds:.1f} s{but}"


def object_lines(plan: Plan) -> Iterator[str]:
    """Yield what is to be done with each object, and why, in the order of doing it, as the log tells it then."""
    from zsync.tables import each_row

    for wave in plan.waves():
        for action, product, key, size, reason in each_row(wave.table, ("action", "product", "key", "size", "reason")):
            yield f"{wave.stage}: {action} {product}/{key}, {reason} ({size or 0} bytes)"
