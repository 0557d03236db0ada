"""Judge GeoTIFFs, and whatever belongs to them, before they are sent."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from zsync.errors import SourceChangedError, SourceError
from zsync.inventory.tiff import is_tiff, what_is_missing
from zsync.system import advice_on
from zsync.words import Finding, Reason, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

Answer = TypeVar("Answer")

_TIFFS = (".tif", ".tiff", ".ovr", ".msk")
_NAMED = rf"({'|'.join(_TIFFS).replace('.', '[.]')})$"
_TOGETHER = 64  # files that one thread looks at in one go
_SAME_BYTES = (Reason.HEADERS, Reason.CLASS)


def is_raster(key: str) -> bool:
    """Return whether a key is named as GeoTIFFs, their overviews and their masks are.

    Examples
    --------
    >>> is_raster("d/a.TIF"), is_raster("d/a.tif.ovr"), is_raster("d/a.tif.aux.xml")
    (True, True, False)
    """
    return key.lower().endswith(_TIFFS)


def cut_off(root: str, product: str, keys: Sequence[str]) -> list[Finding]:
    """Return an error for each TIFF that ends before its tiles do.

    Only directories are read; what is no TIFF, whatever it is called, is left to others.

    Parameters
    ----------
    root
        Absolute path of the product's root.
    product
        Its name, for findings.
    keys
        Keys of files below it.

    Raises
    ------
    SourceChangedError
        A file is not there any more.
    SourceError
        The file system fails.
    """
    found = []
    for key, (what, is_read) in _asked(root, keys, _missing).items():
        if not is_read:
            found.append(Finding("error", "unreadable", product, key, what))
        elif what:
            advice = "write it again, or exclude it, or set damaged: allow"
            found.append(Finding("error", "cut-off", product, key, f"{what}; {advice}"))
    return found


def _missing(path: str) -> tuple[str, bool]:
    """Return what is wrong with a TIFF, and whether it could be read at all."""
    try:
        return what_is_missing(path) or "", True
    except PermissionError as error:
        return f"a source file cannot be read ({error.strerror}); check its permissions", False


def judge_rasters(root: str, product: str, rows: pa.Table) -> list[Finding]:
    """Return what `cut_off` says of the rows of a plan that are to be sent.

    What is sent again for its headers alone is not looked at: it is no worse than what is there.
    """
    import pyarrow.compute as pc

    named = rows.filter(pc.match_substring_regex(rows["source_key"], _NAMED, ignore_case=True))
    pairs = zip(named["source_key"].to_pylist(), named["reason"].to_pylist(), strict=True)
    keys = [key for key, reason in pairs if reason not in _SAME_BYTES]
    return cut_off(root, product, keys)


def judge_cogs(root: str, product: str, rows: pa.Table, policy: str, unfit: Sequence[str] = ()) -> list[Finding]:
    """Return what is wrong with the GeoTIFFs that are to be sent.

    A file that is no TIFF at all is always an error, one for each. Layout is judged by rio-cogeo: tiling, overviews,
    and the order of what a reader asks for first.

    Parameters
    ----------
    root
        Absolute path of the product's root.
    product
        Its name, for findings.
    rows
        The rows of a plan that are to be sent.
    policy
        ``warn``, ``refuse`` (findings are errors), or ``off`` (only the TIFF header is looked at).
    unfit
        Keys of which it is known that they cannot be read.

    Raises
    ------
    SourceChangedError
        A file is not there any more.
    SourceError
        A file cannot be read.
    """
    import pyarrow.compute as pc

    from zsync.tables import scalar

    keys = rows.filter(pc.equal(rows["role"], scalar(str(Role.COG))))["source_key"].to_pylist()
    known = set(unfit)
    keys = [key for key in keys if key not in known]
    strange = {key: "not a TIFF file" for key, is_one in _asked(root, keys, is_tiff).items() if not is_one}
    keys = [key for key in keys if key not in strange]
    if policy == "off" or not keys:
        return _unfit(product, strange)
    from rasterio.errors import NotGeoreferencedWarning

    with (
        warnings.catch_warnings(),  # here, for it is of the whole process, and not in the threads
        ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="zsync-cog") as pool,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        verdicts = list(pool.map(lambda key: _verdict(f"{root}/{key}"), keys))
    judged = list(zip(keys, verdicts, strict=True))
    strange |= {key: verdict.problem for key, verdict in judged if not verdict.opens}
    bad = {key: verdict.problem for key, verdict in judged if verdict.opens and verdict.problem}
    return [*_unfit(product, strange), *_not_optimized(product, bad, len(keys), policy)]


def _unfit(product: str, problems: Mapping[str, str]) -> list[Finding]:
    return [
        Finding("error", "not-a-tiff", product, key, f"{problem}; write it again, or remove it, or set damaged: allow")
        for key, problem in problems.items()
    ]


def _not_optimized(product: str, problems: Mapping[str, str], count: int, policy: str) -> list[Finding]:
    if policy == "refuse":
        return [
            Finding("error", "not-a-cog", product, key, f"not cloud-optimized ({problem}); write it again")
            for key, problem in problems.items()
        ]
    if not problems:
        return []
    key, problem = next(iter(problems.items()))
    message = f"{len(problems)} of {count} GeoTIFFs to be sent are not cloud-optimized; the first: {problem}"
    return [Finding("warning", "not-a-cog", product, key, message)]


def _asked(root: str, keys: Sequence[str], ask: Callable[[str], Answer]) -> dict[str, Answer]:
    """Return the answer for the file of each key, many at a time: a file system may be far away."""

    def some(start: int) -> list[Answer]:
        return [_answer(root, key, ask) for key in keys[start : start + _TOGETHER]]

    starts = range(0, len(keys), _TOGETHER)
    if len(starts) == 1:
        return dict(zip(keys, some(0), strict=True))
    with ThreadPoolExecutor(max_workers=4 * (os.cpu_count() or 1), thread_name_prefix="zsync-tiff") as pool:
        answers = [answer for found in pool.map(some, starts) for answer in found]
    return dict(zip(keys, answers, strict=True))


def _answer(root: str, key: str, ask: Callable[[str], Answer]) -> Answer:
    path = f"{root}/{key}"
    try:
        return ask(path)
    except FileNotFoundError as error:
        raise SourceChangedError("a source file went away", key, "publish again once its writer is done") from error
    except OSError as error:
        raise SourceError(f"a source file cannot be read ({error.strerror})", path, advice_on(error)) from error


class _Verdict(NamedTuple):
    opens: bool
    problem: str = ""


def _verdict(path: str) -> _Verdict:
    from rasterio.errors import RasterioError
    from rio_cogeo.cogeo import cog_validate

    try:
        valid, errors, _warnings = cog_validate(path, quiet=True)
    except RasterioError as error:
        return _Verdict(opens=False, problem=f"GDAL cannot open it ({' '.join(str(error).split())})")
    return _Verdict(opens=True, problem="" if valid else " ".join("; ".join(errors).split()))
