# /// script
# requires-python = ">=3.11"
# dependencies = ["tensorstore==0.1.86", "numpy==2.5.5"]
# ///
"""tensorstore writes arrays of formats 2 and 3, shards too; it writes no groups and no consolidated metadata."""

from __future__ import annotations

import shutil

import numpy as np
import tensorstore as ts
from corpus import Corpus

CORPUS = Corpus("tensorstore", "tensorstore")


def grid(rows: int, columns: int = 6, k: float = 0) -> np.ndarray:
    return (np.arange(rows)[:, None] * 10 + np.arange(columns)[None] + k + 1).astype("f4")


def opened(path, driver, **more):
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/"}, **more}
    return ts.open(spec, open=not more, create=bool(more), delete_existing=bool(more)).result()


def found(store):
    """Return what tensorstore finds, at the root or one level down."""
    paths = [store] if any((store / name).exists() for name in (".zarray", "zarr.json")) else sorted(store.iterdir())
    held = {}
    for path in paths:
        driver = "zarr" if (path / ".zarray").exists() else "zarr3"
        name = "" if path == store else path.name
        held[name] = opened(path, driver).read().result()
    return held


def case(name, layout, does, make, change, driver):
    def first(store):
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        make(store)

    CORPUS.case(name, layout, does, first, lambda store: change(opened(store, driver)), read=found)


def append(array):
    longer = array.resize(exclusive_max=[8, 6]).result()
    longer[6:8, :] = grid(2, k=60)


def rewrite(array):
    array[2:4, :] = -1


def shrink(array):
    array.resize(exclusive_max=[3, 6]).result()


V2 = {"zarr_format": 2, "shape": [6, 6], "chunks": [2, 3], "dtype": "<f4", "fill_value": "NaN"}
FORMS = {
    "v2": ("zarr", "format 2, no compressor", {**V2, "compressor": None}),
    "v2-slash": ("zarr", "format 2, keys with /", {**V2, "dimension_separator": "/"}),
    "v2-blosc": ("zarr", "format 2, blosc, big-endian", {**V2, "dtype": ">f4", "compressor": {"id": "blosc"}}),
    "v2-fortran": ("zarr", "format 2, order F, zstd", {**V2, "order": "F", "compressor": {"id": "zstd", "level": 1}}),
}


def regular(shape):
    return {"name": "regular", "configuration": {"chunk_shape": shape}}


V3 = {"shape": [6, 6], "data_type": "float32", "dimension_names": ["time", "x"], "fill_value": "NaN"}
SHARDS = {"name": "sharding_indexed", "configuration": {"chunk_shape": [2, 3], "codecs": [{"name": "gzip"}]}}
FORMS |= {
    "v3": ("zarr3", "format 3", {**V3, "chunk_grid": regular([2, 3])}),
    "v3-sharded": ("zarr3", "format 3, shards", {**V3, "chunk_grid": regular([4, 6]), "codecs": [SHARDS]}),
    "v3-keys-v2": (
        "zarr3",
        "format 3, keys of format 2",
        {
            **V3,
            "chunk_grid": regular([2, 3]),
            "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        },
    ),
    "v3-turned": (
        "zarr3",
        "format 3, transposed, zstd",
        {
            **V3,
            "chunk_grid": regular([2, 3]),
            "codecs": [
                {"name": "transpose", "configuration": {"order": [1, 0]}},
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "zstd", "configuration": {"level": 1}},
            ],
        },
    ),
}
for form, (driver, layout, metadata) in FORMS.items():

    def make(store, driver=driver, metadata=metadata):
        opened(store, driver, metadata=metadata)[...] = grid(6)

    case(f"{form}-append", layout, "append", make, append, driver)
    case(f"{form}-rewrite", layout, "rewrite", make, rewrite, driver)
    case(f"{form}-shrink", layout, "shrink", make, shrink, driver)


def scalar(store):
    opened(store, "zarr3", metadata={"shape": [], "data_type": "int16", "chunk_grid": regular([])})[...] = 3


def scalar_change(array):
    array[...] = 4


case("scalar", "0-d", "rewrite", scalar, scalar_change, "zarr3")


def dtypes(directory):
    directory.mkdir(exist_ok=True)
    for dtype in ("bool", "uint8", "int64", "float16", "bfloat16", "complex64", "int4"):
        metadata = {"shape": [4], "data_type": dtype, "chunk_grid": regular([2])}
        opened(directory / dtype, "zarr3", metadata=metadata)[...] = (np.arange(4) % 2).astype(
            ts.dtype(dtype).numpy_dtype
        )


def dtypes_read(directory):
    return {name: np.asarray(array).astype("c8") for name, array in found(directory).items()}


def dtypes_change(directory):
    for path in sorted(directory.iterdir()):
        array = opened(path, "zarr3")
        array[0] = np.ones((), array.dtype.numpy_dtype)


CORPUS.case(
    "dtypes", "a directory of arrays, types of its own among them", "rewrite", dtypes, dtypes_change, read=dtypes_read
)
