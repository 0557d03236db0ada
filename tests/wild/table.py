"""The page docs/writers.md, made of the corpus and of what comes of it (``python tests/wild/table.py``)."""

from __future__ import annotations

from pathlib import Path

from kept import Case, archives, cases
from outcomes import refusal

PAGE = Path(__file__).parents[2] / "docs" / "writers.md"
OPERATIONS = (
    "append",
    "rewrite",
    "attributes",
    "add",
    "remove",
    "shrink",
    "fill",
    "empty a chunk",
    "rechunk",
    "migrate",
)
HEAD = """# Writers

What zsync does with the stores of each writer. `tests/wild` keeps small stores of them, each as its writer made it
and as its writer changed it. Of every one the tests publish the first state, find nothing left to do, publish the
second, find that exactly the objects that differ were sent, pull it, find the bytes, and read it from S3. This page
is made of the same data (`python tests/wild/table.py`), and a test holds it to them. `make wild` makes the stores
anew with the newest writers, and says what became different.

**✓** works, with how many stores. **✗** is refused, before anything is written, for the reason in the note. What is
empty was not tried, most often because the writer cannot do it.
"""


def page() -> str:
    """Return the page."""
    found = {archive: cases(archive) for archive in archives()}
    notes = _notes([case for held in found.values() for case in held])
    lines = [HEAD, f"| writer | {' | '.join(OPERATIONS)} |", f"|---|{'---|' * len(OPERATIONS)}"]
    for held in sorted(found.values(), key=_place):
        cells = (_cell([case for case in held if case.about["does"] == does], notes) for does in OPERATIONS)
        lines.append(f"| {held[0].about['writer']} | {' | '.join(cells)} |")
    lines += ["", *(f"{number}. {note[0].upper()}{note[1:]}." for note, number in notes.items())]
    lines += ["", "## What was tried", "", "| writer | made with | layouts |", "|---|---|---|"]
    for held in sorted(found.values(), key=_place):
        packages = ", ".join(f"{name} {version}" for name, version in held[0].about["packages"].items())
        layouts = "; ".join(dict.fromkeys(case.about["layout"] for case in held))
        lines.append(f"| {held[0].about['writer']} | {packages} | {layouts} |")
    return "\n".join(lines) + "\n"


def _place(held: list[Case]) -> tuple[bool, str]:
    """Zarr's own libraries first."""
    writer = held[0].about["writer"]
    return (not writer.startswith(("zarr", "tensorstore")), writer.lower())


def _notes(found: list[Case]) -> dict[str, int]:
    reasons = [_reason(case) for case in found]
    return {reason: number for number, reason in enumerate(dict.fromkeys(filter(None, reasons)), 1)}


def _reason(case: Case) -> str | None:
    told = refusal(case.key)
    return told[1] if told else None


def _cell(found: list[Case], notes: dict[str, int]) -> str:
    works = sum(_reason(case) is None for case in found)
    marks = [f"✓ {works}"] if works else []
    marks += [f"✗[{notes[reason]}]" for reason in dict.fromkeys(filter(None, map(_reason, found)))]
    return ", ".join(marks)


if __name__ == "__main__":
    PAGE.write_text(page())
