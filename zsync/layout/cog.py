"""What the files of a directory of Cloud-Optimized GeoTIFFs are.

A file goes after those that it describes or refers to: GeoTIFFs, then their sidecars, then VRTs and STAC items, then
the documents that refer to items (DESIGN, "The protocol of a publish").

Sources: GDAL drivers GTiff (``.msk``, ``.ovr``, world files), PAM (``.aux.xml``), VRT; STAC specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsync.layout.objects import Verdict, Verdicts
from zsync.words import Role, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

SIDECAR_RANK = 20  # leaves room for a plan to send replaced files after new ones

_GEOTIFFS = (".tif", ".tiff")
_SIDECARS = (".aux.xml", ".msk", ".ovr", ".tfw", ".prj")
_INDEXES = (".vrt", ".json", ".geojson")
_REFER_TO_INDEXES = frozenset({"catalog.json", "collection.json", "index.json", "index.geojson", "latest.json"})

_COG = Verdict(Role.COG, Stage.DATA)
_SIDECAR = Verdict(Role.SIDECAR, Stage.DATA, SIDECAR_RANK)
_INDEX = Verdict(Role.INDEX, Stage.ROOT)
_INDEX_OF_INDEXES = Verdict(Role.INDEX, Stage.ROOT, 1)
_FILE = Verdict(Role.FILE, Stage.DATA)


def classify(key: str) -> Verdict:
    """Return what a file of a `cog` product is.

    Examples
    --------
    >>> classify("2024/site.TIF.aux.xml").role.value
    'sidecar'
    """
    name = key.rpartition("/")[2].lower()
    if name.endswith(_GEOTIFFS):
        return _COG
    if name.endswith(_SIDECARS):
        return _SIDECAR
    if name in _REFER_TO_INDEXES:
        return _INDEX_OF_INDEXES
    return _INDEX if name.endswith(_INDEXES) else _FILE


def describe_cogs(keys: Sequence[str]) -> pa.Table:
    """Return the table of what each file of a `cog` product is."""
    verdicts = Verdicts()
    return verdicts.table(keys, [verdicts.number(classify(key)) for key in keys])
