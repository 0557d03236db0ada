"""Judge Cloud-Optimized GeoTIFFs before they are sent."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from zsync.errors import SourceChangedError, SourceError
from zsync.system import advice_on
from zsync.words import Finding, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

# TIFF 6.0 section 2, and BigTIFF: byte order, then 42 or 43.
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def judge_cogs(root: str, product: str, rows: pa.Table, policy: str) -> list[Finding]:
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
    unfit = {key: "not a TIFF file" for key in keys if not _is_tiff(root, key)}
    keys = [key for key in keys if key not in unfit]
    if policy == "off" or not keys:
        return _unfit(product, unfit)
    from rasterio.errors import NotGeoreferencedWarning

    with (
        warnings.catch_warnings(),  # here, for it is of the whole process, and not in the threads
        ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="zsync-cog") as pool,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        verdicts = list(pool.map(lambda key: _verdict(f"{root}/{key}"), keys))
    judged = list(zip(keys, verdicts, strict=True))
    unfit |= {key: verdict.problem for key, verdict in judged if not verdict.opens}
    bad = {key: verdict.problem for key, verdict in judged if verdict.opens and verdict.problem}
    return [*_unfit(product, unfit), *_not_optimized(product, bad, len(keys), policy)]


def _unfit(product: str, problems: Mapping[str, str]) -> list[Finding]:
    return [
        Finding("error", "not-a-tiff", product, key, f"{problem}; write it again, or remove it")
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


def _is_tiff(root: str, key: str) -> bool:
    path = f"{root}/{key}"
    try:
        with open(path, "rb") as file:
            return file.read(4) in _MAGIC
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
