"""Rasters and what belongs to them: overviews, masks, georeference and statistics in files of their own.

A family is one thing to a reader: GDAL opens the raster and takes up whatever lies beside it under its name.

Sources: GDAL drivers GTiff, GDALDefaultOverviews (``.ovr``, ``.msk``), PAM (``.aux.xml``), world files, RPB, IMD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_RASTERS = (".tif", ".tiff")
# What other formats are called to which files of such names belong; none of them is judged here.
_OTHERS = (".vrt", ".jp2", ".j2k", ".png", ".jpg", ".jpeg", ".img", ".gif", ".bil", ".bsq", ".bip", ".dem", ".asc")
_ADDED = (".ovr", ".msk", ".aux.xml")  # after the whole name
_IN_PLACE = (  # in place of the suffix
    ".tfw", ".tifw", ".tiffw", ".wld", ".jgw", ".jpgw", ".pgw", ".pngw", ".j2w", ".prj", ".rpb", ".imd", ".rrd",
    ".aux", ".ovr", ".msk", "_rpc.txt", ".aux.xml",
)  # fmt: skip
# Without them a reader computes what they hold, or does without; without any other it sees other values or places.
_SPARE = (".ovr", ".aux.xml", ".rrd")


def is_raster_name(name: str) -> bool:
    """Return whether a name is that of a GeoTIFF."""
    return name.lower().endswith(_RASTERS)


def is_sidecar_name(name: str) -> bool:
    """Return whether a name is that of a file which belongs to a raster.

    Examples
    --------
    >>> is_sidecar_name("a.TIF.msk"), is_sidecar_name("a.tfw"), is_sidecar_name("a.tif")
    (True, True, False)
    """
    return name.lower().endswith(_IN_PLACE)


def is_spare(key: str) -> bool:
    """Return whether a raster without this file of its family is the same raster."""
    return key.lower().endswith(_SPARE)


def owners(keys: Collection[str]) -> dict[str, str]:
    """Return the raster that each sidecar belongs to, for those of which it is there.

    Examples
    --------
    >>> owners(["a.tif", "a.tif.msk", "a.tif.msk.ovr", "a.tfw", "b.tfw"])
    {'a.tif.msk': 'a.tif', 'a.tif.msk.ovr': 'a.tif', 'a.tfw': 'a.tif'}
    """
    sidecars = [key for key in keys if is_sidecar_name(key)]
    if not sidecars:
        return {}
    by_name: dict[str, str] = {}
    by_stem: dict[str, str] = {}
    for key in keys:
        lower = key.lower()
        by_name[lower] = key
        if lower.endswith(_RASTERS):
            by_stem[lower.rpartition(".")[0]] = key
        elif lower.endswith(_OTHERS):
            by_stem.setdefault(lower.rpartition(".")[0], key)
    found = {}
    for key in sidecars:
        owner = _owner(key.lower(), by_name, by_stem)
        if owner is not None and owner != key:
            found[key] = owner
    return found


def _owner(key: str, by_name: dict[str, str], by_stem: dict[str, str]) -> str | None:
    """Return the raster of a sidecar; a mask may have overviews of its own."""
    for suffix in _ADDED:
        if key.endswith(suffix):
            before = key.removesuffix(suffix)
            above = _owner(before, by_name, by_stem) if is_sidecar_name(before) else None
            if above is not None or (before in by_name and not is_sidecar_name(before)):
                return above or by_name[before]
    stems = (key.removesuffix(suffix) for suffix in _IN_PLACE if key.endswith(suffix))
    return next((by_stem[stem] for stem in stems if stem in by_stem), None)


def with_families(units: Iterable[str], keys: Collection[str]) -> frozenset[str]:
    """Return files, and with each the whole family that it belongs to.

    Parameters
    ----------
    units
        The files; what is no member of a family among them stays as it is.
    keys
        All files.
    """
    chosen = frozenset(units)
    of = owners(keys) if chosen else {}
    touched = {of.get(unit, unit) for unit in chosen}
    members = {member for member, raster in of.items() if raster in touched}
    return chosen | members | (touched & set(of.values()))
