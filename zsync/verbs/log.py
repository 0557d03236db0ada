"""What was published, when and by whom, and what changed between two publications: `zsync log`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from zsync.errors import ConfigError
from zsync.publication.places import places_of

if TYPE_CHECKING:
    from zsync.history.between import Difference
    from zsync.history.log import Log


@overload
def log(target: Any, between: None = None, *, number: int | None = None, **overrides: Any) -> Log: ...
@overload
def log(target: Any, between: str, *, number: int | None = None, **overrides: Any) -> Difference: ...
def log(target: Any, between: str | None = None, *, number: int | None = None, **overrides: Any) -> Log | Difference:
    """Return the publications of products; or what changed between two of them.

    Parameters
    ----------
    target
        The URL of a product, or of a prefix that holds several; or a configuration.
    between
        Two publications, ``A..B``, ``A..`` (up to now) or ``..B`` (from the oldest on record); or one, ``A``, against
        the one before it. Each is an id, the beginning of one, ``head``, ``head~2``, or a time such as ``2026-11-20``:
        then what was published by the end of it.
    number
        How many publications, the newest; all of them without it.
    **overrides
        Options of the configuration, for instance ``endpoint_url``.

    Returns
    -------
    Log or Difference
        A list of publications, oldest first; or, with `between`, what changed, by product, array, range and chunk. Both
        show themselves in a notebook, and have `to_dict` and `to_pandas`.

    Raises
    ------
    ConfigError
        Nothing was published there, or there is no such publication.
    TargetError
        The store cannot be reached, or refuses.

    Examples
    --------
    >>> import zsync
    >>> zsync.log("s3://bucket/products/oco3")[-1].message  # doctest: +SKIP
    'reprocessed with the new spectroscopy'
    >>> zsync.log("s3://bucket/products/oco3", "head~7..")  # doctest: +SKIP
    """
    if number is not None and (number < 1 or between is not None):
        raise ConfigError("this is no number of publications to list", str(number), "give one from 1 on, without A..B")
    places = places_of(target, **overrides)
    if between is not None:
        from zsync.history.between import between as compared

        return compared(places, between)
    from zsync.history.log import read_log

    return read_log(places, number)
