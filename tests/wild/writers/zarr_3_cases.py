"""What zarr-python 3 is asked to write, whichever of its versions runs this; what one of them lacks is left out."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import zarr
from corpus import Corpus
from packaging.version import Version

warnings.simplefilter("ignore")
VERSION = Version(zarr.__version__)


def grid(rows: int, columns: int = 6, k: float = 0) -> np.ndarray:
    return (np.arange(rows)[:, None] * 10 + np.arange(columns)[None] + k + 1).astype("f4")


def opened(store, mode="a", **more):
    return zarr.open_group(str(store), mode=mode, use_consolidated=False, **more)


def consolidated(step, *groups):
    """Consolidate after a step, groups before the root."""

    def done(store):
        step(store)
        for path in (*groups, None):
            zarr.consolidate_metadata(str(store), path=path)

    return done


def put(group, name, data, chunks, **more):
    dims = more.pop("dims", None)
    if group.metadata.zarr_format == 3:
        more["dimension_names"] = dims
    elif dims:
        more["attributes"] = {"_ARRAY_DIMENSIONS": dims}
    array = group.create_array(name, shape=data.shape, dtype=more.pop("dtype", data.dtype), chunks=chunks, **more)
    array[...] = data
    return array


def run(writer: str, *packages: str, only: tuple[str, ...] = ("",)) -> None:
    corpus = Corpus(writer, "zarr", "numcodecs", *packages, only=only)

    def plain(store, zarr_format=3, **more):
        group = opened(store, "w", zarr_format=zarr_format)
        group.attrs["title"] = "plain"
        put(group, "t2m", grid(6), (2, 3), dims=["time", "x"], fill_value=np.float32(np.nan), **more)
        put(group, "time", np.arange(6), (100,), dims=["time"])
        put(group, "x", np.arange(6.0), (6,), dims=["x"])

    def append(store):
        group = opened(store)
        group["t2m"].append(grid(3, k=600))
        group["time"].append(np.arange(6, 9))

    def shrink(store):
        group = opened(store)
        group["t2m"].resize((3, 6))
        group["time"].resize((3,))

    def rewrite(store):
        opened(store)["t2m"][2:4] = -1

    def attributes(store):
        group = opened(store)
        group.attrs["title"] = "other"
        group["t2m"].attrs["units"] = "K"

    def remove(store):
        del opened(store)["t2m"]

    def again(store):
        group = opened(store)
        put(group, "t2m", grid(6), (3, 6), dims=["time", "x"], fill_value=np.float32(np.nan), overwrite=True)

    both = consolidated(plain)
    corpus.case("append", "one group, consolidated", "append", both, consolidated(append))
    corpus.case("append-unconsolidated", "one group, not consolidated", "append", plain, append)
    corpus.case("append-stale", "consolidated once, appended to without", "append", both, append)
    corpus.case("shrink", "one group, consolidated", "shrink", both, consolidated(shrink))
    corpus.case("rewrite", "one group, consolidated", "rewrite", both, rewrite)
    corpus.case("attributes", "one group, consolidated", "attributes", both, consolidated(attributes))
    corpus.case("remove", "one group, consolidated", "remove", both, consolidated(remove))
    corpus.case("rechunk", "one group, consolidated", "rechunk", both, consolidated(again))

    def old(store):
        plain(store, zarr_format=2)

    corpus.case("format-2-append", "format 2, consolidated", "append", consolidated(old), consolidated(append))
    corpus.case("format-2-shrink", "format 2, not consolidated", "shrink", old, shrink)

    def sharded(store):
        plain(store, shards=(4, 6))

    corpus.case("sharded-append", "shards", "append", consolidated(sharded), consolidated(append))
    corpus.case("sharded-shrink", "shards", "shrink", consolidated(sharded), consolidated(shrink))
    corpus.case("sharded-rewrite", "shards", "rewrite", consolidated(sharded), rewrite)

    def dotted(store):
        plain(store, chunk_key_encoding={"name": "v2", "separator": "."})

    def dotted_default(store):
        plain(store, chunk_key_encoding={"name": "default", "separator": "."})

    corpus.case("keys-v2", "chunk keys as in format 2", "append", consolidated(dotted), consolidated(append))
    corpus.case("keys-dots", "chunk keys with dots", "append", consolidated(dotted_default), consolidated(append))

    # Shapes
    def root_array(store):
        array = zarr.create_array(str(store), shape=(5, 6), dtype="f4", chunks=(2, 6), overwrite=True)
        array[...] = grid(5)

    corpus.case(
        "root-array", "the root is an array", "append", root_array, lambda s: zarr.open_array(str(s)).append(grid(3))
    )

    def edges(store):
        group = opened(store, "w")
        put(group, "scalar", np.array(3.5), ())
        group.create_array("never-written", shape=(4, 4), chunks=(2, 2), dtype="i2", fill_value=-9)
        group.create_array("nothing", shape=(0,), chunks=(3,), dtype="f8")
        group.create_array("flat", shape=(4, 0), chunks=(2, 1), dtype="f8")
        group.create_group("empty group")

    def edges_filled(store):
        group = opened(store)
        group["scalar"][...] = 4.5
        group["never-written"][:2, :2] = 5
        group["nothing"].append(np.arange(4.0))

    corpus.case("edges", "0-d, empty, never written", "fill", consolidated(edges), consolidated(edges_filled))

    def sparse(store):
        put(opened(store, "w"), "mask", np.ones((4, 4), "u1"), (2, 2), fill_value=0)

    def emptied(store):
        opened(store)["mask"][:2, :2] = 0

    corpus.case("emptied", "chunks of fill values are not kept", "empty a chunk", sparse, emptied)

    def nested(store):
        root = opened(store, "w")
        for path in ("a", "a/b", "a/b/c", "z"):
            put(root.require_group(path), "v", grid(4), (2, 3))

    def nested_change(store):
        root = opened(store)
        root["a/b"].attrs["level"] = 2
        root["a/b/c/v"].append(grid(2, k=40))
        del root["z"]

    corpus.case("nested", "groups in groups", "append", consolidated(nested), consolidated(nested_change))
    corpus.case(
        "nested-consolidated",
        "groups in groups, each consolidated",
        "append",
        consolidated(nested, "a/b", "a"),
        consolidated(nested_change, "a/b", "a"),
    )

    def names(store):
        group = opened(store, "w")
        for name in ("a b", "Ünï", "1.0", "x.y", "0", "c", "co2.partial", "a+b=c&d"):
            put(group, name, np.arange(3), (2,))

    def names_change(store):
        for _, array in opened(store).arrays():
            array.append(np.arange(2))

    corpus.case("names", "names that need care", "append", consolidated(names), consolidated(names_change))

    # Types and codecs
    def types(store):
        group = opened(store, "w")
        for dtype in ("?", "i1", "u1", "<i2", ">i2", ">f8", "<f2", "<c8", "<u8", "M8[ns]", "m8[s]"):
            name = f"{dtype.strip('<>?')}{ord(dtype[0])}"
            with contextlib.suppress(TypeError, ValueError, KeyError):  # not yet in all versions
                put(group, name, np.arange(5).astype(dtype), (2,))
        put(group, "nan", np.array([np.nan, 1, np.inf, -np.inf]), (2,), fill_value=np.nan)

    def types_change(store):
        for name, array in opened(store).arrays():
            if name != "nan":
                array.append(np.arange(2).astype(array.dtype))

    corpus.case("types", "numbers of every kind, both byte orders", "append", types, types_change)

    def texts(store):
        group = opened(store, "w")
        words = np.array(["a", "", "ünï", "long one"])
        put(group, "utf8", words.astype(object), (2,), dtype=str)
        with contextlib.suppress(TypeError, ValueError, KeyError):
            put(group, "fixed", words, (2,))
        if Version("3.1") <= VERSION:
            put(group, "bytes", np.array([b"a", b"bc"], "S4"), (2,))

    def texts_change(store):
        group = opened(store)
        group["utf8"].append(np.array(["new"], dtype=object).astype(group["utf8"].dtype))
        if "bytes" in group:
            group["bytes"][1] = b"zz"

    corpus.case("texts", "text, fixed and of any length", "append", texts, texts_change)
    if Version("3.1") <= VERSION:

        def tables(store):
            rows = np.array([(1, 2.5, b"x"), (2, 3.5, b"yy")], dtype=[("n", "<i4"), ("v", "<f8"), ("s", "S3")])
            put(opened(store, "w"), "rows", rows, (2,))

        def tables_change(store):
            array = opened(store)["rows"]
            array.append(np.array([(3, 4.5, b"z")], dtype=array.dtype))

        corpus.case("tables", "structured types", "append", tables, tables_change)

    def codecs(store):
        group = opened(store, "w")
        data = (np.arange(24) * 3).astype("i4").reshape(4, 6)
        for codec in (
            zarr.codecs.ZstdCodec(level=1),
            zarr.codecs.GzipCodec(level=1),
            zarr.codecs.BloscCodec(cname="lz4"),
        ):
            put(group, type(codec).__name__, data, (2, 6), compressors=[codec])
        put(group, "none", data, (2, 6), compressors=None)
        put(group, "summed", data, (2, 6), compressors=[zarr.codecs.GzipCodec(level=1), zarr.codecs.Crc32cCodec()])
        put(group, "turned", data, (2, 6), filters=[zarr.codecs.TransposeCodec(order=(1, 0))])
        put(group, "big", data, (2, 6), serializer=zarr.codecs.BytesCodec(endian="big"))
        first = zarr.codecs.ShardingCodec(chunk_shape=(1, 3), index_location="start")
        put(group, "index-first", data, (2, 6), serializer=first, compressors=None, filters=None)

    def codecs_change(store):
        for _, array in opened(store).arrays():
            array[:2] = array[:2][::-1]

    corpus.case("codecs", "codecs and their orders", "rewrite", consolidated(codecs), codecs_change)

    if Version("3.2") <= VERSION:

        def rectilinear(store):
            with zarr.config.set({"array.rectilinear_chunks": True}):
                put(opened(store, "w"), "swath", grid(6), [[1, 2, 3], [4, 2]])

        def rectilinear_change(store):
            with zarr.config.set({"array.rectilinear_chunks": True}):
                opened(store)["swath"][1:3] = -2

        def rectilinear_append(store):
            with zarr.config.set({"array.rectilinear_chunks": True}):
                array = opened(store)["swath"]
                array.resize((8, 6))
                array[6:] = grid(2, k=70)

        def swath(store):
            with zarr.config.set({"array.rectilinear_chunks": True}):
                return {"swath": opened(store)["swath"][...]}

        corpus.case("rectilinear", "chunks of unequal lengths", "rewrite", rectilinear, rectilinear_change, read=swath)
        corpus.case(
            "rectilinear-append", "chunks of unequal lengths", "append", rectilinear, rectilinear_append, read=swath
        )

    if Version("3.1.2") <= VERSION:
        from zarr.metadata.migrate_v3 import migrate_v2_to_v3

        def migrate(store):
            migrate_v2_to_v3(input_store=zarr.storage.LocalStore(str(store)))

        corpus.case("migrated", "format 2, then documents of format 3 beside it", "migrate", old, migrate)
