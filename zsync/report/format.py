"""Numbers for people."""

from __future__ import annotations


def many(count: int, what: str) -> str:
    """Return how many there are of something.

    Examples
    --------
    >>> many(1, "object"), many(1200, "object")
    ('1 object', '1,200 objects')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def human_bytes(count: int) -> str:
    """Return a size for people.

    Examples
    --------
    >>> human_bytes(0), human_bytes(1536), human_bytes(3 * 2**30)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
