"""Small rasters with masks, overviews and statistics in files of their own; all of it tells its generation."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np

SIZE = 64
SIDECARS = (".msk", ".ovr", ".aux.xml")


def write_raster(path: Path, generation: int, sidecars: tuple[str, ...] = ()) -> None:
    """Write a GeoTIFF of one value; a mask hides as many of its first rows as its generation says."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.transform import from_origin

    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    values = np.full((1, SIZE, SIZE), generation, "uint8")
    form = {"width": SIZE, "height": SIZE, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    where = from_origin(generation, 0, 1, 1)
    options = {"GDAL_TIFF_INTERNAL_MASK": "NO", "TIFF_USE_OVR": "YES", "COMPRESS_OVERVIEW": "DEFLATE"}
    with warnings.catch_warnings(), rasterio.Env(**options):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=16, blockysize=16, transform=where,
                           compress="deflate", **form) as file:  # fmt: skip
            file.write(values)
            if ".msk" in sidecars:
                mask = np.full((SIZE, SIZE), 255, "uint8")
                mask[:generation] = 0
                file.write_mask(mask)
        if ".ovr" in sidecars:
            with rasterio.open(path, "r+") as file:
                file.build_overviews([2])
    if ".aux.xml" in sidecars:
        tags = f'<PAMDataset><Metadata><MDI key="generation">{generation}</MDI></Metadata></PAMDataset>'
        path.with_name(f"{path.name}.aux.xml").write_text(tags)


def seen(tree: dict[str, bytes], key: str) -> tuple[int, int | None, int | None, int | None] | None:
    """Return what a reader sees of a raster among objects: generations of values, mask, overview and statistics."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    if key not in tree:
        return None
    directory, name = key.rpartition("/")[::2]
    with tempfile.TemporaryDirectory() as here, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for other, body in tree.items():
            if other.startswith(f"{directory}/" if directory else "") and "/" not in other[len(directory) + 1 :]:
                Path(here, other.rpartition("/")[2]).write_bytes(body)
        with rasterio.open(f"{here}/{name}") as file:
            value = int(file.read(1)[-1, -1])
            hidden = int((file.read_masks(1)[:, -1] == 0).sum()) or None
            levels = file.overviews(1)
            statistics = file.tags().get("generation")
        overview = None
        if levels and f"{key}.msk" not in tree:  # GDAL shows no single overview of a raster beside its mask's
            with rasterio.open(f"{here}/{name}", overview_level=0) as file:
                overview = int(file.read(1)[-1, -1])
        elif levels:
            with rasterio.open(f"{here}/{name}.ovr") as file:
                overview = int(file.read(1)[-1, -1])
    return value, hidden, overview, None if statistics is None else int(statistics)
