"""How publications, and what changed between two of them, are shown: as text, and as tables in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.history.model import CHANGED, HEADERS, KINDS, NEW, REMOVED
from zsync.printable import listed, printable
from zsync.report.format import human_bytes
from zsync.report.html import ROWS
from zsync.report.shown import Folded, Line, Table
from zsync.report.text import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.history.entry import Entry, Trash
    from zsync.history.model import Along, ArrayDifference, ProductDifference, Range
    from zsync.publication import Pruned
    from zsync.report.shown import Part

_HEAD = (
    "", "publication", "time", "who", "product", "sent", "unchanged", "retired", "size sent", "size", "trash",
    "message",
)  # fmt: skip
_RANGES = 3  # along one axis, for people
_NAMES = 5
_LINES = 100
_NEWEST = 10  # publications that are not folded
_MESSAGE = 60  # characters


def log_text(log: Sequence[Entry], trash: Mapping[str, Trash]) -> str:
    """Return publications, a line each and product, newest last."""
    rows = [[f"{column:,}" if isinstance(column, int) else str(column) for column in row] for row in _log_rows(log)]
    lines = [columns([_HEAD, *rows]), *_trash_lines(trash)]
    return "\n".join(lines)


def log_shown(log: Sequence[Entry], trash: Mapping[str, Trash]) -> list[Part]:
    """Return publications as a table, newest last; of many only the newest."""
    newest, older = log[-_NEWEST:], log[:-_NEWEST][-ROWS:]
    count = f"{len(log):,} publications" if len(log) != 1 else "1 publication"
    folded = [Folded(f"{len(log) - len(newest):,} older ones", _table(older))] if older else []
    left_out = len(log) - len(newest) - len(older)
    hidden = [Line(f"{left_out:,} still older ones are not shown here")] if left_out else []
    return [Line("", count), *hidden, *folded, _table(newest), *(Line(line) for line in _trash_lines(trash))]


def _table(log: Sequence[Entry]) -> Table:
    return Table(_HEAD, _log_rows(log)).without_blanks()


def _log_rows(log: Sequence[Entry]) -> list[list[object]]:
    rows: list[list[object]] = []
    for entry in log:
        for number, item in enumerate(entry.products):
            share = item.share
            said = (entry.id, entry.time, entry.who) if not number else ("", "", "")
            rows.append([
                "head" if item.is_head else "", *said, share.name, share.sent, share.unchanged, share.retired,
                human_bytes(share.bytes_sent), human_bytes(share.bytes),
                human_bytes(item.trash.bytes) if item.trash.objects else "",
                _said(entry) if not number else "",
            ])  # fmt: skip
    return rows


def _said(entry: Entry) -> str:
    said = [f"rollback to {entry.restores}"] if entry.restores is not None else []
    return "; ".join([*said, *([_short(entry.message)] if entry.message else [])])


def _short(message: str | None) -> str:
    text = " ".join((message or "").split())
    return text if len(text) <= _MESSAGE else f"{text[: _MESSAGE - 3]}..."


def _trash_lines(trash: Mapping[str, Trash]) -> list[str]:
    return [
        printable(f"in the trash of {url}: {_objects(item.objects)}, {human_bytes(item.bytes)}")
        for url, item in sorted(trash.items())
        if item.objects
    ]


def pruned_text(pruned: Sequence[Pruned], *, is_dry: bool) -> str:
    """Return what went of each product, or would go."""
    lines = []
    for item in pruned:
        if item.is_empty:
            lines.append(f"{item.url}: nothing goes")
            continue
        gone = [_many(len(item.publications), "publication"), _many(len(item.parts), "part", "of manifests")]
        lines.append(f"{item.url}: {'would go' if is_dry else 'gone'}: {', '.join(gone)}, {human_bytes(item.bytes)}")
        lines += [f"  {name}" for name in item.publications]
        if item.trash_objects:
            lines.append(f"  from the trash: {_objects(item.trash_objects)}, {human_bytes(item.trash_bytes)}")
    return "\n".join(map(printable, lines))


def _many(count: int, what: str, of: str = "") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'} {of}".rstrip()


def difference_text(products: Sequence[ProductDifference]) -> str:
    """Return what changed, a line an array."""
    lines = []
    for product in products:
        lines.append(printable(f"{product.url}: {_titled(product)}"))
        rows = [[f"  {cell}" if not number else str(cell) for number, cell in enumerate(row)] for row in _rows(product)]
        if rows:
            lines.append(columns(rows[:_LINES]))
        if len(rows) > _LINES:
            lines.append(f"  and {len(rows) - _LINES:,} more; --json has all")
    return "\n".join(lines) if lines else "nothing was published by then"


def difference_shown(products: Sequence[ProductDifference]) -> list[Part]:
    """Return what changed as tables, one a product."""
    parts: list[Part] = []
    for product in products:
        parts.append(Line(_titled(product), product.url))
        if rows := _rows(product):
            parts.append(Table(("array", "chunks", "size", "where", "besides"), rows))
    return parts


def _titled(product: ProductDifference) -> str:
    """Return which publications are compared, and how much changed."""
    span = f"{product.before or 'nothing'}..{product.after or 'nothing'}"
    if not product.arrays:
        return f"{span}: nothing changed"
    size = sum(item.bytes for item in product.arrays)
    return f"{span}: {_objects(len(product.objects))}, {human_bytes(size)} new or changed"


def _rows(product: ProductDifference) -> list[list[str]]:
    return [_row(item, product) for item in product.arrays]


def _row(item: ArrayDifference, product: ProductDifference) -> list[str]:
    name = item.name if item.store is not None else "(files)"
    size = human_bytes(item.bytes + item.bytes_removed)
    return [name, _counts(item.chunks), size, where(item), _besides(item, product)]


def _counts(counts: Mapping[str, int]) -> str:
    words = {NEW: "new", CHANGED: "changed", REMOVED: "removed", HEADERS: "with other headers"}
    return ", ".join(f"{counts[kind]:,} {words[kind]}" for kind in KINDS if counts.get(kind))


def where(item: ArrayDifference) -> str:
    """Return where the chunks lie: of each kind of change the ranges along the axes that are not all of it."""
    said = {kind: _axes_text(axes, is_block=item.is_block(kind)) for kind, axes in item.along.items()}
    if len(said) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{kind} {text}" for kind, text in said.items())


def _axes_text(axes: Sequence[Along], *, is_block: bool) -> str:
    parts = [f"{axis.dimension} {_ranges_text(axis.ranges)}" for axis in axes if not axis.is_all]
    if not parts:
        return "all of it" if is_block else "some of it"
    return ", ".join(parts) if is_block else f"some of {', '.join(parts)}"


def _ranges_text(ranges: Sequence[Range]) -> str:
    return listed([_range_text(item) for item in ranges], _RANGES)


def _range_text(item: Range) -> str:
    if item.labels is not None:
        first, last = item.labels
        return first if first == last else f"{first}..{last}"
    first_index, last_index = item.chunks if item.cells is None else item.cells
    text = f"[{first_index}]" if first_index == last_index else f"[{first_index}..{last_index}]"
    return f"chunks {text}" if item.cells is None else text


def _besides(item: ArrayDifference, product: ProductDifference) -> str:
    """Return what changed besides chunks: the shape, metadata, or which files."""
    said = []
    if item.array is not None and item.shape_before != item.shape and item.shape_before and item.shape:
        said.append(f"shape {_shape(item.shape_before)} -> {_shape(item.shape)}")
    if item.others and item.store is not None:
        said.append(f"metadata: {_counts(item.others)}")
    elif item.others:
        files = product.objects.to_pylist()
        names = [row["key"] for row in files if row["store"] is None]
        said.append(f"{_counts(item.others)}: {listed(names, _NAMES)}")
    return "; ".join(said)


def _objects(count: int) -> str:
    return f"{count:,} objects" if count != 1 else "1 object"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
