"""Codecs in one form, reduced to what decides how bytes become values; what only an encoder asks is left out.

Sources: Zarr v2 specification, "Metadata"; Zarr v3 core specification, "Codecs", and the codecs of zarr-specs;
numcodecs and zarr-python for defaults, and for what a decoder looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zsync.layout.datatypes import Type, has_endianness, item_size, numbers, type_v2, type_v3

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Codec = tuple[str, "Mapping[str, Any]"]

# What a decoder asks of each codec's configuration, and what it takes where that is not said. Compressors write into
# each chunk what their decoder must know: level and shuffle may change freely.
_ASKS: dict[str, dict[str, Any]] = {
    **{
        name: {}
        for name in (
            "blosc", "zstd", "gzip", "zlib", "bz2", "lz4", "snappy", "zfpy", "pcodec", "packbits", "base64",
            "fletcher32", "vlen-utf8", "vlen-bytes", "bitround",
        )
    },
    "crc32": {"location": "start"},
    "adler32": {"location": "start"},
    "crc32c": {"location": "end"},
    "jenkins_lookup3": {"initval": 0, "prefix": None},
    "json2": {"encoding": "utf-8", "strict": True},
    "msgpack2": {"raw": False},
    "lzma": {"format": 1},
    "vlen-array": {"dtype": None},
    "delta": {"dtype": None, "astype": None},
    "quantize": {"dtype": None, "astype": None},
    "fixedscaleoffset": {"dtype": None, "astype": None, "scale": None, "offset": None},
    "astype": {"encode_dtype": None, "decode_dtype": None},
    "categorize": {"labels": None, "dtype": None, "astype": "u1"},
}  # fmt: skip
_RAW_LZMA = 3  # the one format whose decoder must be told its filters
_TYPES = ("dtype", "astype", "encode_dtype", "decode_dtype")
_FILTERS = {
    "delta", "quantize", "fixedscaleoffset", "astype", "categorize", "packbits", "bitround",
}  # fmt: skip
OBJECT_CODECS = {"vlen-utf8", "vlen-bytes", "vlen-array", "json2", "msgpack2", "pickle", "categorize"}
_ENDIAN = "endian"  # what `bytes` was called first
# What takes bytes and gives bytes.
_COMPRESSORS = {
    "blosc", "zstd", "gzip", "zlib", "bz2", "lz4", "lzma", "snappy", "shuffle", "crc32c", "crc32", "adler32",
    "fletcher32",
}  # fmt: skip


def pipeline_v2(document: Mapping[str, Any]) -> list[Any]:
    """Return what the chunks of a v2 array went through, first things first."""
    filters = document.get("filters")
    given = [*(filters if isinstance(filters, list) else []), document.get("compressor")]
    codecs = [_codec_v2(codec) for codec in given if codec is not None]
    kind, endian = type_v2(document.get("dtype"), object_codec_of(document))
    chunks = document.get("chunks")
    lengths: list[Any] = chunks if isinstance(chunks, list) else []
    order = _axes(document.get("order"), len(lengths))
    steps: list[Any] = _transposed(order, lengths, is_flat=True)
    at = next((n for n, (name, _) in enumerate(codecs) if name not in _FILTERS), len(codecs))
    if not any(name in OBJECT_CODECS for name, _ in codecs):
        codecs.insert(at, ("bytes", {"endian": endian}))
    for name, asked in codecs:
        step = [name, dict(asked)] if name == "bytes" else _step(name, asked, kind, endian, 4)
        if not _does_nothing(step, kind, endian):
            steps.append(step)
    return steps


def object_codec_of(document: Mapping[str, Any]) -> str | None:
    """Return what the objects of a v2 array are encoded with."""
    filters = document.get("filters")
    given = [*(filters if isinstance(filters, list) else []), document.get("compressor")]
    names = [codec.get("id") for codec in given if isinstance(codec, dict)]
    return next((name for name in names if isinstance(name, str) and name in OBJECT_CODECS), None)


def _codec_v2(codec: Any) -> Codec:
    if not isinstance(codec, dict) or not isinstance(codec.get("id"), str):
        return "?", {"as written": codec}
    return codec["id"], {name: value for name, value in codec.items() if name != "id"}


def pipeline_v3(codecs: Any, kind: Type, lengths: Sequence[int] | None) -> Any:
    """Return what the chunks of a v3 array, or the inner chunks of its shards, went through, first things first.

    Parameters
    ----------
    codecs
        As they are written.
    kind
        The data type, as `type_v3` returns it.
    lengths
        The shape of a chunk; None if they are not all of one shape.
    """
    if not isinstance(codecs, list):
        return codecs
    steps: list[Any] = []
    pending: list[int] | None = None  # transpositions, one after the other, come to one
    for name, asked in _with_bytes([_codec_v3(codec) for codec in codecs]):
        order = (
            _axes(asked.get("order"), len(lengths) if lengths is not None else None) if name == "transpose" else None
        )
        if order is not None and (pending is None or len(pending) == len(order)):
            pending = order if pending is None else [pending[axis] for axis in order]
            continue
        steps += _transposed(pending, lengths, is_flat=name == "bytes")
        pending = None
        step = _step_v3(name, asked, kind)
        if not _does_nothing(step, kind, "little"):
            steps.append(step)
            kind = _after(step, kind)
    return steps + _transposed(pending, lengths, is_flat=False)


def _codec_v3(codec: Any) -> Codec:
    name = codec.get("name") if isinstance(codec, dict) else codec
    configuration = (codec.get("configuration") if isinstance(codec, dict) else None) or {}
    if not isinstance(name, str) or not isinstance(configuration, dict):
        return "?", {"as written": codec}
    return ("bytes" if name == _ENDIAN else name.removeprefix("numcodecs.")), configuration


def _with_bytes(codecs: list[Codec]) -> list[Codec]:
    """Return codecs with the one that lays values down as bytes, which GDAL used to take for granted."""
    names = [name for name, _ in codecs]
    if not {*names} <= _COMPRESSORS | _FILTERS | {"transpose"}:
        return codecs
    at = next((number for number, name in enumerate(names) if name in _COMPRESSORS), len(names))
    return [*codecs[:at], ("bytes", {}), *codecs[at:]]


def _step_v3(name: str, asked: Mapping[str, Any], kind: Type) -> list[Any]:
    if name == "bytes":
        return [name, {"endian": asked.get("endian", "little") if has_endianness(kind) else None}]
    if name == "sharding_indexed":
        return [name, _shards(asked, kind)]
    return _step(name, asked, kind, "little", item_size(kind))


def _shards(asked: Mapping[str, Any], kind: Type) -> dict[str, Any]:
    lengths = asked.get("chunk_shape")
    known = lengths if isinstance(lengths, list) and all(type(n) is int for n in lengths) else None
    return {
        "chunk_shape": numbers(lengths),
        "codecs": pipeline_v3(asked.get("codecs", ["bytes"]), kind, known),
        "index_codecs": pipeline_v3(asked.get("index_codecs", ["bytes", "crc32c"]), "uint64", None),
        "index_location": asked.get("index_location", "end"),
    }


def _step(name: str, asked: Mapping[str, Any], kind: Type, endian: str | None, elements: int | None) -> list[Any]:
    """Return a codec with what its decoder asks; of one that is not known, with all that is said of it."""
    if name == "shuffle":
        size = asked.get("elementsize")
        return [name, {"elementsize": elements if size is None else numbers(size)}]
    if name not in _ASKS:
        return [name, numbers(dict(asked))]
    said = {field: asked.get(field, default) for field, default in _ASKS[name].items()}
    if name == "lzma" and said["format"] == _RAW_LZMA:
        said["filters"] = asked.get("filters")
    own: Any = [kind, endian]
    for field in _TYPES:
        if field in said:
            # What is encoded is the array's type, and is kept as such, unless another is said.
            said[field] = own if said[field] is None else _type(said[field])
            own = said[field] if field == "dtype" else own
    return [name, {field: value if field in _TYPES else numbers(value) for field, value in said.items()}]


def _type(value: Any) -> list[Any]:
    return list(type_v2(value)) if isinstance(value, str) else [type_v3(value), None]


def _does_nothing(step: list[Any], kind: Type, endian: str | None) -> bool:
    """Return whether decoding leaves all bytes as they are: the loss was in encoding."""
    name, said = step
    if name == "bitround":
        return True
    if name == "shuffle":
        size = said["elementsize"]
        return isinstance(size, int) and size <= 1
    return bool(name == "quantize" and said["dtype"] == said["astype"] == [kind, endian])


def _after(step: list[Any], kind: Type) -> Any:
    """Return the type of what a codec of v3 makes of values."""
    name, said = step
    if name == "packbits":
        return "uint8"
    made = said.get("encode_dtype" if name == "astype" else "astype") if isinstance(said, dict) else None
    return made[0] if isinstance(made, list) and name in _FILTERS else kind


def _axes(order: Any, count: int | None) -> list[int] | None:
    """Return which axis comes where; None if that is not said in a way that is known."""
    if order in ("C", "F"):
        if count is None:
            return None
        return list(range(count))[:: 1 if order == "C" else -1]
    if isinstance(order, list) and all(type(axis) is int for axis in order) and sorted(order) == [*range(len(order))]:
        return order if count is None or len(order) == count else None
    return None


def _transposed(order: list[int] | None, lengths: Sequence[int] | None, *, is_flat: bool) -> list[Any]:
    """Return the step that turns axes, if it turns any; when it is laid flat, an axis of one cell is nowhere."""
    if order is None or order == sorted(order):
        return []
    if not is_flat or lengths is None:
        return [["transpose", order]]
    made = _long_axes(order, lengths)
    return [["transpose", made]] if made else []


def _long_axes(order: Iterable[int], lengths: Sequence[Any]) -> list[int] | None:
    """Return the axes of more than one cell in their order; None if it is the order that they have anyway."""
    turned = [axis for axis in order if lengths[axis] != 1]
    return turned if turned != sorted(turned) else None
