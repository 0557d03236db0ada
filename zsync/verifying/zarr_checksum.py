"""DANDI's digest of a Zarr store: a tree of MD5s, equal to what the package ``zarr-checksum`` gives. Pure.

Source: dandi-archive, "Zarr support" (design document), and the package ``zarr-checksum``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(slots=True)
class _Directory:
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    directories: defaultdict[str, _Directory] = field(default_factory=lambda: defaultdict(_Directory))

    def digest(self) -> tuple[str, int]:
        """Return the digest, and the size of all that is in it; no deeper than keys are long."""
        inner = {name: directory.digest() for name, directory in self.directories.items()}
        count = len(self.files) + sum(int(digest.split("-")[1]) for digest, _ in inner.values())
        size = sum(size for _, size in (*self.files.values(), *inner.values()))
        # The order of the names in it is part of the digest.
        document = {"directories": _entries(inner), "files": _entries(self.files)}
        text = json.dumps(document, separators=(",", ":"))
        return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}-{count}--{size}", size


def _entries(named: dict[str, tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"digest": digest, "name": name, "size": size} for name, (digest, size) in sorted(named.items())]


def zarr_checksum(files: Iterable[tuple[str, int, str]]) -> str:
    """Return the digest of a store.

    Parameters
    ----------
    files
        Key relative to the store, size, and MD5 of each object.

    Examples
    --------
    >>> zarr_checksum([])
    '481a2f77ab786a0f45aafd5db0971caa-0--0'
    """
    root = _Directory()
    for key, size, md5 in files:
        *parts, name = key.split("/")
        directory = root
        for part in parts:
            directory = directory.directories[part]
        directory.files[name] = (md5, size)
    return root.digest()[0]
