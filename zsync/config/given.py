"""What a user names in place of a configuration or a directory: one file of data, or nothing that is there."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config.formats import SUFFIXES
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = ("zsync.yaml", "zsync.yml", "zsync.toml", "zsync.json")
"""What a configuration is called that goes without saying, in the current directory."""

_HEAD = 512  # bytes
# How files of the formats begin that pipelines leave: GDAL drivers GTiff, COG; HDF5, netCDF-3, GRIB, Parquet, ZIP.
_BEGINNINGS = {
    b"PK\x03\x04": "a ZIP archive", b"PK\x05\x06": "a ZIP archive",
    b"II*\0": "a GeoTIFF", b"MM\0*": "a GeoTIFF", b"II+\0": "a GeoTIFF", b"MM\0+": "a GeoTIFF",
    b"\x89HDF": "an HDF5 or netCDF file", b"CDF": "a netCDF file", b"GRIB": "a GRIB file", b"PAR1": "a Parquet file",
    b"\x89PNG": "an image", b"\x1f\x8b": "a compressed file",
}  # fmt: skip
_ARCHIVE = "a ZIP archive"
_ZARR = frozenset({".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"})


def here() -> str | None:
    """Return the configuration that lies in the current directory, if one does."""
    return next((name for name in FILES if Path(name).is_file()), None)


def refuse_what_is_none(path: str) -> None:
    """Refuse what cannot be a configuration, and say what to write for what it is.

    Parameters
    ----------
    path
        An absolute path, of no directory.

    Raises
    ------
    ConfigError
        It is one file of data, or there is nothing.
    """
    if Path(path).name in _ZARR:
        raise ConfigError(
            "this is metadata of a Zarr store, not a configuration", path, f"give the store: {Path(path).parent}"
        )
    if Path(path).suffix.lower() in SUFFIXES:
        return
    try:
        is_regular = stat.S_ISREG(Path(path).stat().st_mode)
    except FileNotFoundError:
        raise ConfigError(
            "there is neither a directory to publish nor a configuration", path, "check the path; is it mounted?"
        ) from None
    except OSError:
        return  # that it cannot be read is said where it is read
    what = _what(path) if is_regular else None
    if what is not None:
        raise ConfigError(f"this is {what}, not a configuration", path, advice_for(path, what))


def _what(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    known = next((what for beginning, what in _BEGINNINGS.items() if head.startswith(beginning)), None)
    return known or ("a file of data" if b"\0" in head else None)


def advice_for(path: str, what: str = "") -> str:
    """Return what to write to publish one file."""
    directory, name = os.path.split(path)
    alone = f"to publish it alone: zsync publish {shlex.quote(directory)} --include {quoted_glob(name)} --target URL"
    if what != _ARCHIVE:
        return alone
    unpacked = shlex.quote(path.removesuffix(".zip"))
    return f"a Zarr store is published as a directory: unzip {shlex.quote(path)} -d {unpacked}; {alone}"


def quoted_glob(name: str) -> str:
    """Return the pattern that only a name matches, as it is written in a shell.

    Examples
    --------
    >>> quoted_glob("a[1].tif")
    "'a[[]1].tif'"
    """
    return shlex.quote("".join(f"[{character}]" if character in "*?[" else character for character in name))


def data_in(doc: Mapping[str, Any]) -> str | None:
    """Return what a document is that is data, not a configuration; None if it may be one."""
    if isinstance(doc.get("refs"), dict) or ".zgroup" in doc:
        return "kerchunk references"
    if "stac_version" in doc:
        return "a STAC document"
    if doc.get("type") in ("Feature", "FeatureCollection", "Topology"):
        return "GeoJSON"
    return None
