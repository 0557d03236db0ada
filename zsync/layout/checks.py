"""Findings about keys as such, and how many findings of one sort become few."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from zsync.keys import MAX_KEY_BYTES, unfit_here
from zsync.words import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

MAX_EXAMPLES = 5

_LEVELS = {"error": 0, "warning": 1, "info": 2}


def examples(keys: Iterable[str], limit: int = MAX_EXAMPLES) -> list[tuple[str, str]]:
    """Return each key with nothing to add, or, of more than `limit`, the first with how many there are.

    Examples
    --------
    >>> examples(["b", "a"])
    [('a', ''), ('b', '')]
    >>> examples(["b", "a"], limit=1)
    [('a', ' (the first of 2)')]
    """
    ordered = sorted(keys)
    if len(ordered) <= limit:
        return [(key, "") for key in ordered]
    return [(ordered[0], f" (the first of {len(ordered):,})")]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings, errors first, so that their order does not depend on the order of the keys."""
    return tuple(sorted(findings, key=lambda f: (_LEVELS[f.level], f.code, f.key, f.message)))


def key_findings(product: str, keys: Sequence[str]) -> list[Finding]:
    """Return what is wrong with keys as such: too long for S3, or told apart by case or by how letters are composed."""
    # A character takes at most four bytes: only the longest keys need to be encoded.
    long = [k for k in keys if len(k) > MAX_KEY_BYTES // 4 and len(k.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES]
    findings = [
        Finding(
            "error",
            "key-too-long",
            product,
            key,
            f"the key has more than {MAX_KEY_BYTES} bytes, which S3 refuses; shorten its path{more}",
        )
        for key, more in examples(long)
    ]
    return [*findings, *_case_clashes(product, keys), *_composed_clashes(product, keys)]


def _composed_clashes(product: str, keys: Sequence[str]) -> list[Finding]:
    odd = [key for key in keys if not key.isascii()]
    clashes = {group[0]: group[1:] for group in look_alikes(odd, fold_case=False, normalise=True)}
    return [
        Finding(
            "warning",
            "unicode-clash",
            product,
            key,
            f"shows like {', '.join(ascii(other) for other in clashes[key])}, its letters composed otherwise: on a file"
            f" system that takes them for one name (macOS) one hides the other, and people take one for the other;"
            f" rename one{more}",
        )
        for key, more in examples(clashes)
    ]


def _case_clashes(product: str, keys: Sequence[str]) -> list[Finding]:
    clashes = {group[0]: set(group) for group in look_alikes(keys, fold_case=True, normalise=False)}
    return [
        Finding(
            "warning",
            "case-clash",
            product,
            key,
            f"differs only by case from {', '.join(sorted(clashes[key] - {key}))}: on a file system that ignores case"
            f" one hides the other; rename one{more}",
        )
        for key, more in examples(clashes)
    ]


def unfit_name(name: str) -> str | None:
    """Return why a product's name cannot be that of a directory here; None if it can."""
    return "it has a slash" if "/" in name else unfit_here(name)


def look_alikes(keys: Collection[str], *, fold_case: bool, normalise: bool) -> list[tuple[str, ...]]:
    """Return keys that are one to a file system that does not tell case, or composed and decomposed letters, apart.

    Examples
    --------
    >>> look_alikes(["a/B", "a/b", "c"], fold_case=True, normalise=False)
    [('a/B', 'a/b')]
    """

    def seen(key: str) -> str:
        key = unicodedata.normalize("NFC", key) if normalise else key
        return key.casefold() if fold_case else key

    # Almost always none are alike: a number a key tells that, where a set of texts would take ten times as much.
    marks, counts = np.unique(np.fromiter((hash(seen(key)) for key in keys), np.int64), return_counts=True)
    doubled = set(marks[counts > 1].tolist())
    alike: defaultdict[str, set[str]] = defaultdict(set)
    for key in keys if doubled else ():
        if hash(seen(key)) in doubled:
            alike[seen(key)].add(key)
    return sorted(tuple(sorted(group)) for group in alike.values() if len(group) > 1)


def local_findings(product: str, keys: Collection[str]) -> list[Finding]:
    """Return an error for each key that cannot, or must not, become a path below a directory.

    A key is any text: it may climb out of the directory, be no name for a file, be a file where another key needs a
    directory, or lie where zsync keeps its own records.
    """
    needed = {above for key in keys for above in _directories(key)}
    found = sorted({(key, reason) for key in keys if (reason := unfit_here(key)) is not None})
    advice = dict.fromkeys((key for key, _ in found), "exclude it")
    for key in sorted({key for key in keys if key in needed}):  # a glob would leave out what is below as well
        found.append((key, "it is a file, and other keys need a directory of that name"))
        advice[key] = f"exclude it alone: 're:^{re.escape(key)}$'"
    return [
        Finding(
            "error", "unfit-key", product, repr(key)[1:-1], f"this key cannot be a file here: {reason}; {advice[key]}"
        )
        for key, reason in found
    ]


def _directories(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]
