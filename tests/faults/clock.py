"""A wall clock that is off: what this process takes for the time, until it is set right again."""

from __future__ import annotations

import contextlib
import datetime as dt
import time

_datetime, _time, _time_ns = dt.datetime, time.time, time.time_ns
_off_s = 0.0


class _Meta(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _datetime)

    def __subclasscheck__(cls, other):
        return issubclass(other, _datetime)


class _OffDatetime(_datetime, metaclass=_Meta):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + dt.timedelta(seconds=_off_s)


@contextlib.contextmanager
def clock_off(seconds):
    """Have the clock be off by so many seconds; 0: right."""
    global _off_s  # noqa: PLW0603
    if not seconds:
        yield
        return
    _off_s = seconds
    dt.datetime = _OffDatetime
    time.time = lambda: _time() + _off_s
    time.time_ns = lambda: _time_ns() + int(_off_s * 1e9)
    try:
        yield
    finally:
        dt.datetime, time.time, time.time_ns = _datetime, _time, _time_ns
        _off_s = 0.0
