"""What a document may be before anybody looks at what it says: not endless, not bottomless, and text that is text."""

from __future__ import annotations

MOST_VALUES = 500_000  # with what anchors of YAML repeat
_MOST_LEVELS = 64
_MOST_BITS = 4096  # of a whole number


def unfit(doc: object) -> str | None:
    """Return what is wrong with a document as a whole; None if nothing is.

    Anchors let a few lines stand for more values than there is memory for, or for a document that holds itself.
    """
    pending: list[tuple[object, int]] = [(doc, 1)]
    count = 0
    while pending:
        value, level = pending.pop()
        if isinstance(value, str):
            if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
                return "a text holds half a character (a lone surrogate)"
            continue
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            return "a number has too many digits"
        if not isinstance(value, dict | list | tuple | set):
            continue
        if level > _MOST_LEVELS:
            return "it is nested too deeply"
        items = [*value, *value.values()] if isinstance(value, dict) else [*value]
        count += len(items)
        if count > MOST_VALUES:
            return f"it holds more than {MOST_VALUES:,} values"
        pending += [(item, level + 1) for item in items]
    return None
