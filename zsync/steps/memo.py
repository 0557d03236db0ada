"""What a publish found last time, for when nothing has changed since.

A plan is a pure function of what was found and of the policy. So if head, listing, policy and every file's path, size,
mtime, ctime and inode are what they were when the plan came out empty, it is empty again; this is the digest cache's
rule, and files that changed too recently are left out of it likewise. Whatever is wrong with a memo, the worst that
happens is that the plan is made.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zsync.inventory.cache import RACY_NS, cached_at
from zsync.packed import numbers_of, packed, signed
from zsync.system import keep_text
from zsync.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zsync.config import ResolvedProduct
    from zsync.inventory import Scan
    from zsync.steps.stock import Stock
    from zsync.steps.terms import Terms


class Memo:
    """Remembers the result of one set of products and targets."""

    def __init__(self, terms: Terms, stock: Sequence[Stock]) -> None:
        self._path = _path([item.product for item in stock])
        self._terms = terms
        self._stock = stock

    def recall(self) -> dict[str, Any] | None:
        """Return what `keep` was given, if nothing has changed since; else None."""
        try:
            document = json.loads(self._path.read_bytes())
            result = document["result"]
            is_whole = document["checksum"] == _checksum(result)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        until_s = document.get("until_s")
        is_of_now = until_s is None or (isinstance(until_s, int | float) and time.time() < until_s)
        if not is_whole or not is_of_now or document.get("fingerprint") != self._fingerprint():
            return None
        return result if isinstance(result, dict) else None

    def keep(self, result: dict[str, Any], taken_ns: int, until_s: float = math.inf) -> None:
        """Remember a result, unless a file changed so recently that a further change might not show.

        Parameters
        ----------
        result
            JSON, without secrets.
        taken_ns
            When taking stock began, in nanoseconds since the epoch.
        until_s
            When there is something to do merely because time went by, in seconds since the epoch; may be infinite.
        """
        if _newest_ns([item.scan for item in self._stock]) > taken_ns - RACY_NS:
            return
        limit = {} if math.isinf(until_s) else {"until_s": until_s}
        document = {"fingerprint": self._fingerprint(), "checksum": _checksum(result), "result": result, **limit}
        keep_text(self._path, json.dumps(document))

    def _fingerprint(self) -> str:
        total = hashlib.blake2b(f"{__version__} {self._terms}".encode(), digest_size=32)
        for item in self._stock:
            listing = item.listing
            found = [
                str(item.product), str(replace(item.spec, credentials="")), item.head.etag, item.head.publication,
                None if listing is None else (sorted(listing.unfit), sorted(listing.others)),
                None if item.within is None else sorted(item.within), sorted(item.without), sorted(item.misplaced),
                sorted(item.doubted),
            ]  # fmt: skip
            pieces = [*packed(item.scan.keys).pieces(), *signed(item.scan.signatures).pieces()]
            if listing is not None:
                sizes = memoryview(numbers_of(listing.sizes))
                pieces += [*packed(listing.keys).pieces(), sizes, *packed(listing.etags).pieces()]
            total.update(json.dumps([*found, [piece.nbytes for piece in pieces]]).encode())
            for piece in pieces:
                total.update(piece)
        return total.hexdigest()


def is_outdated(products: Sequence[ResolvedProduct], scans: Sequence[Scan]) -> bool:
    """Return whether a memo of some products, if there is one, is surely not of what their sources hold now.

    It is a hint: a plan will have to be made.
    """
    try:
        return _path(products).stat().st_mtime_ns < _newest_ns(scans)
    except OSError:
        return True


def _path(products: Sequence[ResolvedProduct]) -> Path:
    places = json.dumps([[product.root, product.location.url] for product in products])
    return cached_at("memos", places, ".json")


def _newest_ns(scans: Sequence[Scan]) -> int:
    """Return when the newest of the files was changed, in nanoseconds since the epoch."""
    return max((max(mtime, ctime) for found in scans for _, mtime, ctime, _ in found.signatures), default=0)


def _checksum(result: Any) -> str:
    return hashlib.blake2b(json.dumps(result, sort_keys=True).encode(), digest_size=16).hexdigest()
