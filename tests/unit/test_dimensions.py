"""Which coordinates go with which variables, told from metadata alone."""

from __future__ import annotations

import pytest
from layout_strategies import GROUP, ZGROUP, files, zarr_json, zarray

from zsync.layout import Dimensions, describe, is_metadata, without_levels
from zsync.words import Kind


def dimensions(objects):
    made = files(objects)
    documents = {key: body for key, body in made.items() if is_metadata(Kind.ZARR, key)}
    return Dimensions.of(describe(Kind.ZARR, "p", list(made), documents).stores[""])


def v3(*names, **attributes):
    document = zarr_json((4,) * len(names), (2,) * len(names))
    return {**document, "dimension_names": list(names), "attributes": attributes}


def v2(*names, **attributes):
    return zarray((4,) * len(names), (2,) * len(names)), {"_ARRAY_DIMENSIONS": list(names), **attributes}


def store(zarr_format, **arrays):
    """Arrays by path, each as its names and attributes."""
    made = {"zarr.json": GROUP} if zarr_format == 3 else {".zgroup": ZGROUP}
    for path, (names, attributes) in arrays.items():
        if zarr_format == 3:
            made[f"{path}/zarr.json"] = v3(*names, **attributes)
        else:
            made[f"{path}/.zarray"], made[f"{path}/.zattrs"] = v2(*names, **attributes)
    return made


OCEAN = {
    "temp": (
        ("t", "y", "x"),
        {"coordinates": "lon lat", "grid_mapping": "crs: lon lat", "ancillary_variables": "flag"},
    ),
    "flag": (("t",), {}),
    "lon": (("y", "x"), {"bounds": "lon_corners"}),
    "lon_corners": (("y", "x", "c"), {}),
    "lat": (("y", "x"), {}),
    "other": (("z",), {}),
    "crs": ((), {}),
    "t": (("t",), {"climatology": "span"}),
    "span": (("t", "c"), {}),
    "x": (("x",), {}),
    "z": (("z",), {}),
}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_what_a_variable_needs(zarr_format):
    found = dimensions(store(zarr_format, **OCEAN))
    assert found.with_needed(["temp"]) == {"temp", "lon", "lon_corners", "lat", "crs", "t", "span", "x"}
    assert found.with_needed(["lat"]) == {"lat", "x"}
    assert found.with_needed(["z"]) == {"z"}
    assert found.with_needed(["other"]) == {"other", "z"}
    # What others name as coordinates are those of all that lie along the same dimensions.
    beside = dimensions(store(zarr_format, **OCEAN, salt=(("y", "x"), {}), line=(("y",), {}), point=((), {})))
    assert beside.with_needed(["salt"]) == {"salt", "lon", "lon_corners", "lat", "x"}
    assert beside.with_needed(["line"]) == {"line"}
    assert beside.with_needed(["point"]) == {"point"}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_labels_come_from_the_nearest_group_above(zarr_format):
    made = store(zarr_format, t=(("t",), {}), **{"a/t": (("t",), {}), "a/b/v": (("t", "x"), {}), "c/v": (("t",), {})})
    found = dimensions(made)
    assert (found.label_of("a/b", "t"), found.label_of("c", "t"), found.label_of("c", "x")) == ("a/t", "t", None)
    assert found.with_needed(["a/b/v"]) == {"a/b/v", "a/t"}


def test_names_of_other_writers():
    nczarr = {"zarr_format": 2, "_nczarr_array": {"dimrefs": ["/t", "/g/x"]}}
    axes = [{"name": "y"}, {"name": "x"}]
    found = dimensions(
        {
            ".zgroup": ZGROUP,
            ".zattrs": {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}, {"path": "s/1"}]}]},
            "0/.zarray": zarray((4, 4), (2, 2)),
            "s/1/.zarray": zarray((2, 2), (2, 2)),
            "n/.zarray": zarray((4, 4), (2, 2)),
            "n/.zattrs": nczarr,
            "none/.zarray": zarray((4,), (2,)),
            "few/.zarray": zarray((4, 4), (2, 2)),
            "few/.zattrs": {"_ARRAY_DIMENSIONS": ["t"]},
            "half/.zarray": zarray((4, 4), (2, 2)),
            "half/.zattrs": {"_ARRAY_DIMENSIONS": ["t", 3]},
            "odd/.zarray": zarray((4,), (2,)),
            "odd/.zattrs": {"_ARRAY_DIMENSIONS": [None]},
        }
    )
    assert found.names == {"half": ("t", None), "0": ("y", "x"), "s/1": ("y", "x"), "n": ("t", "x")}


def test_images_name_only_the_levels_that_are_there():
    image = {"datasets": [{"path": "0"}, {"path": "1"}], "axes": ["y"]}
    cut = {"datasets": [{"path": "1"}], "axes": ["y"]}
    gone = {"datasets": [{"path": "9"}]}
    assert without_levels({"multiscales": [image, gone], "a": 1}, {"1"}) == {"multiscales": [cut], "a": 1}
    assert without_levels({"ome": {"multiscales": [image]}}, {"1"}) == {"ome": {"multiscales": [cut]}}
    assert without_levels({"multiscales": "odd", "ome": 3}, {"1"}) == {"multiscales": "odd", "ome": 3}
