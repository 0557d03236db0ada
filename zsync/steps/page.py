"""The report of a run as a page of HTML: one file, with all rows, in light and dark, also of a run that failed."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from zsync.planning.classify import ChangeClass
from zsync.printable import printable, without_secrets
from zsync.publication.process import this_process
from zsync.report.format import human_bytes
from zsync.tables import groups, numbers
from zsync.version import __version__
from zsync.words import Action, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zsync.config import ResolvedProduct
    from zsync.planning import Plan
    from zsync.steps.result import PublishResult
    from zsync.words import Finding

_TIME = "%Y-%m-%d %H:%M:%S UTC"
_WORD = {"published": "good", "unchanged": "good", "planned": "plain"}
_TITLES = {
    "published": "Published",
    "unretired": "Published; not all that is gone from the source could be retired",
    "unchanged": "Nothing to do: all is published already",
    "planned": "Planned; nothing was written",
}
_NUMBER = ' class="number"'
_OBJECTS = {Stage.DATA: "chunks, rasters and files", Stage.RETIRE: "gone from the source"}
_STYLE = """
:root{color-scheme:light dark;--back:#fff;--ink:#1c1e21;--soft:#5f6670;--line:#d9dde2;--head:#f2f4f7;--good:#137333;
--bad:#b3261e;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--back:#15181c;--ink:#e6e8eb;--soft:#9aa3ad;--line:#343a42;--head:#20252b;
--good:#6dd58c;--bad:#ff8a80;--warn:#f2b84b}}
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;background:var(--back);
color:var(--ink)}
h1{font-size:1.5em;margin:.2em 0}h2{font-size:1.1em;margin:1.6em 0 .4em}
.good{color:var(--good)}.bad{color:var(--bad)}.warning{color:var(--warn)}.error{color:var(--bad)}.info{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.93em}
th,td{padding:.25em .7em;text-align:left;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{background:var(--head)}td.number,th.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.facts{width:auto}.facts th{background:none;color:var(--soft);font-weight:normal;white-space:nowrap}
details{margin:.6em 0}summary{cursor:pointer;padding:.2em 0}code{font:.93em ui-monospace,monospace}
.told{border-left:4px solid var(--bad);padding:.5em 1em;background:var(--head)}
"""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where, when and how a run was made.

    Attributes
    ----------
    command
        As it was typed, without what may be a secret.
    config
        The file that it was configured by, or the directory that was named.
    products
        What was to be published; empty if the configuration was not understood.
    began_s
        When, in seconds since the epoch.
    """

    command: str
    config: str | None
    products: tuple[ResolvedProduct, ...]
    began_s: float

    @classmethod
    def now(cls, config: str | None, products: Iterable[ResolvedProduct], began_s: float) -> Circumstances:
        """Return those of this process."""
        return cls(without_secrets(shlex.join(["zsync", *sys.argv[1:]])), config, tuple(products), began_s)


def page(around: Circumstances, result: PublishResult | None, failed: tuple[str, int] | None) -> str:
    """Return the page.

    Parameters
    ----------
    result
        What came of the run; None if it did not come to an end.
    failed
        What is said of its failure, and the exit status.
    """
    plan = None if result is None else result.plan
    title, tone = _title(result, failed)
    body = [f'<h1 class="{tone}">{_text(title)}</h1>']
    if failed is not None:
        body.append(f'<p class="told">{_text(without_secrets(failed[0]))}<br>exit status {failed[1]}</p>')
    if result is not None and result.note is not None:
        body.append(f"<p>{_text(result.note)}</p>")
    body.append(_facts(around, result))
    if result is not None:
        body += [_products(result), _findings(result.findings)]
    if plan is not None:
        body += [_chunks(plan), _arrays(plan), _rows(plan)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>zsync: {_text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body>{chr(10).join(filter(None, body))}</body></html>\n"
    )


def _title(result: PublishResult | None, failed: tuple[str, int] | None) -> tuple[str, str]:
    if failed is not None or result is None:
        return "Failed", "bad"
    if result.restores is not None:
        return f"{_TITLES[result.status]}: a rollback to {result.restores}", "plain"
    if any(finding.level == "error" for finding in result.findings):
        return f"{_TITLES[result.status]}; a publish would be refused", "bad"
    return _TITLES[result.status], _WORD.get(result.status, "warning")


def _facts(around: Circumstances, result: PublishResult | None) -> str:
    sources = dict.fromkeys(product.root for product in around.products)
    targets = dict.fromkeys(product.location.url for product in around.products)
    me = this_process(__version__)
    facts = {
        "publication": result.publication if result is not None else None,
        "source": ", ".join(sources),
        "target": ", ".join(targets),
        "configuration": around.config,
        "command": around.command,
        "began": time.strftime(_TIME, time.gmtime(around.began_s)),
        "took": f"{time.time() - around.began_s:.1f} s",
        "host": f"{me['user']}@{me['host']}",
        "version": f"zsync {__version__}, Python {platform.python_version()}, {platform.system()}",
    }
    rows = "".join(f"<tr><th>{name}</th><td>{_text(told)}</td></tr>" for name, told in facts.items() if told)
    return f'<table class="facts">{rows}</table>'


def _products(result: PublishResult) -> str:
    is_planned = result.status == "planned"
    head = ("product", "target", "to send" if is_planned else "sent", "size", "unchanged",
            "to retire" if is_planned else "retired")  # fmt: skip
    rows = [
        [item.name, item.url, item.sent + item.to_send, human_bytes(item.bytes + item.bytes_to_send), item.unchanged,
         item.retired + item.to_retire]
        for item in result.products
    ]  # fmt: skip
    return f"<h2>Products</h2>{_table(head, rows)}" if rows else ""


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    items = "".join(
        f'<li><b class="{_text(item.level)}">{_text(item.level)}</b> {_text(item.message)}'
        f" <code>{_text('/'.join(part for part in (item.product, item.key) if part))}</code></li>"
        for item in findings
    )
    return f"<h2>Noticed</h2><ul>{items}</ul>"


def _chunks(plan: Plan) -> str:
    """Return how many chunks, and how many objects of other stages, each product has, by what is done with them."""
    found, counts, _ = _counted(plan, ["product", "stage", "action"])
    by_place: dict[tuple[str, Stage], dict[str, int]] = {}
    for row, count in zip(found, counts, strict=True):
        by_place.setdefault((row["product"], Stage(row["stage"])), {})[row["action"]] = count
    actions = (Action.SEND, Action.COPY, Action.UNCHANGED, Action.RETIRE, Action.KEEP)
    order = sorted(by_place, key=lambda place: (place[0], list(Stage).index(place[1])))
    rows = [
        [product, _OBJECTS.get(stage, f"{stage} metadata"), *(by_place[product, stage].get(str(a), 0) for a in actions)]
        for product, stage in order
    ]
    return f"<h2>Objects</h2>{_table(('product', 'objects', *map(str, actions)), rows)}"


def _arrays(plan: Plan) -> str:
    changed = [change for change in plan.changes if change.kind != ChangeClass.UNCHANGED]
    rows = [
        [change.name, change.kind, change.old_shape or "", change.new_shape or "", change.inside, change.detail]
        for change in changed
    ]
    head = ("array", "change", "old shape", "new shape", "chunks inside the old extent", "")
    return _folded(f"{len(rows):,} arrays change", head, rows)


def _rows(plan: Plan) -> str:
    found, counts, sizes = _counted(plan, ["product", "store", "array", "action", "reason"])
    rows = sorted(
        [
            row["product"], "/".join(filter(None, (row["store"], row["array"]))) or ".", row["action"], row["reason"],
            count, human_bytes(size),
        ]
        for row, count, size in zip(found, counts, sizes, strict=True)
    )  # fmt: skip
    return _folded(
        f"{len(rows):,} groups of objects", ("product", "place", "action", "reason", "objects", "size"), rows
    )


def _counted(plan: Plan, names: list[str]) -> tuple[list[dict[str, Any]], list[int], list[int]]:
    found, group = groups(plan.lasting, names)
    counts = np.bincount(group, minlength=len(found))
    sizes = np.bincount(group, weights=numbers(plan.lasting["size"]), minlength=len(found))
    return found, [int(count) for count in counts], [int(size) for size in sizes]


def _folded(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    return f"<details><summary>{_text(title)}</summary>{_table(head, rows)}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    titles = "".join(
        f"<th{_NUMBER if rows and isinstance(rows[0][place], int) else ''}>{_text(title)}</th>"
        for place, title in enumerate(head)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"<td{_NUMBER}>{value:,}</td>"
    return f"<td>{_text(str(value))}</td>"


def _text(text: str) -> str:
    return escape(printable(text))
