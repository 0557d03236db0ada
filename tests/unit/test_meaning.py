"""One form of metadata: what readers decode alike is the same in it, and nothing else is.

The documents are what some twenty writers made (`documents.jsonl`, a line each); they are changed here in the ways in
which writers differ and in ways that matter, and zarr-python decodes the same chunks under both.
"""

from __future__ import annotations

import copy
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from zsync.layout import meaning_of, same_document
from zsync.layout.canonical import edges_of
from zsync.layout.datatypes import has_endianness, item_size, type_v2, type_v3, value_of

WRITTEN = [json.loads(line) for line in Path(__file__).with_name("documents.jsonl").read_text().splitlines()]
MOST_CELLS = 200_000


def format_of(document):
    return document["zarr_format"]


def name_of(document):
    return ".zarray" if format_of(document) == 2 else "zarr.json"


def chunks_of(document):
    if format_of(document) == 2:
        return document["chunks"]
    grid = document["chunk_grid"]
    return grid["configuration"]["chunk_shape"] if grid["name"] == "regular" else None


def difference(old, new, old_attributes=None, new_attributes=None):
    def meaning(document, attributes):
        documents = {name_of(document): document}
        if attributes is not None and format_of(document) == 2:
            documents[".zattrs"] = attributes
        elif attributes is not None:
            documents = {"zarr.json": {**document, "attributes": attributes}}
        return meaning_of(documents, "")

    found = meaning(old, old_attributes).difference(meaning(new, new_attributes))
    assert found is None or meaning(new, new_attributes).difference(meaning(old, old_attributes)) is not None
    return found


# --- what zarr-python says -------------------------------------------------------------------------------------------


def opened(document, objects, mode="r"):
    make = default_buffer_prototype().buffer.from_bytes
    store = MemoryStore({key: make(body) for key, body in objects.items()})
    store._store_dict[name_of(document)] = make(json.dumps(document).encode())
    return store, zarr.open_array(store, mode=mode, zarr_format=format_of(document))


def chunks_under(document):
    """Return the chunks of an array whose values nothing decodes alike by chance; of several one is missing."""
    store, array = opened(document, {}, "r+")
    random = np.random.default_rng(len(json.dumps(document)))
    kind, shape = array.dtype, array.shape
    if kind.kind == "b":
        values = random.integers(0, 9, shape).astype(bool)
    elif kind.kind in "iu":
        values = random.integers(1, 100, shape).astype(kind)
    elif kind.kind in "fc":
        values = random.integers(1, 100, shape).astype(kind) + random.random(shape).astype(kind)
    elif kind.kind in "mM":
        values = random.integers(1, 10**9, shape).astype(kind)
    elif kind.kind in "OTU":
        values = np.array([f"t{n}" for n in random.integers(0, 10**6, shape).ravel()]).reshape(shape).astype(kind)
    elif kind.kind == "S":
        values = np.array([b"b%d" % n for n in random.integers(0, 9, shape).ravel()]).reshape(shape).astype(kind)
    else:
        values = np.frombuffer(random.integers(1, 90, math.prod(shape) * kind.itemsize).astype("u1"), kind).reshape(
            shape
        )
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(store, mode="r+", zarr_format=format_of(document))[...] = values
    found = {key: body.to_bytes() for key, body in store._store_dict.items() if key != name_of(document)}
    return dict(sorted(found.items())[: max(1, len(found) - 1)])


def decoded(document, objects):
    """Return what zarr-python reads, once with the chunks and once without; None if it cannot."""
    try:
        return [np.asarray(opened(document, part)[1][...]) for part in (objects, {})]
    except Exception:
        return None


def both_ways(old, new, values, seen):
    """Return whether each decodes alike what the other wrote: some decoders look past what they do not know."""
    if not alike(values, seen):
        return False
    try:
        objects = chunks_under(new)
    except Exception:
        return True
    back = decoded(old, objects)
    return back is not None and alike(decoded(new, objects), back)


def alike(old, new):
    return all(_same_values(before, after) for before, after in zip(old, new, strict=True))


def _same_values(before, after):
    before, after = (
        part.astype(part.dtype.newbyteorder("=")) if part.dtype.kind not in "OT" else part.astype(object)
        for part in (before, after)
    )
    if before.dtype != after.dtype or before.shape != after.shape:
        return False
    if before.dtype.kind in "fc":
        return bool(np.array_equal(before, after, equal_nan=True)) and bool(
            np.all((np.signbit(before.real) == np.signbit(after.real)) | np.isnan(before))
        )
    if before.dtype.kind in "mM":
        return before.tobytes() == after.tobytes()
    return bool(np.all(before == after))


def roomy(document):
    """Return a document of an array of several chunks along each axis."""
    chunks = chunks_of(document)
    if chunks is None or math.prod(2 * length for length in chunks) > MOST_CELLS:
        return None
    return {**document, "shape": [length * 2 for length in chunks]}


def decodable():
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in WRITTEN:
            document = roomy(row["document"])
            if document is None:
                continue
            try:
                objects = chunks_under(document)
            except Exception:
                continue  # a codec or type that this zarr-python does not know, or a default that its writer leaves out
            values = decoded(document, objects)
            # To shuffle what a codec takes for one value, or to sum it up, changes nothing.
            if values is not None and math.prod(chunks_of(document)) * values[0].dtype.itemsize > 8:
                found.append((row["writer"], document, objects, values))
    return found


DECODABLE = decodable()


def test_most_documents_can_be_decoded_here():
    writers = {writer for writer, *_ in DECODABLE}
    assert len(DECODABLE) > 0.7 * len(WRITTEN)
    assert {"zarrita.js", "tensorstore", "nczarr", "anndata", "ome-zarr-v3", "gdal.zarr"} <= writers


# --- how documents differ --------------------------------------------------------------------------------------------

V2_CODECS = [
    None,
    {"id": "zlib", "level": 1},
    {"id": "zlib"},
    {"id": "gzip", "level": 1},
    {"id": "zstd", "level": 3},
    {"id": "bz2"},
    {"id": "lz4"},
    {"id": "lzma"},
    {"id": "lzma", "format": 3, "filters": [{"id": 33, "preset": 1}]},
    {"id": "lzma", "format": 3, "filters": [{"id": 33, "preset": 6}]},
    {"id": "blosc", "cname": "lz4", "clevel": 1, "shuffle": 0},
    {"id": "blosc", "cname": "zstd", "clevel": 9, "shuffle": 2},
]
V2_FILTERS = [
    None,
    [],
    [{"id": "shuffle"}],
    [{"id": "shuffle", "elementsize": 4}],
    [{"id": "shuffle", "elementsize": 8}],
    [{"id": "bitround", "keepbits": 4}],
    [{"id": "crc32"}],
    [{"id": "crc32", "location": "start"}],
    [{"id": "crc32", "location": "end"}],
    [{"id": "adler32"}],
]
V3_CODECS = [
    {"name": "gzip", "configuration": {"level": 1}},
    {"name": "zstd", "configuration": {"level": 3, "checksum": False}},
    {"name": "zstd"},
    {"name": "crc32c"},
    "crc32c",
    {"name": "crc32c", "configuration": {}},
    {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 3, "shuffle": "noshuffle", "typesize": 1}},
    {"name": "numcodecs.zstd", "configuration": {"level": 2}},
    {"name": "numcodecs.zlib", "configuration": {}},
    {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}},
    {"name": "numcodecs.crc32c", "configuration": {}},
]
FILLS = [
    0,
    0.0,
    1,
    1.0,
    "NaN",
    math.nan,
    "0x7fc00000",
    "Infinity",
    None,
    False,
    True,
    "0",
    "",
    "AAAA",
    -1,
    [0, 0],
    [0.0, "NaN"],
]
TYPES_V2 = [
    "<f4",
    ">f4",
    "|f4",
    "<f8",
    "<i4",
    ">i4",
    "<u4",
    "|u1",
    "|i1",
    "|b1",
    "<i2",
    ">i2",
    "<u2",
    "<c8",
    "|S4",
    "<U1",
]
TYPES_V3 = ["float32", "float64", "int32", "uint32", "uint8", "int8", "bool", "int16", "uint16", "complex64", "int64"]


def mutate_v2(draw, document):
    what = draw(
        st.sampled_from(["dtype", "chunks", "order", "compressor", "filters", "fill_value", "separator", "leave out"])
    )
    if what == "dtype":
        respelled = [document["dtype"].replace("<", ">")] if isinstance(document["dtype"], str) else []
        document["dtype"] = draw(st.sampled_from(TYPES_V2 + respelled))
    elif what == "chunks" and document["chunks"]:
        axis = draw(st.integers(0, len(document["chunks"]) - 1))
        document["chunks"][axis] = draw(st.integers(1, 4))
    elif what == "order":
        document["order"] = draw(st.sampled_from("CF"))
    elif what == "compressor":
        document["compressor"] = copy.deepcopy(draw(st.sampled_from(V2_CODECS)))
    elif what == "filters":
        document["filters"] = copy.deepcopy(draw(st.sampled_from(V2_FILTERS)))
    elif what == "fill_value":
        document["fill_value"] = draw(st.sampled_from(FILLS))
    elif what == "separator":
        document["dimension_separator"] = draw(st.sampled_from("./"))
    else:
        document.pop(draw(st.sampled_from(["dimension_separator", "filters", "note"])), None)


def mutate_v3(draw, document):
    codecs = document["codecs"]
    what = draw(
        st.sampled_from(["type", "respell", "grid", "keys", "bytes", "add", "drop", "turn", "shards", "fill_value"])
    )
    if what == "type":
        document["data_type"] = draw(st.sampled_from(TYPES_V3))
    elif what == "respell" and isinstance(document["data_type"], str):
        document["data_type"] = {"name": document["data_type"]}
    elif what == "grid" and chunks_of(document):
        document["chunk_grid"]["configuration"]["chunk_shape"][0] = draw(st.integers(1, 4))
    elif what == "keys":
        document["chunk_key_encoding"] = draw(
            st.sampled_from(
                [
                    {"name": name, **given}
                    for name in ("default", "v2")
                    for given in ({}, *({"configuration": c} for c in ({}, {"separator": "/"}, {"separator": "."})))
                ]
            )
        )
    elif what == "bytes":
        spelled = draw(
            st.sampled_from([{"endian": "little"}, {"endian": "big"}, {}, None]),
        )
        name = draw(st.sampled_from(["bytes", "endian"]))
        document["codecs"] = [
            {"name": name, **({"configuration": spelled} if spelled is not None else {})}
            if isinstance(codec, dict) and codec["name"] in ("bytes", "endian")
            else codec
            for codec in codecs
        ]
    elif what == "add":
        codecs.append(copy.deepcopy(draw(st.sampled_from(V3_CODECS))))
    elif what == "drop" and len(codecs) > 1:
        codecs.pop()
    elif what == "turn":
        axes = draw(st.permutations(range(len(document["shape"]))))
        codecs.insert(0, {"name": "transpose", "configuration": {"order": list(axes)}})
    elif what == "shards" and isinstance(codecs[-1], dict) and codecs[-1]["name"] == "sharding_indexed":
        inside = codecs[-1]["configuration"]
        field = draw(st.sampled_from(["index_location", "index_codecs", "chunk_shape", "codecs"]))
        if field == "index_location":
            inside[field] = draw(st.sampled_from(["start", "end"]))
        elif field == "index_codecs":
            inside.pop(field, None)
        elif field == "codecs":
            inside[field] = [*inside[field][:1], *draw(st.sampled_from([[], [{"name": "zstd"}], [{"name": "crc32c"}]]))]
        else:
            inside[field] = [1, *inside[field][1:]]
    elif what == "fill_value":
        document["fill_value"] = draw(st.sampled_from(FILLS))


@st.composite
def mutants(draw):
    number = draw(st.integers(0, len(DECODABLE) - 1))
    document = copy.deepcopy(DECODABLE[number][1])
    for _ in range(draw(st.integers(1, 3))):
        (mutate_v2 if format_of(document) == 2 else mutate_v3)(draw, document)
    return number, document


@given(mutants())
def test_documents_mean_the_same_if_and_only_if_zarr_decodes_the_same(case):
    number, mutant = case
    writer, document, objects, values = DECODABLE[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = decoded(mutant, objects)
    found = difference(document, mutant)  # it does not fail, whatever is written there
    if seen is None:
        return
    # In v2 nothing is not zero: xarray takes what missing chunks hold for missing values.
    if format_of(document) == 2 and (document.get("fill_value") is None) != (mutant.get("fill_value") is None):
        return
    assert (found is None) == both_ways(document, mutant, values, seen), (writer, found, document, mutant)
    if found is None:
        assert same_document(document, mutant) or set(document) ^ set(mutant)


# --- the same in other words -----------------------------------------------------------------------------------------

V2 = {
    "zarr_format": 2,
    "shape": [10, 8],
    "chunks": [5, 4],
    "dtype": "<i2",
    "order": "C",
    "fill_value": None,
    "filters": None,
    "compressor": None,
}
V3 = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [10, 8],
    "data_type": "uint8",
    "fill_value": 0,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [5, 4]}},
    "attributes": {},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [{"name": "bytes"}],
}
FLOAT = {"data_type": "float32", "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}


TURNED = {"name": "transpose", "configuration": {"order": [1, 0]}}


def regular(*chunks):
    return {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}


def rectilinear(*axes):
    return {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": list(axes)}}


@pytest.mark.parametrize(
    ("base", "old", "new"),
    [
        (V3, {"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}, {"codecs": [{"name": "bytes"}]}),
        (
            V3 | {"data_type": "bool"},
            {"codecs": [{"name": "bytes", "configuration": {"endian": "big"}}]},
            {"codecs": ["bytes"]},
        ),
        (V3, {"codecs": []}, {}),  # zarrita.js
        (V3 | FLOAT, {"codecs": [{"name": "gzip"}]}, {"codecs": ["bytes", {"name": "gzip"}]}),  # GDAL
        (V3, {"chunk_key_encoding": {"name": "default"}}, {}),
        (V3, {"data_type": {"name": "uint8", "configuration": {}}}, {}),
        (V3 | FLOAT, {"fill_value": "NaN"}, {"fill_value": "0x7fc00000"}),
        (V3, {"codecs": ["bytes", {"name": "crc32c", "configuration": {}}]}, {"codecs": ["bytes", "crc32c"]}),
        (V3, {"storage_transformers": []}, {}),
        (V3, {"chunk_grid": rectilinear(5, 4)}, {}),
        (V3, {"chunk_grid": rectilinear([[5, 2]], 4)}, {"chunk_grid": rectilinear([5, 5], [4, [4, 1]])}),
        (
            V3,
            {"data_type": "r16", "fill_value": [0, 0]},
            {"data_type": {"name": "raw_bytes", "configuration": {"length_bytes": 2}}, "fill_value": "AAA="},
        ),
        (V2, {"dtype": "|u1"}, {"dtype": "<u1"}),
        (V2, {"dtype": "|b1", "fill_value": 0}, {"dtype": "<b1", "fill_value": False}),
        (V2 | {"shape": [10], "chunks": [5]}, {"order": "C"}, {"order": "F", "dimension_separator": "/"}),
        (V2 | {"chunks": [1, 4]}, {"order": "C"}, {"order": "F"}),
        (V2 | {"dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, {"fill_value": 0}, {"fill_value": "0"}),
        (V2 | {"dtype": "<f4"}, {"fill_value": "NaN"}, {"fill_value": math.nan}),
        (V2 | {"dtype": "<f4"}, {"fill_value": 0.1}, {"fill_value": 0.10000000149011612}),
        (
            V2,
            {"filters": [{"id": "delta", "dtype": "<i2"}]},
            {"filters": [{"id": "delta", "dtype": "int16", "astype": "i2"}]},
        ),
        *(
            (V2, {"filters": [{"id": name}]}, {"filters": [{"id": name, field: default}]})
            for name, field, default in (
                ("crc32", "location", "start"),
                ("crc32c", "location", "end"),
                ("jenkins_lookup3", "initval", 0),
                ("jenkins_lookup3", "prefix", None),
                ("lzma", "format", 1),
                ("lzma", "preset", 9),
                ("blosc", "clevel", 1),
            )
        ),
        *(
            (V2 | {"dtype": "|O"}, {"filters": [{"id": name}]}, {"filters": [{"id": name, field: default}]})
            for name, field, default in (
                ("json2", "encoding", "utf-8"),
                ("json2", "strict", True),
                ("msgpack2", "raw", False),
                ("categorize", "astype", "|u1"),
            )
        ),
        # What was lost in encoding stays lost.
        (V2 | {"dtype": "<f4"}, {"filters": [{"id": "quantize", "digits": 2, "dtype": "<f4"}]}, {"filters": None}),
        (V2, {"filters": [{"id": "shuffle", "elementsize": 1}]}, {"filters": None}),
        (V2, {"filters": [{"id": "shuffle"}]}, {"filters": [{"id": "shuffle", "elementsize": 4}]}),
        (V2, {"shape": [0, 8], "chunks": [1, 8]}, {"chunks": [10, 8]}),  # there was no chunk
        (V3 | {"chunk_grid": regular(1, 4)}, {"codecs": [TURNED, "bytes"]}, {"codecs": ["bytes"]}),
        (V3, {"codecs": [TURNED, TURNED, "bytes"]}, {"codecs": ["bytes"]}),
    ],
)
def test_the_same_in_other_words(base, old, new):
    assert difference(base | old, base | new) is None
    if "shape" not in old:
        assert same_document(base | old, base | new)


@pytest.mark.parametrize(
    ("dtype", "old", "new"),
    [
        ("<i2", {"id": "crc32"}, {"id": "crc32", "location": "end"}),
        ("<i2", {"id": "jenkins_lookup3"}, {"id": "jenkins_lookup3", "initval": 1}),
        ("<i2", {"id": "delta", "dtype": "<i2"}, {"id": "delta", "dtype": "<i2", "astype": "<i4"}),
        ("<i2", {"id": "shuffle", "elementsize": 2}, {"id": "shuffle", "elementsize": 4}),
        ("<f8", {"id": "quantize", "digits": 2, "dtype": "<f8"}, {"id": "quantize", "digits": 2, "dtype": "<f4"}),
        (
            "<f4",
            {"id": "fixedscaleoffset", "scale": 10, "offset": 0, "dtype": "<f4", "astype": "u1"},
            {"id": "fixedscaleoffset", "scale": 10, "offset": 1, "dtype": "<f4", "astype": "u1"},
        ),
        ("|O", {"id": "categorize", "labels": ["a", "b"]}, {"id": "categorize", "labels": ["b", "a"]}),
        ("|O", {"id": "json2"}, {"id": "json2", "encoding": "utf-16"}),
        ("<i2", {"id": "not known", "level": 1}, {"id": "not known", "level": 2}),
    ],
)
def test_what_a_decoder_asks_makes_a_difference(dtype, old, new):
    base = V2 | {"dtype": dtype}
    assert difference(base | {"filters": [old]}, base | {"filters": [new]})[0] == "filters"


@pytest.mark.parametrize("grid", [regular(2, 4), regular(5, 4), rectilinear([1, 9], 4), rectilinear([2, 8], 4)])
def test_turned_chunks_of_more_than_one_cell_along_two_axes_are_others(grid):
    base = V3 | {"chunk_grid": grid}
    assert difference(base | {"codecs": [TURNED, "bytes"]}, base | {"codecs": ["bytes"]})[0] == "codecs"


def of(name, **configuration):
    return {"name": name, "configuration": configuration}


@pytest.mark.parametrize(
    ("v2", "v3", "endian", "size"),
    [
        ("|b1", "bool", None, 1), ("<i2", "int16", "little", 2), (">u8", of("uint64"), "big", 8),
        ("|i1", "int8", None, 1), ("int16", "int16", "little", 2), (">c8", "complex64", "big", 8),
        ("<M8[s]", of("numpy.datetime64", unit="s", scale_factor=1), "little", 8),
        (">m8[10ns]", of("numpy.timedelta64", unit="ns", scale_factor=10), "big", 8),
        ("<M8", "numpy.datetime64", "little", 8),
        ("|S4", of("null_terminated_bytes", length_bytes=4), None, 4),
        (">U2", of("fixed_length_utf32", length_bytes=8), "big", 8),
        ("|V3", "r24", None, 3), ("|V3", of("raw_bytes", length_bytes=3), None, 3),
        ("|O", "string", None, None), ("|O", "variable_length_utf8", None, None),
        ([["a", "<i2"], ["b", "|S1"]],
         of("structured", fields=[["a", "int16"], ["b", of("null_terminated_bytes", length_bytes=1)]]), None, None),
        ([["a", "<f4"]], of("struct", fields=[{"name": "a", "data_type": "float32"}]), None, None),
    ],
)  # fmt: skip
def test_a_type_is_the_same_in_both_formats(v2, v3, endian, size):
    kind = type_v3(v3)
    assert type_v2(v2, "vlen-utf8") == (kind, endian)
    assert has_endianness(kind) == (endian is not None)
    assert item_size(kind) == size


def test_types_that_are_not_known_are_what_is_written():
    assert type_v2("|O", "vlen-bytes")[0] == type_v3("bytes") == type_v3("binary") == "variable_length_bytes"
    assert type_v2("|O", "json2") == (["object", "json2"], None)
    assert type_v2("<q4") == ("<q4", None)
    assert type_v2({"a": 1.0})[0] == type_v3({"a": 1}) == ["unknown", {"a": 1}]
    assert type_v3({"name": "new", "configuration": [1]})[0] == "unknown"
    assert type_v3(of("new", a=1)) == ["new", {"a": 1}]
    assert type_v3(of("r16", a=1)) == ["r16", {"a": 1}]
    assert type_v3(of("structured", fields=["odd"])) == ["structured", "odd"]
    assert type_v2(["odd"])[0] == ["structured", "odd"]
    assert (item_size("new"), item_size("new16"), has_endianness("new")) == (None, None, True)


@pytest.mark.parametrize(
    ("kind", "fill", "others", "another"),
    [
        ("bool", False, [0, 0.0], True),
        ("int16", 3, [3.0, "3", "+3", "3.0", "3."], 4),
        ("int64", 1, [True], 0),
        ("int64", 2**53, [str(2**53)], 2**53 + 1),
        ("uint8", "x", [], 0),
        ("float16", "NaN", [math.nan, "0x7e00", "nan"], 0.0),
        ("float32", "Infinity", [math.inf, "0x7f800000", 1e300, "1e99"], "-Infinity"),
        ("float32", 0.1, ["0x3dcccccd", "0.1", 0.10000000149011612], 0.2),
        ("float64", 0.0, [0, "0", "0x0", "AAAAAAAAAAA="], -0.0),
        ("float64", "0x3ff0000000000000", [1, "1", "AAAAAAAA8D8="], 2),
        ("float64", "-Infinity", ["-1e999", "0xfff0000000000000"], "NaN"),
        ("complex64", [1.0, 0.0], [[1, 0], ["1", "0x0"]], [0.0, 1.0]),
        ("complex128", [0.1, "NaN"], [[0.1, math.nan]], [0.2, "NaN"]),
        ("string", "a", ["a\0"], "b"),
        ("string", "1", [1], "2"),
        ({"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}, "NaT", [-(2**63)], 0),
        ({"name": "numpy.timedelta64", "configuration": {"unit": "s", "scale_factor": 1}}, 5, [5.0, "5"], "NaT"),
        ({"name": "raw_bytes", "configuration": {"length_bytes": 2}}, "AQA=", [[1, 0], [1]], [0, 1]),
        ({"name": "raw_bytes", "configuration": {"length_bytes": 2}}, "AAA=", [0, [], [0, 0]], [256]),
        ("variable_length_bytes", "AQA=", [[1, 0]], "AQ=="),
        ("something new", {"a": 1}, [], {"a": 2}),
    ],
)
def test_a_fill_value_in_other_words(kind, fill, others, another):
    base = V3 | {"data_type": kind}
    for other in others:
        assert difference(base | {"fill_value": fill}, base | {"fill_value": other}) is None, other
    assert difference(base | {"fill_value": fill}, base | {"fill_value": another})[0] == "fill value"


@pytest.mark.parametrize("base", [V2, V3 | {"data_type": "int16"}])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"units": "hours since 1970-01-01 00:00:00"}, {"units": "hours since 1970-01-01"}),
        (
            {"units": "hours since 1970-01-01T00:00:00Z"},
            {"units": "hour since 1970-1-1 0:0:0.0", "calendar": "standard"},
        ),
        ({"units": "days since 2000-01-01 02:00 +02:00"}, {"units": "days since 2000-01-01"}),
        ({"units": "days since 2000-01-01 05:30:07.50 +0530"}, {"units": "days since 2000-1-1 0:0:7.5"}),
        ({"units": "days since 1999-12-31 18:30 -05:30"}, {"units": "days since 2000-01-01 UTC"}),
        ({"units": "days since 2000"}, {"units": "days since 2000-01-01 00:00:00 GMT"}),
        ({"units": "days since 2000-3"}, {"units": "days since 2000-03-01"}),
        (
            {"units": "days since 2000-01-01 +02", "calendar": "noleap"},
            {"units": "d since 2000-01-01 0:00 +2:00", "calendar": "365_day"},
        ),
        ({"units": "days since the flood"}, {"units": "day  since the  flood"}),
        ({"units": "days since 2000-01-01", "calendar": "gregorian"}, {"units": "Days since 2000-01-01 "}),
        (
            {"units": "days since 2000-02-30", "calendar": "360_day"},
            {"units": "day since 2000-2-30", "calendar": "360_DAY"},
        ),
        ({"units": "days"}, {"units": "day"}),
        ({"units": "s"}, {"units": "K"}),  # the second is corrected, and no reader multiplies by either
        ({"scale_factor": 1}, {"scale_factor": 1.0}),
        ({"scale_factor": 2}, {"scale_factor": [2.0]}),
        ({"scale_factor": 1.0, "add_offset": 0.0}, {}),
        ({"_FillValue": -9}, {"_FillValue": -9.0, "missing_value": [-9]}),
        ({"missing_value": [1, 2]}, {"missing_value": [2.0, 1.0]}),
        ({"_Unsigned": "true"}, {"_Unsigned": "True"}),
        ({"_Unsigned": "false"}, {}),
    ],
)
def test_attributes_that_say_the_same(base, old, new):
    assert difference(base, base, old, new) is None


@pytest.mark.parametrize("base", [V2, V3 | {"data_type": "int16"}])
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ({"units": "hours since 1970-01-01"}, {"units": "hours since 1970-01-02"}, "units"),
        ({"units": "hours since 1970-01-01"}, {"units": "seconds since 1970-01-01"}, "units"),
        ({"units": "days since 2000-01-01 02:00 +02:00"}, {"units": "days since 2000-01-01 02:00"}, "units"),
        ({"units": "days since 2000-01-01"}, {"units": "days since 2000-01-01", "calendar": "noleap"}, "calendar"),
        (
            {"units": "days since 2000-01-01 02:00 +02:00", "calendar": "noleap"},
            {"units": "days since 2000-01-01", "calendar": "noleap"},
            "units",
        ),
        ({"units": "days since 2000-01-01 02:00 +02:00"}, {"units": "days since 2000-01-01 02:00 -02:00"}, "units"),
        ({"units": "days since 2000-01-01 0:0:7.5"}, {"units": "days since 2000-01-01 0:0:7"}, "units"),
        ({"units": "days since 2000-01-01 0:0:7"}, {"units": "days since 2000-01-01 0:7"}, "units"),
        ({"units": "days"}, {"units": "hours"}, "units"),
        ({"scale_factor": 0.1}, {"scale_factor": 0.2}, "scale_factor"),
        ({"scale_factor": 0.1}, {}, "scale_factor"),
        ({"add_offset": 1}, {"add_offset": 0}, "add_offset"),
        ({"_FillValue": -9}, {}, "_FillValue, missing_value"),
        ({"missing_value": 1}, {"missing_value": [1, 2]}, "_FillValue, missing_value"),
        ({"_Unsigned": "true"}, {}, "_Unsigned"),
        ({"dtype": "bool"}, {}, "dtype"),
    ],
)
def test_attributes_that_say_something_else(base, old, new, what):
    name, before, after = difference(base, base, old, new)
    assert name == what
    assert before != after


def test_nothing_is_missing_that_is_no_number_anyway():
    base = V2 | {"dtype": "<f4"}
    assert difference(base, base, {"_FillValue": math.nan}, {}) is None
    assert difference(base, base, {"_FillValue": "AAAAAAAA+H8="}, {"missing_value": "NaN"}) is None
    assert difference(base | {"fill_value": -9.0}, base | {"fill_value": -9.0}, {"_FillValue": -9}, {}) is None
    assert difference(base, base, {"_FillValue": 1e20}, {"_FillValue": 1.00000002004e20}) is None  # as float32 has it


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ((13, [5, 5, 3]), (20, [5, 5, 3, 7]), True),
        ((20, [5, 5, 3, 7]), (13, [5, 5, 3]), True),
        ((13, [5, 5, 3]), (15, [5, 5, 5]), False),
        ((13, [5, 5, 3]), (16, [5, 5, 3, [3, 1]]), True),
        ((13, [5, 5, 3]), (13, [3, 5, 5]), False),
        ((10, [5, 5, 3]), (18, [5, 5, 8]), True),  # the third chunk held no cell
        ((10, [[5, 2]]), (20, 5), True),
        ((12, [[5, 2], 2]), (20, 5), False),
    ],
)
def test_grids_of_unequal_chunks_are_compared_where_both_have_cells(old, new, same):
    documents = [V3 | {"shape": [length, 8], "chunk_grid": rectilinear(axis, 4)} for length, axis in (old, new)]
    assert (difference(*documents) is None) == same


@pytest.mark.parametrize(
    ("axis", "edges"),
    [
        ([5, 3], (5, 3)), ([[5, 2], 3], (5, 5, 3)), (7, 7), ([[1, 10**6]], (1,) * 10**6), ([[1, 10**6], 1], None),
        ([], None), ([0], None), (0, None), ([[5]], None), ([[5, 2, 1]], None), ([[5, 0]], None), (["5"], None),
        ([5, None], None), ("5", None), (True, None), ([[5, True]], None),
    ],
)  # fmt: skip
def test_chunks_along_an_axis(axis, edges):
    assert edges_of(rectilinear(axis, 4)) == (None if edges is None else (edges, 4))


@pytest.mark.parametrize(
    ("lengths", "edges"),
    [([5, 4], (5, 4)), ([], ()), ([0], (0,)), ([5, -1], None), ([5, "4"], None), ([True], None), (5, None)],
)
def test_chunks_of_one_shape(lengths, edges):
    assert edges_of({"name": "regular", "configuration": {"chunk_shape": lengths}}) == edges
    assert edges_of({"name": "other", "configuration": {"chunk_shape": lengths}}) is None


def test_what_differs_is_told_in_the_words_of_the_document():
    assert difference(V2, V2 | {"compressor": {"id": "zlib"}}) == ("compressor", None, {"id": "zlib"})
    assert difference(V2, V2 | {"dtype": ">i2"}) == ("data type", "<i2", ">i2")
    assert difference(V2, V2 | {"order": "F"}) == ("order", "C", "F")
    assert difference(V3, V3 | {"chunk_grid": rectilinear([5, 5], 2)})[0] == "chunk shape"
    assert difference(V2, V3)[0] == "format"


def test_a_store_that_is_migrated_keeps_its_chunks():
    """As `zarr migrate v3` writes it: the chunks stay what and where they are."""
    old = V2 | {"dtype": ">i2", "order": "F", "compressor": {"id": "zlib", "level": 3}}
    new = V3 | {
        "data_type": "int16",
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "codecs": [
            {"name": "transpose", "configuration": {"order": [1, 0]}},
            {"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "numcodecs.zlib", "configuration": {"level": 1}},
        ],
    }
    assert difference(old, new) is None
    for change in ({"shape": [12, 8]}, {"codecs": new["codecs"][1:]}, {"fill_value": 1}, {"data_type": "uint16"}):
        assert difference(old, new | change) == ("format", 2, 3)


NAMES = ["name", "id", "configuration", "fields", "order"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
ODD = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


@given(ODD, st.sampled_from(sorted({*V2, *V3} - {"shape", "zarr_format", "node_type"})))
@settings(max_examples=40)
def test_no_document_however_odd_is_beyond_it(odd, field):
    for base in (V2, V3):
        difference(base, base | {field: odd}, {"units": odd, "_FillValue": odd}, {"calendar": odd, "scale_factor": odd})
        assert same_document(base | {field: odd}, copy.deepcopy(base | {field: odd}))


def test_a_number_beyond_its_type_is_infinite_and_a_complex_one_has_one_form():
    assert [value_of("float32", sign * 10**400) for sign in (1, -1)] == ["Infinity", "-Infinity"]
    assert value_of("complex64", 1) == value_of("complex64", [1, 0]) == value_of("complex64", [1.0, 0.0])
