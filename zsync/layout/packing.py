"""What attributes say about how values become quantities: packing, missing values, time units.

Sources: CF conventions 1.11, sections 8.1 (packed data), 2.5.1 (missing data), 4.4 (time coordinate); the NetCDF User's
Guide for ``_Unsigned``; xarray and cftime for the names of units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from zsync.layout.datatypes import Type, alone, name_of, numbers, value_of

_UNITS = {
    **dict.fromkeys(("nanoseconds", "nanosecond", "nanosec", "nanosecs"), "nanoseconds"),
    **dict.fromkeys(("microseconds", "microsecond", "microsec", "microsecs"), "microseconds"),
    **dict.fromkeys(("milliseconds", "millisecond", "millisec", "millisecs", "msec", "msecs", "ms"), "milliseconds"),
    **dict.fromkeys(("seconds", "second", "sec", "secs", "s"), "seconds"),
    **dict.fromkeys(("minutes", "minute", "min", "mins"), "minutes"),
    **dict.fromkeys(("hours", "hour", "hr", "hrs", "h"), "hours"),
    **dict.fromkeys(("days", "day", "d"), "days"),
    **dict.fromkeys(("months", "month"), "months"),
    **dict.fromkeys(("years", "year"), "years"),
}
_SYMBOLS = {"s", "h", "d", "ms", "min"}  # these are units of other things as well
_CALENDARS = {"gregorian": "standard", "365_day": "noleap", "366_day": "all_leap"}
_REAL_CALENDARS = ("standard", "proleptic_gregorian")
_SINCE = re.compile(r"\s*(\S.*?)\s+since\s+(.*?)\s*", re.IGNORECASE | re.DOTALL)
_DATE = re.compile(
    r"([+-]?\d{1,6})(?:-(\d{1,2}))?(?:-(\d{1,2}))?"
    r"(?:(?:\s*T\s*|\s+)(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}))?(?:\.(\d{0,12}))?)?"
    r"\s*(?:Z|UTC|GMT|([+-])(\d{1,2}):?(\d{2})?)?",
    re.IGNORECASE,
)
_MISSING = "_FillValue, missing_value"


def packing(attributes: Any, kind: Type, masked: Any = None) -> dict[str, Any]:
    """Return what of an array's attributes decides which quantities its values are, by names for people.

    Parameters
    ----------
    attributes
        The array's.
    kind
        Its data type, as `zsync.layout.datatypes` has it.
    masked
        The value that readers take for missing anyway.

    Examples
    --------
    >>> packing({"units": "hours since 1970-1-1", "scale_factor": 1}, "int16")
    {'units': 'hours since 1970-01-01T00:00:00', 'calendar': 'standard'}
    """
    if not isinstance(attributes, Mapping):
        return {}
    return {
        **_linear(attributes),
        **_missing(attributes, kind, masked),
        **_unsigned(attributes, kind),
        **_times(attributes),
        **({"dtype": attributes["dtype"]} if "dtype" in attributes else {}),
    }


def _linear(attributes: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: numbers(alone(attributes[name])) for name in ("scale_factor", "add_offset") if name in attributes}
    neutral = {"scale_factor": 1, "add_offset": 0}
    return {name: value for name, value in found.items() if value is not None and value != neutral[name]}


def _missing(attributes: Mapping[str, Any], kind: Type, masked: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in ("_FillValue", "missing_value"):
        given = attributes.get(name)
        # The parts of a complex number are a list as well.
        is_complex = str(kind).startswith("complex")
        for value in given if isinstance(given, list) and not is_complex else [given]:
            made = value_of(kind, value)
            values[repr(made)] = made
    # That what is not a number is missing need not be said.
    is_float = name_of(kind).startswith("float")
    for value in (None, masked, *(("NaN",) if is_float else ())):
        values.pop(repr(value), None)
    return {_MISSING: [values[text] for text in sorted(values)]} if values else {}


def _unsigned(attributes: Mapping[str, Any], kind: Type) -> dict[str, Any]:
    said = str(alone(attributes.get("_Unsigned"))).lower()
    telling = {"true": "int", "false": "uint"}.get(said)
    return {"_Unsigned": said} if telling and isinstance(kind, str) and kind.startswith(telling) else {}


def _times(attributes: Mapping[str, Any]) -> dict[str, Any]:
    units = attributes.get("units")
    if not isinstance(units, str):
        return {}
    if (since := _SINCE.fullmatch(units)) is None:
        name = units.strip().lower()
        return {"units": _UNITS[name]} if name in _UNITS.keys() - _SYMBOLS else {}
    calendar = str(attributes.get("calendar") or "standard").lower()
    calendar = _CALENDARS.get(calendar, calendar)
    unit = " ".join(since[1].lower().split())
    moment = _moment(since[2], is_real=calendar in _REAL_CALENDARS)
    return {"units": f"{_UNITS.get(unit, unit)} since {moment}", "calendar": calendar}


def _moment(text: str, *, is_real: bool) -> str:
    """Return a date of reference in one way to write it."""
    found = _DATE.fullmatch(text)
    if found is None:
        return " ".join(text.split())
    year, month, day, hour, minute, second = (
        int(part or default) for part, default in zip(found.groups(), "011000", strict=False)
    )
    fraction = (found[7] or "").rstrip("0")
    offset = (int(found[9] or 0) * 60 + int(found[10] or 0)) * (-1 if found[8] == "-" else 1)
    zone = f"{offset:+d}min" if offset else ""
    if offset and is_real:
        try:
            moved = datetime(year, month, day, hour, minute, second) - timedelta(minutes=offset)
            year, month, day, hour, minute = moved.year, moved.month, moved.day, moved.hour, moved.minute
            zone = ""
        except (ValueError, OverflowError):
            pass  # no day of this calendar
    clock = f"{hour:02d}:{minute:02d}:{second:02d}{'.' if fraction else ''}{fraction}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{zone}"
