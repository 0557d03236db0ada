"""What the commands print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.report.format import human_bytes, place
from zsync.words import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.planning import Plan
    from zsync.verbs.publish import PublishResult
    from zsync.words import Finding

_LINES = 60


def result_text(result: PublishResult) -> str:
    """Return what came of a publish, a line a product."""
    if result.note is not None:
        return result.note
    if result.status == "unchanged":
        count = sum(product.unchanged for product in result.products)
        return f"nothing to do: {count:,} objects unchanged, 0 sent ({result.seconds:.1f} s)"
    rows = [
        [
            product.name,
            f"{product.sent:,} sent",
            human_bytes(product.bytes),
            f"{product.unchanged:,} unchanged",
            f"{product.retired:,} retired",
            product.url,
        ]
        for product in result.products
    ]
    lines = [_columns(rows), f"published {result.publication} in {result.seconds:.1f} s"]
    return "\n".join(lines)


def plan_text(plan: Plan) -> str:
    """Return a plan, summed up by product and array, with what it would cost."""
    lines = []
    for product in plan.products:
        counts = ", ".join(
            f"{plan.count(action, product.name):,} {word}"
            for action, word in (
                (Action.SEND, "to send"),
                (Action.UNCHANGED, "unchanged"),
                (Action.RETIRE, f"to retire ({product.retire})"),
                (Action.KEEP, "kept"),
            )
            if action in (Action.SEND, Action.UNCHANGED) or plan.count(action, product.name)
        )
        size = human_bytes(plan.bytes(Action.SEND, product.name))
        lines.append(f"{product.name} -> {product.url}: {counts}, {size}")
        rows = [
            [f"  {row['action']}", place(row) or ".", f"{row['objects']:,}", human_bytes(row["bytes"]), row["reason"]]
            for row in plan.summary()
            if row["product"] == product.name and row["action"] in (Action.SEND, Action.RETIRE)
        ]
        if rows:
            lines.append(_columns(rows[:_LINES]))
        if len(rows) > _LINES:
            lines.append(f"  and {len(rows) - _LINES:,} more lines; --json or --plan-out has all")
    cost = plan.cost()
    requests = (
        f"{cost.puts:,} PUT, {cost.copies:,} COPY, {cost.lists:,} LIST, {cost.gets:,} GET, {cost.deletes:,} DELETE"
    )
    lines.append(f"requests: {requests}; about ${cost.dollars:.4f} at S3's list price")
    return "\n".join(lines)


def finding_text(finding: Finding) -> str:
    """Return one finding on one line."""
    where = "/".join(part for part in (finding.product, finding.key) if part)
    return f"{finding.level}: {finding.message} [{where}]"


def findings_text(findings: Iterable[Finding]) -> str:
    """Return findings, a line each."""
    return "\n".join(finding_text(finding) for finding in findings)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
