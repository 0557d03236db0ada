"""Judge Cloud-Optimized GeoTIFFs before they are sent."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from zsync.errors import SourceError
from zsync.words import Finding, Role

if TYPE_CHECKING:
    import pyarrow as pa

# TIFF 6.0 section 2, and BigTIFF: byte order, then 42 or 43.
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def judge_cogs(root: str, product: str, rows: pa.Table, policy: str) -> list[Finding]:
    """Return what is wrong with the GeoTIFFs that are to be sent.

    A file that is no TIFF at all is always an error. Layout is judged by rio-cogeo: tiling, overviews, and the order
    of what a reader asks for first.

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
    SourceError
        A file is no TIFF.
    """
    import pyarrow.compute as pc

    from zsync.tables import scalar

    keys = rows.filter(pc.equal(rows["role"], scalar(str(Role.COG))))["source_key"].to_pylist()
    for key in keys:
        _check_header(f"{root}/{key}")
    if policy == "off" or not keys:
        return []
    from rasterio.errors import NotGeoreferencedWarning

    with (
        warnings.catch_warnings(),  # here, for it is of the whole process, and not in the threads
        ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="zsync-cog") as pool,
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        verdicts = list(pool.map(lambda key: _verdict(f"{root}/{key}"), keys))
    bad = [(key, verdict) for key, verdict in zip(keys, verdicts, strict=True) if verdict is not None]
    if not bad:
        return []
    key, verdict = bad[0]
    message = f"{len(bad)} of {len(keys)} GeoTIFFs to be sent are not cloud-optimized; the first: {verdict}"
    return [Finding("error" if policy == "refuse" else "warning", "not-a-cog", product, key, message)]


def _check_header(path: str) -> None:
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise SourceError(f"a source file cannot be read ({error.strerror})", path, "check its permissions") from error
    if magic not in _MAGIC:
        raise SourceError("not a TIFF file", path, "write it again, or remove it")


def _verdict(path: str) -> str | None:
    from rasterio.errors import RasterioError
    from rio_cogeo.cogeo import cog_validate

    try:
        valid, errors, _warnings = cog_validate(path, quiet=True)
    except RasterioError as error:
        raise SourceError(f"GDAL cannot open it ({' '.join(str(error).split())})", path, "write it again") from error
    return None if valid else " ".join("; ".join(errors).split())
