"""What files are that lie in no array, as their names tell: rasters, what belongs to them, and what names others.

What names others goes after all that it may name, of all products, Zarr stores among them; it is in the stage ``root``
for that. To go late does no harm to what is named by nobody, so that in doubt a file counts as an index. Which of
several indexes names which is told by what is in them (`zsync.layout.references`); the ranks here are for those of
which that is not known.

Sources: GDAL drivers GTiff (``.msk``, ``.ovr``, world files), PAM (``.aux.xml``), VRT, GTI; STAC and stac-geoparquet
specifications; kerchunk's Parquet references; Icechunk's specification; NCZarr.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING

from zsync.layout.objects import Verdict, Verdicts
from zsync.layout.rasters import is_raster_name, is_sidecar_name
from zsync.words import Kind, Role, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pyarrow as pa

SIDECAR_RANK = -10  # before rasters: nobody sees a mask without its raster, and a raster without its mask is wrong
# Ranks of indexes in the stage `root`, after the documents of Zarr stores: what may name the ones before.
INDEX_RANK, LIST_RANK, CATALOG_RANK, PAGE_RANK = 10, 20, 30, 40
_BETWEEN = 5  # of a file that completes others of its own rank

# NCZarr's own documents of groups and arrays; to its readers they are what `.zattrs` is to others.
NCZARR_GROUP = frozenset({".nczgroup", ".nczattr", ".nczattrs"})
NCZARR_ARRAY = frozenset({".nczarray", ".nczvar", ".nczattr", ".nczattrs"})
NCZARR_NAMES = NCZARR_GROUP | NCZARR_ARRAY

_COMPRESSED = re.compile(r"\.(gz|zst|bz2|xz|br)$")
_INDEXES = (
    ".vrt", ".gti", ".json", ".geojson", ".topojson", ".mosaicjson", ".jsonl", ".ndjson", ".parquet", ".parq", ".gpkg",
    ".fgb", ".dbf", ".shx", ".kml", ".czml", ".atom", ".rss", ".meta4", ".metalink",
)  # fmt: skip
_PAGES = (".html", ".htm", ".xhtml")
REFERENCE_PART = re.compile(r"refs\.\d+\.parq(?:uet)?")  # of kerchunk, beside which `.zmetadata` tells of them
_LISTS = re.compile(r"^(collections?|items?|item_?collection)\.")
_CATALOGS = re.compile(r"^(catalog(ue)?|index|latest|stac|root|sitemap|manifest)\.")
_DOCUMENTS = re.compile(r"zmetadata|^\.z(group|array|attrs)$|^zarr\.json$")  # of stores of other kinds, or of none
_ICECHUNK = {"manifests": INDEX_RANK, "transactions": INDEX_RANK, "snapshots": LIST_RANK, "refs": CATALOG_RANK}


# What is in files of such names is no text, and names nobody; all else is looked at.
_DATA = (
    ".tif", ".tiff", ".nc", ".nc4", ".cdf", ".h5", ".hdf", ".hdf4", ".hdf5", ".he5", ".grib", ".grib2", ".grb", ".grb2",
    ".bufr", ".jp2", ".j2k", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".img", ".npy", ".npz", ".zip", ".tar", ".tgz",
    ".7z", ".gz", ".bz2", ".xz", ".zst", ".pdf", ".laz", ".las", ".mp4",
)  # fmt: skip


def is_data_name(key: str) -> bool:
    """Return whether a key is named as files are that hold data and name no others.

    Examples
    --------
    >>> is_data_name("a/b.NC"), is_data_name("a/list.txt")
    (True, False)
    """
    return key.lower().endswith(_DATA)


def index_rank(name: str) -> int | None:
    """Return the rank of a file that names others, as far as its name tells; None if it does not.

    Examples
    --------
    >>> index_rank("Mosaic.VRT"), index_rank("items.parquet"), index_rank("catalog.json"), index_rank("a.tif")
    (10, 20, 30, None)
    """
    name = name.lower()
    if _DOCUMENTS.search(name):
        return INDEX_RANK + _BETWEEN
    plain = _COMPRESSED.sub("", name)
    if plain.endswith(_PAGES):
        return PAGE_RANK
    if plain.endswith(".shp"):
        return INDEX_RANK + _BETWEEN
    if not plain.endswith((*_INDEXES, ".xml")):
        return None
    if _CATALOGS.match(plain):
        return CATALOG_RANK
    if plain.endswith(".xml"):  # other XML is told by what is in it
        return INDEX_RANK if plain.endswith((".gti.xml", ".vrt.xml")) else None
    is_list = _LISTS.match(plain) or (plain.endswith((".parquet", ".parq")) and not REFERENCE_PART.fullmatch(plain))
    return LIST_RANK if is_list else INDEX_RANK


def file_verdict(key: str, kind: Kind, store: str | None = None) -> Verdict:
    """Return what a file that lies in no array is to a product, as its name tells.

    Examples
    --------
    >>> file_verdict("2024/site.TIF.aux.xml", Kind.FILES).role.value
    'sidecar'
    """
    name = key.rpartition("/")[2]
    if is_sidecar_name(name):
        return Verdict(Role.SIDECAR, Stage.DATA, SIDECAR_RANK, store)
    if kind is not Kind.FILES and is_raster_name(name):
        return Verdict(Role.COG, Stage.DATA, 0, store)
    rank = index_rank(name)
    if rank is not None:
        return Verdict(Role.INDEX, Stage.ROOT, rank, store)
    return Verdict(Role.FOREIGN if kind is Kind.ZARR else Role.FILE, Stage.DATA, 0, store)


def describe_files(keys: Sequence[str], kind: Kind) -> pa.Table:
    """Return the table of what each file of a product without Zarr stores is."""
    verdicts = Verdicts()
    repositories = icechunk_repositories(keys)
    judge = _with_icechunk(repositories, kind) if repositories else lambda key: file_verdict(key, kind)
    return verdicts.table(keys, array("i", (verdicts.number(judge(key)) for key in keys)))


def icechunk_repositories(keys: Iterable[str]) -> frozenset[str]:
    """Return the directories that are Icechunk repositories: there are snapshots, and what names them.

    Examples
    --------
    >>> icechunk_repositories(["a/refs/branch.main/ref.json", "a/snapshots/1CECHNKREP0F1RSTCMT0", "b/refs/x"])
    frozenset({'a'})
    """
    with_snapshots, with_names = set(), set()
    for key in keys:
        parts = key.split("/")
        with_snapshots |= {"/".join(parts[:i]) for i, part in enumerate(parts[:-1]) if part == "snapshots"}
        with_names |= {"/".join(parts[:i]) for i, part in enumerate(parts[:-1]) if part == "refs"}
        if parts[-1] == "repo":
            with_names.add("/".join(parts[:-1]))
    return frozenset(with_snapshots & with_names)


def _with_icechunk(repositories: frozenset[str], kind: Kind) -> Callable[[str], Verdict]:
    """Return what judges keys of which some lie in Icechunk repositories: what is in those says nothing by its name."""
    file = Verdict(Role.FILE, Stage.DATA)

    def judge(key: str) -> Verdict:
        parts = key.split("/")
        for end in range(len(parts)):
            if "/".join(parts[:end]) in repositories:
                rank = CATALOG_RANK if parts[end:] == ["repo"] else _ICECHUNK.get(parts[end])
                return file if rank is None else Verdict(Role.INDEX, Stage.ROOT, rank)
        return file_verdict(key, kind)

    return judge
