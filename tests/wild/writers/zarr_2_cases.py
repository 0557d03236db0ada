"""What zarr-python 2 is asked to write, whichever of its versions runs this."""

from __future__ import annotations

import numcodecs
import numpy as np
import zarr
from corpus import Corpus

RNG = np.random.default_rng(7)


def grid(rows: int, columns: int = 6, k: float = 0) -> np.ndarray:
    return (np.arange(rows)[:, None] * 10 + np.arange(columns)[None] + k + 1).astype("f4")


def opened(store, mode="a"):
    return zarr.open_group(str(store), mode=mode)


def consolidated(step):
    """Consolidate after a step, as most do."""

    def done(store):
        step(store)
        zarr.consolidate_metadata(str(store))

    return done


def run(writer: str) -> None:
    corpus = Corpus(writer, "zarr", "numcodecs")

    # One group, as most have it
    def plain(store):
        group = opened(store, "w")
        group.attrs["title"] = "plain"
        data = group.create_dataset("t2m", data=grid(6), chunks=(2, 4))
        data.attrs["_ARRAY_DIMENSIONS"] = ["time", "x"]
        group.create_dataset("time", data=np.arange(6), chunks=(100,)).attrs["_ARRAY_DIMENSIONS"] = ["time"]
        group.create_dataset("x", data=np.arange(6.0), chunks=(6,)).attrs["_ARRAY_DIMENSIONS"] = ["x"]

    def append(store):
        group = opened(store)
        group["t2m"].append(grid(3, k=600))
        group["time"].append(np.arange(6, 9))

    def shrink(store):
        group = opened(store)
        group["t2m"].resize(3, 6)
        group["time"].resize(3)

    def rewrite(store):
        opened(store)["t2m"][2:4] = -1

    def attributes(store):
        group = opened(store)
        group.attrs["title"] = "other"
        group["t2m"].attrs["units"] = "K"

    def remove(store):
        del opened(store)["t2m"]

    def add(store):
        opened(store).create_dataset("more/d2m", data=grid(6, k=7), chunks=(3, 6), compressor=None)

    def again(store):
        group = opened(store)
        group.create_dataset("t2m", data=grid(6), chunks=(3, 6), overwrite=True)
        group["t2m"].attrs["_ARRAY_DIMENSIONS"] = ["time", "x"]

    both = consolidated(plain)
    corpus.case("append", "one group, consolidated", "append", both, consolidated(append))
    corpus.case("append-unconsolidated", "one group, not consolidated", "append", plain, append)
    corpus.case("append-stale", "consolidated once, appended to without", "append", both, append)
    corpus.case("shrink", "one group, consolidated", "shrink", both, consolidated(shrink))
    corpus.case("rewrite", "one group, consolidated", "rewrite", both, rewrite)
    corpus.case("attributes", "one group, consolidated", "attributes", both, consolidated(attributes))
    corpus.case("remove", "one group, consolidated", "remove", both, consolidated(remove))
    corpus.case("add", "one group, consolidated", "add", both, consolidated(add))
    corpus.case("rechunk", "one group, consolidated", "rechunk", both, consolidated(again))

    # Shapes
    def root_array(store):
        zarr.save_array(str(store), grid(5), chunks=(2, 6))

    corpus.case(
        "root-array", "the root is an array", "append", root_array, lambda store: zarr.open(str(store)).append(grid(3))
    )

    def edges(store):
        group = opened(store, "w")
        group.create_dataset("scalar", data=np.float64(3.5))
        group.create_dataset("never-written", shape=(4, 4), chunks=(2, 2), dtype="i2", fill_value=-9)
        group.create_dataset("nothing", shape=(0,), chunks=(3,), dtype="f8")
        group.create_dataset("flat", shape=(4, 0), chunks=(2, 1), dtype="f8")
        group.create_dataset("no-fill", shape=(4,), chunks=(4,), dtype="i4", fill_value=None)[:] = 1
        group.create_group("empty group")

    def edges_filled(store):
        group = opened(store)
        group["scalar"][...] = 4.5
        group["never-written"][:2, :2] = 5
        group["nothing"].append(np.arange(4.0))

    corpus.case(
        "edges", "0-d, empty, never written, no fill value", "fill", consolidated(edges), consolidated(edges_filled)
    )

    def sparse(store):
        group = opened(store, "w")
        group.create_dataset("mask", data=np.ones((4, 4), "u1"), chunks=(2, 2), fill_value=0, write_empty_chunks=False)

    def emptied(store):
        array = zarr.open(str(store / "mask"), mode="a", write_empty_chunks=False)
        array[:2, :2] = 0

    corpus.case("emptied", "chunks of fill values are not kept", "empty a chunk", sparse, emptied)

    def nested(store):
        root = zarr.group(store=zarr.NestedDirectoryStore(str(store)), overwrite=True)
        for path in ("a", "a/b", "a/b/c", "z"):
            made = root.create_dataset(f"{path}/v", data=grid(4), chunks=(2, 3))
            made.attrs["path"] = path

    def nested_change(store):
        root = opened(store)
        root["a/b"].attrs["level"] = 2
        root["a/b/c/v"].append(grid(2, k=40))
        del root["z"]

    def nested_rewrite(store):
        opened(store)["a/b/c/v"][:2] = -1

    def at_nested(step):
        def done(store):
            step(store)
            zarr.consolidate_metadata(zarr.NestedDirectoryStore(str(store)))

        return done

    nested_first = at_nested(nested)
    corpus.case("nested", "groups in groups, keys with /", "append", nested_first, at_nested(nested_change))
    corpus.case("nested-rewrite", "groups in groups, keys with /", "rewrite", nested_first, nested_rewrite)

    def names(store):
        group = opened(store, "w")
        for name in ("a b", "Ünï", "1.0", "x.y", "0", "co2.partial", "a+b=c&d"):
            group.create_dataset(name, data=np.arange(3), chunks=(2,))

    def names_change(store):
        for _, array in opened(store).arrays():
            array.append(np.arange(2))

    corpus.case("names", "names that need care", "append", consolidated(names), consolidated(names_change))

    # Types
    def types(store):
        group = opened(store, "w")
        for dtype in ("?", "i1", "u1", "<i2", ">i2", ">f8", "<f2", "<c8", "<u8"):
            group.create_dataset(dtype.strip("<>?") + str(ord(dtype[0])), data=np.arange(5).astype(dtype), chunks=(2,))
        group.create_dataset("when", data=np.arange(5).astype("M8[ns]"), chunks=(2,))
        group.create_dataset("how-long", data=np.arange(5).astype("m8[s]"), chunks=(2,))
        group.create_dataset("fortran", data=grid(4), chunks=(2, 3), order="F")
        group.create_dataset("nan", data=np.array([np.nan, 1, np.inf, -np.inf]), chunks=(2,), fill_value=np.nan)

    def types_change(store):
        for name, array in opened(store).arrays():
            if array.ndim == 1 and name != "nan":
                array.append(np.arange(2).astype(array.dtype))

    corpus.case("types", "numbers of every kind, both byte orders", "append", types, types_change)

    def texts(store):
        group = opened(store, "w")
        words = np.array(["a", "", "ünï", "long one"], dtype=object)
        group.create_dataset("utf8", data=words, dtype=object, object_codec=numcodecs.VLenUTF8(), chunks=(2,))
        group.create_dataset("fixed", data=words.astype("U8"), chunks=(2,))
        group.create_dataset("bytes", data=np.array([b"a", b"bc"], "S4"), chunks=(2,))
        group.create_dataset("filled", shape=(4,), chunks=(2,), dtype="<U4", fill_value="none")
        ragged = group.create_dataset("ragged", shape=(2,), chunks=(2,), dtype="array:i4")
        ragged[:] = np.array([np.arange(2), np.arange(3)], dtype=object)

    def texts_change(store):
        group = opened(store)
        group["utf8"].append(np.array(["new"], dtype=object))
        group["fixed"].append(np.array(["new"]))
        group["bytes"][1] = b"zz"
        group["filled"][0] = "one"

    corpus.case("texts", "text, fixed and of any length; ragged rows", "append", texts, texts_change)

    def tables(store):
        rows = np.array([(1, 2.5, b"x"), (2, 3.5, b"yy")], dtype=[("n", "<i4"), ("v", "<f8"), ("s", "S3")])
        opened(store, "w").create_dataset("rows", data=rows, chunks=(2,))

    def tables_change(store):
        array = opened(store)["rows"]
        array.append(np.array([(3, 4.5, b"z")], dtype=array.dtype))

    corpus.case("tables", "structured types", "append", tables, tables_change)

    # Codecs
    def codecs(store):
        group = opened(store, "w")
        data = (np.arange(12) * 3).astype("i4")
        for codec in (numcodecs.Zlib(1), numcodecs.GZip(1), numcodecs.BZ2(1), numcodecs.LZMA(), numcodecs.Zstd(1)):
            group.create_dataset(codec.codec_id, data=data, chunks=(6,), compressor=codec)
        group.create_dataset("none", data=data, chunks=(6,), compressor=None)
        group.create_dataset("delta", data=data, chunks=(6,), filters=[numcodecs.Delta("<i4")])
        packed = numcodecs.FixedScaleOffset(offset=10, scale=10, dtype="<f8", astype="<i2")
        group.create_dataset("packed", data=data / 10, chunks=(6,), filters=[packed])
        summed = [numcodecs.Shuffle(4), numcodecs.CRC32()]
        group.create_dataset("summed", data=data, chunks=(6,), filters=summed, compressor=None)

    def codecs_change(store):
        for _, array in opened(store).arrays():
            array[:3] = array[:3][::-1]

    corpus.case("codecs", "compressors and filters", "rewrite", codecs, codecs_change)
