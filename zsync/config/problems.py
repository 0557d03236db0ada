"""What is wrong with a document, in words: one line for all of it, never a secret.

Pydantic's own messages repeat the values that they complain about, so none of its text is passed on.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from zsync.config.formats import line_of
from zsync.errors import ConfigError
from zsync.forking import undivided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

MOST_REPORTED = 5
_LONGEST_VALUE = 40
_SECRET_NAME = re.compile(r"secret|token|auth|passw|credential|access_?key", re.IGNORECASE)
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "finite_number": "a finite number",
    "float_type": "a number",
    "float_parsing": "a number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "greater_than_equal": "a whole number from {ge}",
}
# What to write where another type is wanted.
_WRITE = {
    "string_type": "put it in quotes",
    "dict_type": "write its names below it, as `name: value` lines",
    "model_type": "write its names below it, as `name: value` lines",
    "model_attributes_type": "write its names below it, as `name: value` lines",
    "list_type": "write it as [one, another]",
}
_TOLD = {"bool_parsing", "int_parsing", "float_parsing", "int_from_float", "greater_than_equal"}
_SAID_WHOLE = {
    "string_too_short": "must not be empty",
    "invalid_key": "is not text, as keys must be",
    "recursion_loop": "holds itself",
}

AnyModel = TypeVar("AnyModel", bound=BaseModel)


class ExpectedError(ValueError):
    """A value is not what is expected; the message is what is expected, as in ``a whole number``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document.

    Parameters
    ----------
    key
        The dotted key that it is about.
    text
        What is wrong; holds the key.
    advice
        What to do about it.
    """

    key: str
    text: str
    advice: str | None = None


def checked(model: type[AnyModel], doc: Mapping[str, Any], place: str | None = None) -> AnyModel:
    """Return a document as a model.

    Parameters
    ----------
    model
        What the document must be.
    doc
        The document.
    place
        The file that it came from.

    Raises
    ------
    ConfigError
        All that is wrong with the document.
    """
    try:
        with undivided:
            return model.model_validate(doc)
    except ValidationError as error:
        problems = problems_of(error, model)
    # Raised here, not above: an exception's context would keep the values.
    raise report(problems, lambda _: place)


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return what is wrong, in the order of the model's fields."""
    return [_problem(item, model) for item in error.errors(include_url=False)]


def report(problems: Sequence[Problem], place: Callable[[str], str | None]) -> ConfigError:
    """Return problems as one error; `place` tells which file the key of a problem is in, if any."""
    first = problems[0]
    if len(problems) == 1:
        return ConfigError(_printable(_placed(first, place)), None, first.advice and _printable(first.advice))
    lines = [f"{_placed(p, place)} ({p.advice})" if p.advice else _placed(p, place) for p in problems[:MOST_REPORTED]]
    if len(problems) > MOST_REPORTED:
        lines.append(f"and {len(problems) - MOST_REPORTED} more")
    return ConfigError(_printable("; ".join(lines)))


def unknown_key(key: str, siblings: Iterable[str], elsewhere: Iterable[str] = (), what: str = "key") -> Problem:
    """Return the problem of a name that nobody knows, with the nearest one that is known.

    Parameters
    ----------
    key
        The unknown name, dotted.
    siblings
        The names known at its place, dotted.
    elsewhere
        Names known at other places, dotted: their last parts are compared.
    what
        What it is a name of.
    """
    near = nearest(key, siblings, elsewhere)
    known = ", ".join(siblings)
    return Problem(key, f"unknown {what} {key}", f"did you mean {near}?" if near else f"known here: {known}")


def nearest(key: str, siblings: Iterable[str], elsewhere: Iterable[str] = ()) -> str | None:
    """Return the known name that is most like this one, if any is."""
    import difflib

    last = key.rpartition(".")[2].lower()
    for known in (siblings, elsewhere):
        # Of several at which one may have meant a name, the one nearest the top.
        deepest_first = sorted(known, key=lambda name: name.count("."), reverse=True)
        by_last = {name.rpartition(".")[2].lower(): name for name in deepest_first}
        if near := difflib.get_close_matches(last, by_last, n=1, cutoff=0.6):
            return by_last[near[0]]
    return None


@functools.cache
def known_keys(model: type[BaseModel], prefix: str = "") -> tuple[str, ...]:
    """Return the dotted names of a model's fields, and of its sections' fields."""
    fields = _fields(model)
    names = [f"{prefix}{name}" for name in fields]
    for name, field in fields.items():
        if section := _model_in(field.annotation):
            names += known_keys(section, f"{prefix}{name}.")
    return tuple(names)


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """Return the fields that a document may hold, by the names that they have there."""
    fields = model.model_fields if model else {}
    return {field.alias or name: field for name, field in fields.items() if not field.exclude}


def _placed(problem: Problem, place: Callable[[str], str | None]) -> str:
    """Return what is wrong, with the file and the line that it is in."""
    where = place(problem.key)
    if where is None:
        return problem.text
    line = line_of(where, problem.key)
    where = where if line is None else f"{where}, line {line}"
    if problem.text.startswith(f"{problem.key}: "):  # what is told then ends with what to do
        return f"{problem.key} in {where}{problem.text.removeprefix(problem.key)}"
    return f"{problem.text} in {where}"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _problem(item: ErrorDetails, model: type[BaseModel]) -> Problem:
    parts = [str(part) for part in item["loc"]]
    kind, context = item["type"], item.get("ctx", {})
    if parts and parts[-1] == "[key]":
        return _bad_name(parts[:-1], kind, context)
    key = ".".join(parts)
    if kind == "extra_forbidden":
        return _unknown_field(parts, model)
    if kind == "missing":
        return Problem(key, f"{key} is missing", _what_to_give(parts, model))
    if kind in _SAID_WHOLE:
        advice = "give one, or leave the key out" if kind == "string_too_short" else None
        return Problem(key, f"{key} {_SAID_WHOLE[kind]}", advice)
    if kind == "value_error" and not isinstance(context["error"], ExpectedError):
        return Problem(key, f"{key}: {context['error']}" if key else str(context["error"]))
    if kind in {"value_error", "literal_error"}:
        expected = _choices(str(context.get("expected", context.get("error"))))
        given = _given(parts, item["input"], telling=True)
        words = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        meant = nearest(given, words)
        return Problem(key, f"{key} must be {expected}, not {given}", f"did you mean {meant}?" if meant else None)
    expected = _EXPECTED.get(kind, "something else").format(ge=context.get("ge"))
    given = _given(parts, item["input"], telling=kind in _TOLD)
    advice = "write a single one" if kind == "string_type" and given == "a list" else _WRITE.get(kind)
    return Problem(key, f"{key} must be {expected}, not {given}", advice)


def _what_to_give(parts: list[str], model: type[BaseModel]) -> str:
    """Return what belongs where something is missing."""
    field = _fields(_owner(parts, model)).get(parts[-1])
    told = f": {field.description}" if field is not None and field.description else ""
    return f"give `{parts[-1]}`{told}"


def _bad_name(parts: list[str], kind: str, context: dict[str, Any]) -> Problem:
    key = ".".join(parts)
    if kind == "literal_error":
        place = key.removesuffix(parts[-1])
        return unknown_key(key, [f"{place}{name}" for name in re.findall(r"'([^']*)'", context["expected"])])
    if kind == "value_error":
        return Problem(key, f"{key}: {context['error']}")
    return Problem(key, f"the name in {key} must be text that is not empty")


def _unknown_field(parts: list[str], model: type[BaseModel]) -> Problem:
    prefix = "".join(f"{part}." for part in parts[:-1])
    siblings = [f"{prefix}{name}" for name in _fields(_owner(parts, model))]
    return unknown_key(".".join(parts), siblings, known_keys(model))


def _owner(parts: list[str], model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model that a field, known or not, would be of."""
    owner: type[BaseModel] | None = model
    for part in parts[:-1]:
        # A part that is no field is the name of an entry, as in products.<name>: its model is the mapping's.
        fields = _fields(owner)
        if part in fields:
            owner = _model_in(fields[part].annotation)
    return owner


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation holds: itself, or inside an optional or a mapping."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)


def _choices(expected: str) -> str:
    return expected.replace("'", "")


def _given(parts: Iterable[str], value: object, *, telling: bool) -> str:
    """Return what was given, in a word or two: the value itself only where it is `telling` and cannot be a secret."""
    secret = any(_SECRET_NAME.search(part) for part in parts)
    if telling and not secret and isinstance(value, str | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text if 0 < len(text) <= _LONGEST_VALUE else "that text"
    names = {dict: "a mapping", list: "a list", tuple: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else f"a {type(value).__name__}")
