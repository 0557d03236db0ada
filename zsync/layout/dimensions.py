"""The names of dimensions, and which arrays go with which by them: the coordinates of a variable, however stored.

Sources: xarray's encoding of dimensions in Zarr, ``_ARRAY_DIMENSIONS`` (v2); Zarr v3 core specification,
``dimension_names``; netCDF-C's NCZarr; OME-NGFF 0.4 and 0.5, ``multiscales``; CF conventions 1.11, chapters 5, 7 and
appendix A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zsync.layout.documents import ZARR_JSON, ZARRAY, ZATTRS
from zsync.layout.nodes import join, lineage, parent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from zsync.layout.model import Store

# Attributes of a variable that name others without which it cannot be understood.
_REFERENCES = (
    "coordinates", "bounds", "climatology", "grid_mapping", "formula_terms", "cell_measures", "geometry",
    "node_coordinates", "node_count", "part_node_count", "interior_ring",
)  # fmt: skip
_WORDS = re.compile(r"[^\s:]+")

Names = tuple[str | None, ...]


def dimension_names(documents: Mapping[str, Any], path: str) -> list[Any] | None:
    """Return the names of an array's dimensions as its own metadata has them; None if it has none."""
    v3 = documents.get(join(path, ZARR_JSON))
    document = v3 if v3 is not None else documents.get(join(path, ZARRAY))
    attributes = documents.get(join(path, ZATTRS)) or {}
    if not isinstance(document, Mapping) or not isinstance(attributes, Mapping):
        return None
    names = document.get("dimension_names") if v3 is not None else attributes.get("_ARRAY_DIMENSIONS")
    names = names if names is not None or v3 is not None else _nczarr_names(document, attributes)
    return names if isinstance(names, list) else None


def _nczarr_names(document: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[Any] | None:
    """Return the names that netCDF-C gives to dimensions, which it writes with the groups that they belong to."""
    for inside in (document.get("_NCZARR_ARRAY"), attributes.get("_nczarr_array"), attributes.get("_NCZARR_ARRAY")):
        names = inside.get("dimrefs", inside.get("dimension_references")) if isinstance(inside, Mapping) else None
        if isinstance(names, list):
            return [name.rpartition("/")[2] if isinstance(name, str) else None for name in names]
    return None


def attributes_of(documents: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Return the attributes of a node."""
    v3 = documents.get(join(path, ZARR_JSON))
    attributes = v3.get("attributes") if isinstance(v3, Mapping) else documents.get(join(path, ZATTRS))
    return attributes if isinstance(attributes, Mapping) else {}


def multiscales_of(attributes: Mapping[str, Any]) -> list[Any]:
    """Return the pyramids that a group's attributes tell of."""
    ome = attributes.get("ome")
    found = attributes.get("multiscales", ome.get("multiscales") if isinstance(ome, Mapping) else None)
    return found if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The arrays of a store, by the names of their dimensions.

    Attributes
    ----------
    documents
        The store's metadata.
    names
        By path of the array; one that has dimensions and no name for any of them is not among them.
    shapes
        By path, of all arrays.
    """

    documents: Mapping[str, Any]
    names: Mapping[str, Names]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, store: Store) -> Dimensions:
        """Return those of a store."""
        axes = dict(_axes_of_pyramids(store))
        shapes = {path: array.shape for path, array in store.arrays.items()}
        found = {}
        for path, shape in shapes.items():
            own = dimension_names(store.documents, path)
            if own is None:  # as `zarr migrate v3` leaves it
                own = attributes_of(store.documents, path).get("_ARRAY_DIMENSIONS")
            names = _fitting(own, shape) or _fitting(axes.get(path), shape)
            if names is not None:
                found[path] = names
        return cls(store.documents, found, shapes)

    def label_of(self, group: str, dimension: str) -> str | None:
        """Return the coordinate that labels a dimension: the nearest, in the group or above it."""
        return next((path for path in self._nearest(group, dimension) if self.names.get(path) == (dimension,)), None)

    def with_needed(self, wanted: Iterable[str]) -> set[str]:
        """Return arrays, with the coordinates that they need, and what these need: labels, bounds, projections."""
        coordinates = self._coordinates()
        found: set[str] = set()
        pending = list(wanted)
        while pending:
            path = pending.pop()
            if path not in found:
                found.add(path)
                pending += self._named(path)
                pending += self._around(path, coordinates.get(parent(path), ()))
        return found

    def _named(self, path: str) -> Iterator[str]:
        """Yield the arrays that an array names: the labels of its dimensions, and those in its attributes."""
        group = parent(path)
        for dimension in self.names.get(path, ()):
            label = self.label_of(group, dimension) if dimension else None
            if label is not None:
                yield label
        for word in _references(attributes_of(self.documents, path), _REFERENCES):
            yield from list(self._nearest(group, word))[:1]

    def _around(self, path: str, coordinates: Collection[str]) -> Iterator[str]:
        """Yield the coordinates of a group that lie along dimensions of one of its variables, as xarray has it."""
        if path in coordinates or not (own := set(self.names.get(path, ()))):
            return
        for other in coordinates:
            if other in self.names and own.issuperset(self.names[other]):
                yield other

    def _coordinates(self) -> dict[str, set[str]]:
        """Return the arrays that others name as their coordinates, by group."""
        found: dict[str, set[str]] = {}
        for path in {*self.shapes, *map(parent, self.shapes)}:
            group = parent(path) if path in self.shapes else path
            for word in _references(attributes_of(self.documents, path), ("coordinates",)):
                if join(group, word) in self.shapes:
                    found.setdefault(group, set()).add(join(group, word))
        return found

    def _nearest(self, group: str, name: str) -> Iterator[str]:
        """Yield the arrays of a name in a group and those above it, the nearest first."""
        groups = [""] if name.startswith("/") else list(lineage(group))
        for above in reversed(groups):
            if (path := join(above, name.strip("/"))) in self.shapes:
                yield path


def _fitting(names: Any, shape: tuple[int, ...]) -> Names | None:
    """Return names as far as they are some; None if there are none, or not one an axis."""
    if not shape:
        return ()
    if not isinstance(names, list) or len(names) != len(shape):
        return None
    found = tuple(name if isinstance(name, str) else None for name in names)
    return found if any(found) else None


def _axes_of_pyramids(store: Store) -> Iterator[tuple[str, list[Any]]]:
    """Yield the arrays of OME-Zarr images, of which the group says what the axes are."""
    for group in store.groups:
        for image in multiscales_of(attributes_of(store.documents, group)):
            axes = image.get("axes") if isinstance(image, Mapping) else None
            if isinstance(axes, list):
                names = [axis.get("name") if isinstance(axis, Mapping) else axis for axis in axes]
                yield from ((join(group, path), names) for path in _datasets(image))


def _datasets(image: Mapping[str, Any]) -> list[str]:
    datasets = image.get("datasets")
    paths = [item.get("path") for item in datasets if isinstance(item, Mapping)] if isinstance(datasets, list) else []
    return [path for path in paths if isinstance(path, str)]


def without_levels(attributes: Mapping[str, Any], is_there: Collection[str]) -> dict[str, Any]:
    """Return a group's attributes in which images name only those of their levels that are there.

    Parameters
    ----------
    is_there
        Paths of arrays, relative to the group.
    """

    def cut(images: list[Any]) -> list[Any]:
        kept = [_with_levels(image, is_there) if isinstance(image, Mapping) else image for image in images]
        return [image for image in kept if not isinstance(image, Mapping) or image.get("datasets") != []]

    changed = dict(attributes)
    if isinstance(changed.get("multiscales"), list):
        changed["multiscales"] = cut(changed["multiscales"])
    ome = changed.get("ome")
    if isinstance(ome, Mapping) and isinstance(ome.get("multiscales"), list):
        changed["ome"] = {**ome, "multiscales": cut(ome["multiscales"])}
    return changed


def _with_levels(image: Mapping[str, Any], is_there: Collection[str]) -> dict[str, Any]:
    datasets = image.get("datasets")
    if not isinstance(datasets, list):
        return dict(image)
    kept = [item for item in datasets if not isinstance(item, Mapping) or item.get("path") in is_there]
    return {**image, "datasets": kept}


def _references(attributes: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str):
            yield from _WORDS.findall(value)
