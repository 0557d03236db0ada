"""What is said in a call beside the configuration, brought into one form: texts, paths, ranges.

A text is a sequence too, of its letters: that of a pattern's would match everything.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping
from typing import Any

from zsync.errors import ConfigError


def kind_of(value: object) -> str:
    """Return what a value is, in a word.

    Examples
    --------
    >>> kind_of(5), kind_of([])
    ('an int', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def texts(option: str, value: Any) -> tuple[str, ...]:
    """Return the texts that are said for an option; one may be said alone.

    Raises
    ------
    ConfigError
        It is something else.

    Examples
    --------
    >>> texts("include", "xco2/*"), texts("include", ["a", "b"]), texts("include", None)
    (('xco2/*',), ('a', 'b'), ())
    """
    if value is None or isinstance(value, str):
        return () if value is None else (value,)
    found = tuple(value) if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes) else (value,)
    other = [item for item in found if not isinstance(item, str)]
    if other:
        raise ConfigError(f"{option} must be text, or a list of it, not {kind_of(other[0])}", None, "put it in quotes")
    return found


def path(option: str, value: Any) -> str:
    """Return a path or URL as text.

    Raises
    ------
    ConfigError
        It is something else.
    """
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    raise ConfigError(f"{option} must be a URL or a path, not {kind_of(value)}", None, "give it as text")


def moment(option: str, value: Any) -> str:
    """Return what tells a publication as text: an id, or a time, which may be a date as Python has it.

    Raises
    ------
    ConfigError
        It is something else.

    Examples
    --------
    >>> moment("at", "head~1"), moment("at", dt.date(2026, 11, 20)), moment("at", dt.datetime(2026, 11, 20, 12))
    ('head~1', '2026-11-20', '2026-11-20T12:00:00')
    """
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, str):
        return value
    advice = "give an id of `zsync log`, head~1, or 2026-11-20"
    raise ConfigError(f"{option} must be an id or a time, not {kind_of(value)}", None, advice)


def whole(option: str, value: Any) -> int:
    """Return a whole number.

    Raises
    ------
    ConfigError
        It is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigError(f"{option} must be a whole number, not {kind_of(value)}", None, "give one from 1 on")


def ranges(value: Any) -> dict[str, str]:
    """Return ranges by dimension as they are written: a range may be a slice or a pair as well, both ends included.

    Raises
    ------
    ConfigError
        It is something else.

    Examples
    --------
    >>> ranges({"time": slice("2020-01", None), "lat": (10, 20), "site": 3})
    {'time': '2020-01..', 'lat': '10..20', 'site': '3'}
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"select must be a dict, not {kind_of(value)}", None, 'write it as {"time": "2020-01..2020-03"}'
        )
    return {str(name): _range(str(name), item) for name, item in value.items()}


def _range(name: str, said: Any) -> str:
    if isinstance(said, slice) and said.step is None:
        said = (said.start, said.stop)
    if isinstance(said, tuple | list) and len(said) == 2:
        return "..".join("" if end is None else str(end) for end in said)
    if isinstance(said, tuple | list | slice | Mapping):
        raise ConfigError("this is no range", f"select {name}={said}", "write it as 2020-01..2020-03")
    return str(said)
