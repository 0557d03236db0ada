"""What was published, when and by whom, and what changed between two publications: `zsync log`."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from zsync.config import said, seconds
from zsync.errors import ConfigError
from zsync.inventory import cache_directory
from zsync.publication import Keeping, prune, to_prune
from zsync.publication.places import places_of
from zsync.version import __version__

if TYPE_CHECKING:
    from typing import Unpack

    from zsync.config.options import Options
    from zsync.history.between import Difference
    from zsync.history.log import Log
    from zsync.publication import Pruned
    from zsync.publication.places import Place


@overload
def log(target: Any, between: None = None, *, number: int | None = None, **overrides: Unpack[Options]) -> Log: ...
@overload
def log(target: Any, between: str, *, number: int | None = None, **overrides: Unpack[Options]) -> Difference: ...
def log(
    target: Any, between: str | None = None, *, number: int | None = None, **overrides: Unpack[Options]
) -> Log | Difference:
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
    if number is not None and (said.whole("number", number) < 1 or between is not None):
        raise ConfigError("this is no number of publications to list", str(number), "give one from 1 on, without A..B")
    places = places_of(target, **overrides)
    if between is not None:
        from zsync.history.between import between as compared

        return compared(places, said.moment("between", between))
    from zsync.history.log import read_log

    return read_log(places, number)


def prune_log(
    target: Any,
    *,
    keep: int | None = None,
    older_than: int | str | None = None,
    trash: bool = False,
    dry_run: bool = False,
    **overrides: Unpack[Options],
) -> list[Pruned]:
    """Delete old publications: their records, and the parts of manifests that no kept one needs. The data stays.

    What is published now stays on record in any case. With both `keep` and `older_than` goes what is old and not among
    the newest. Versions of objects are the bucket's own affair: a lifecycle rule deletes those.

    Parameters
    ----------
    target
        The URL of a product, or of a prefix that holds several; or a configuration.
    keep
        How many publications stay, the newest.
    older_than
        Only those that are older than this: seconds, or ``12h``, ``90d``.
    trash
        What only they needed of the trash goes as well.
    dry_run
        Say what would go, and delete nothing.
    **overrides
        Options of the configuration, for instance ``endpoint_url``.

    Returns
    -------
    list of Pruned
        What went of each product.

    Raises
    ------
    ConfigError
        Neither `keep` nor `older_than` is given, or nothing was published there.
    ConflictError
        Somebody is publishing a product.

    Examples
    --------
    >>> import zsync
    >>> zsync.prune_log("s3://bucket/products/oco3", keep=100, older_than="400d", dry_run=True)  # doctest: +SKIP
    """
    if keep is None and older_than is None:
        raise ConfigError("what is to stay is not said", "prune", "give keep, older_than, or both")
    if keep is not None and said.whole("keep", keep) < 1:
        raise ConfigError("what is published now stays on record", f"keep: {keep}", "give a number from 1 on")
    age = None if older_than is None else dt.timedelta(seconds=seconds(older_than))
    keeping = Keeping(keep, None if age is None else dt.datetime.now(dt.UTC) - age)
    cache = cache_directory() / "manifests"

    def of(place: Place) -> Pruned:
        if dry_run:
            return to_prune(place.store, place.state, keeping, empties=trash)
        return prune(place.store, place.state, keeping, __version__, cache, empties=trash)

    return [replace(of(place), url=place.url) for place in places_of(target, **overrides)]
