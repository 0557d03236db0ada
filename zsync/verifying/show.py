"""How a verification is shown as text, for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zsync.printable import printable
from zsync.report.format import human_bytes, many
from zsync.report.text import columns
from zsync.words import STATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zsync.verifying.difference import Difference

_LINES = 100


class _Product(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def publication(self) -> str | None: ...
    @property
    def objects(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def headers(self) -> int: ...
    @property
    def read(self) -> int: ...
    @property
    def checksums(self) -> Mapping[str, str]: ...
    @property
    def is_sampled(self) -> bool: ...


class _Result(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def products(self) -> Sequence[_Product]: ...
    @property
    def differences(self) -> Sequence[Difference]: ...
    @property
    def found(self) -> Sequence[Difference]: ...
    @property
    def seed(self) -> int: ...
    @property
    def seconds(self) -> float: ...


def verification_text(result: _Result) -> str:
    """Return what verifying came to: a line a product, the differences, and what to do about each kind."""
    lines = [columns([_product(item, result.seed) for item in result.products])]
    differences = result.differences
    if differences:
        is_one = len(result.products) == 1
        rows = [[item.kind, _place(item, is_one=is_one), item.message] for item in differences[:_LINES]]
        lines += ["", columns(rows)]
        if len(differences) > _LINES:
            lines.append(f"and {len(differences) - _LINES:,} more; --json has all")
        advice = dict.fromkeys((item.kind, item.advice) for item in differences if item.advice)
        lines += ["", *(printable(f"{kind}: {text}") for kind, text in advice)]
    for item in result.products:
        for prefix, digest in item.checksums.items():
            lines.append(printable(f"{digest}  {'/'.join(filter(None, (item.url, prefix)))}"))
    said = {
        "sound": "sound",
        "different": f"{len(differences):,} difference{'s' if len(differences) > 1 else ''}",
        "repaired": f"repaired: {len(result.found):,} difference{'s' if len(result.found) > 1 else ''} mended",
    }[result.status]
    return "\n".join([*lines, f"{said} ({result.seconds:.1f} s)"])


def _place(item: Difference, *, is_one: bool) -> str:
    """Return what a difference is of: what is beside the product by itself, all else by the product, if of several."""
    if is_one or item.key.startswith(f"{STATE}/"):
        return item.key or "."
    return f"{item.product}/{item.key}".rstrip("/")


def _product(item: _Product, seed: int) -> list[str]:
    looked = [f"{many(item.objects, 'object')} listed"]
    if item.headers:
        looked.append(f"headers of {item.headers:,}")
    if item.read:
        looked.append(f"bytes of {item.read:,}")
    sampled = f" (seed {seed})" if item.is_sampled else ""
    against = item.publication or "not published by zsync: its structure only"
    return [item.name, human_bytes(item.bytes), f"{', '.join(looked)}{sampled}", against, item.url]
