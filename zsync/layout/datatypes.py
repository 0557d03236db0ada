"""Data types and values of them in one form, however the two formats and their writers spell them.

Sources: Zarr v2 specification, "Data type encoding" and "Fill value encoding"; Zarr v3 core specification, "Data types"
and "Fill value"; zarr-python for the types that the specifications leave to extensions.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# A type is a name, or, of a type with parameters, a list that begins with its name.
Type = str | list[Any]

_NUMPY = re.compile(r"([<>|=]?)([biufcmMSUVO])(\d*)(?:\[(\d*)([a-zA-Zμ]+)\])?")
_NAMED = re.compile(r"bool|(?:u?int|float|complex)\d+")
_RAW = re.compile(r"r(\d+)")
_LETTERS = {"i": "int", "u": "uint", "f": "float", "c": "complex"}
_TIMES = {"M": "numpy.datetime64", "m": "numpy.timedelta64"}
_OBJECTS = {"vlen-utf8": "string", "vlen-bytes": "variable_length_bytes"}
_SAME = {
    "variable_length_utf8": "string", "bytes": "variable_length_bytes", "binary": "variable_length_bytes",
    "struct": "structured",
}  # fmt: skip
_FLOATS = {"float16": "e", "float32": "f", "float64": "d"}
_COMPLEX = {"complex64": "float32", "complex128": "float64"}
_NOT_A_TIME = -(2**63)
_BYTES = ("null_terminated_bytes", "raw_bytes", "variable_length_bytes", "structured")
_TEXTS = ("string", "fixed_length_utf32")


def name_of(kind: Type) -> str:
    """Return the name of a type."""
    return kind if isinstance(kind, str) else str(kind[0])


def item_size(kind: Type) -> int | None:
    """Return how many bytes a value takes; None if that is not known.

    Examples
    --------
    >>> item_size("float32"), item_size("bool"), item_size(["raw_bytes", 3]), item_size("string")
    (4, 1, 3, None)
    """
    if kind == "bool":
        return 1
    if isinstance(kind, list):
        if kind[0] in _TIMES.values():
            return 8
        return kind[1] if len(kind) == 2 and type(kind[1]) is int else None
    digits = re.search(r"\d+\Z", kind)
    return int(digits[0]) // 8 if digits and _NAMED.fullmatch(kind) else None


def has_endianness(kind: Type) -> bool:
    """Return whether the order of bytes makes a difference to values of a type."""
    name = name_of(kind)
    if name in _BYTES or name in ("bool", "string", "int8", "uint8", "object"):
        return False
    return item_size(kind) != 1


def type_v2(value: Any, object_codec: str | None = None) -> tuple[Type, str | None]:
    """Return a type of Zarr v2, or of NumPy as codecs name them, and ``big`` or ``little`` where that matters.

    Parameters
    ----------
    value
        As it is written: ``<f4``, ``|b1``, ``float32``, or a list of fields.
    object_codec
        What objects are encoded with, which tells what they are.

    Examples
    --------
    >>> type_v2("<u1"), type_v2("|u1"), type_v2(">f4"), type_v2("|S5")
    (('uint8', None), ('uint8', None), ('float32', 'big'), (['null_terminated_bytes', 5], None))
    """
    if isinstance(value, list):
        return ["structured", *(_field_v2(field) for field in value)], None
    if not isinstance(value, str):
        return _unknown(value), None
    if _NAMED.fullmatch(value):
        return value, "little" if has_endianness(value) else None
    found = _NUMPY.fullmatch(value)
    if found is None:
        return value, None
    kind = _numpy_type(found, object_codec)
    return kind, ("big" if found[1] == ">" else "little") if has_endianness(kind) else None


def _numpy_type(found: re.Match[str], object_codec: str | None) -> Type:
    letter, size = found[2], int(found[3][:19] or 0)
    if letter == "b":
        return "bool"
    if letter in _LETTERS:
        return f"{_LETTERS[letter]}{size * 8}"
    if letter in _TIMES:
        return [_TIMES[letter], found[5] or "generic", int((found[4] or "")[:19] or 1)]
    if letter == "O":
        return _OBJECTS.get(object_codec or "", ["object", object_codec])
    return {"S": ["null_terminated_bytes", size], "U": ["fixed_length_utf32", size * 4]}.get(
        letter, ["raw_bytes", size]
    )


def _unknown(value: Any) -> Type:
    return ["unknown", numbers(value)]


def _field_v2(field: Any) -> Any:
    if not isinstance(field, list) or len(field) < 2:
        return field
    return [field[0], *type_v2(field[1]), *field[2:]]


def type_v3(value: Any) -> Type:
    """Return a type of Zarr v3.

    Examples
    --------
    >>> type_v3("float32"), type_v3({"name": "float32"}), type_v3("r16")
    ('float32', 'float32', ['raw_bytes', 2])
    """
    if isinstance(value, dict):
        name, configuration = value.get("name"), value.get("configuration") or {}
    else:
        name, configuration = value, {}
    if not isinstance(name, str) or not isinstance(configuration, dict):
        return _unknown(value)
    if (raw := _RAW.fullmatch(name)) and not configuration:
        return ["raw_bytes", int(raw[1][:19]) // 8]
    return _configured(_SAME.get(name, name), configuration)


def _configured(name: str, configuration: dict[str, Any]) -> Type:
    if name == "structured" and isinstance(configuration.get("fields"), list):
        return [name, *(_field_v3(field) for field in configuration["fields"])]
    if name in _TIMES.values():
        return [name, configuration.get("unit", "generic"), configuration.get("scale_factor", 1)]
    if set(configuration) == {"length_bytes"}:
        return [name, configuration["length_bytes"]]
    return [name, dict(configuration)] if configuration else name


def _field_v3(field: Any) -> Any:
    if isinstance(field, dict):
        field = [field.get("name"), field.get("data_type")]
    if not isinstance(field, list) or len(field) != 2:
        return field
    kind = type_v3(field[1])
    return [field[0], kind, "little" if has_endianness(kind) else None]


def value_of(kind: Type, value: Any) -> Any:
    """Return a value of a type in one of the ways in which it can be written; None is left as it is.

    Examples
    --------
    >>> value_of("float32", "NaN"), value_of("float32", "0x7fc00000"), value_of("float32", 0.1)
    ('NaN', 'NaN', 0.10000000149011612)
    >>> value_of("int16", 0.0), value_of("bool", 0), value_of("string", 0)
    (0, False, '0')
    """
    if value is None:
        return value
    name = name_of(kind)
    if name == "bool":
        return bool(value) if isinstance(value, int | float | str) else value
    if name in _COMPLEX:
        return _complex(_COMPLEX[name], value)
    if name in _BYTES:
        return _bytes(kind, value)
    if name in _TEXTS:
        return str(value).rstrip("\0") if isinstance(value, str | int | float) else value
    if name in _TIMES.values():
        return "NaT" if value in ("NaT", _NOT_A_TIME) else _whole(value)
    if re.fullmatch(r"u?int\d+", name):
        return _whole(value)
    return _real(name, value)


def _whole(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,40}(\.0*)?", value):
        return int(value.partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, bool) else number(value)


def _complex(part: str, value: Any) -> Any:
    if isinstance(value, list) and len(value) == 2:
        return [_real(part, value[0]), _real(part, value[1])]
    return [_real(part, value), _real(part, 0)] if isinstance(value, int | float) else value


def _real(name: str, value: Any) -> Any:
    """Return a number as its type rounds it; types that are not known round nothing."""
    code = _FLOATS.get(name)
    if isinstance(value, str):
        value = _number_in(value, code)
    if not isinstance(value, int | float):
        return value
    try:
        exact = float(value)
        return number(struct.unpack(code, struct.pack(code, exact))[0] if code else exact)
    except OverflowError:
        return number(math.inf if value > 0 else -math.inf)


def _number_in(text: str, code: str | None) -> Any:
    """Return the number that a text stands for: its digits, its bits, or, as xarray writes it, a double in base64."""
    if code and re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        bits = int(text, 16).to_bytes(8, "big")[-struct.calcsize(code) :]
        return struct.unpack(f">{code}", bits)[0]
    try:
        return float(text)
    except ValueError:
        raw = _decoded(text)
    return struct.unpack("<d", raw)[0] if raw is not None and len(raw) == 8 else text


def _bytes(kind: Type, value: Any) -> Any:
    """Return bytes as hexadecimal digits, without the padding that is no part of them."""
    raw = _decoded(value) if isinstance(value, str) else _octets(value)
    if raw is None:
        return value
    return (raw if name_of(kind) == "variable_length_bytes" else raw.rstrip(b"\0")).hex()


def _octets(value: Any) -> bytes | None:
    if value == 0 and not isinstance(value, bool | float):
        return b""
    if isinstance(value, list) and all(type(item) is int and 0 <= item < 256 for item in value):
        return bytes(value)
    return None


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def number(value: Any) -> Any:
    """Return a number of JSON so that those that are equal are the same, and those that JSON has not are texts."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    # Minus zero stays what it is: its bits differ from zero's.
    return int(value) if value.is_integer() and (value or math.copysign(1, value) > 0) else value


def numbers(value: Any) -> Any:
    """Return any JSON value with its numbers in one form."""
    if isinstance(value, dict):
        return {name: numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return number(value)


def alone(values: Sequence[Any] | Any) -> Any:
    """Return the one item of a list of one, which is how some writers put down a number."""
    return values[0] if isinstance(values, list) and len(values) == 1 else values
