"""From anything that a user may give to a `RunConfig`: files, documents, the environment, and what is said on top."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from zsync.config import hpc, native, pipeline, service, starter, team
from zsync.config.dialect import ConfigOrigin, Reading
from zsync.config.formats import load
from zsync.config.given import FILES, advice_for, data_in, here, refuse_what_is_none
from zsync.config.location import absolute, local_path
from zsync.config.model import Sections
from zsync.config.problems import known_keys, report, unknown_key
from zsync.config.publishing import Publish, Storage
from zsync.config.said import kind_of
from zsync.config.sections import Pull, Team, Watch
from zsync.errors import ConfigError


class Dialect(NamedTuple):
    """A way of writing a configuration; `read` takes a document, the directory of its relative paths, and its file."""

    name: str
    recognise: Callable[[dict[str, Any]], bool]
    read: Callable[[dict[str, Any], str, str | None], Reading]


# The first that recognises a document reads it. A pipeline's other keys may be anything, so it goes before the native.
DIALECTS = (
    Dialect("pipeline", pipeline.recognise, pipeline.read),
    Dialect("hpc", hpc.recognise, hpc.read),
    Dialect("team", team.recognise, team.read),
    Dialect("service", service.recognise, service.read),
    Dialect("starter", starter.recognise, starter.read),
    Dialect("native", native.recognise, native.read),
)

_FLAT: dict[str, type[BaseModel]] = {"publish": Publish, "storage": Storage}  # their options go by their own names
_SECTIONS: dict[str, type[BaseModel]] = {**_FLAT, "pull": Pull, "team": Team, "watch": Watch}
_SECTION_OF = {field: name for name, section in _FLAT.items() for field in section.model_fields}
_MERGED = {"meta"}  # what is said once for all runs, and more for one
_TOP = tuple(name for name in known_keys(Sections) if "." not in name)


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration as it was written: a native document.

    Attributes
    ----------
    place_of
        Tells, by a field's name, the file that says it; None where it was said on top of the configuration.
    notes, nothing_to_do
        What it says that is not needed, and why there is nothing to publish, if so.
    origin
        Where it comes from.
    """

    doc: dict[str, Any]
    place_of: Callable[[str], str | None]
    notes: tuple[str, ...]
    nothing_to_do: str | None
    origin: ConfigOrigin


def in_section(name: str, section: type[BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with those under the section that are its own, as a verb has them that it is the section of.

    Examples
    --------
    >>> in_section("watch", Watch, {"interval": "5s", "region": "us-west-2"})
    {'region': 'us-west-2', 'watch': {'interval': '5s'}}
    """
    own = {key: value for key, value in options.items() if key in section.model_fields}
    others = {key: value for key, value in options.items() if key not in own}
    whole = plain(others.get(name) or {})
    return {**others, name: {**whole, **own}} if own and isinstance(whole, dict) else others


def read(value: object, overrides: Mapping[str, Any], environ: Mapping[str, str] | None) -> Written:
    """Return what a value says; see `zsync.config.RunConfig.from_any`."""
    said = _said(overrides)
    if isinstance(value, Sections):
        reading, place = Reading(value.model_dump(), tuple(value.notes), value.nothing_to_do), None
        origin = value.origin
    else:
        reading, place = _reading(value, said, os.environ if environ is None else environ)
        origin = ConfigOrigin(place or reading.file, reading.titles)
    spoken = {key for name, told in said.items() for key in _dotted(name, told)}

    def place_of(key: str) -> str | None:
        return None if any(f"{key}.".startswith(f"{own}.") for own in spoken) else place

    return Written(_merged(reading.doc, said), place_of, reading.notes, reading.nothing_to_do, origin)


def _said(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said on top of the configuration, as a native document with paths from the current directory."""
    said: dict[str, Any] = {}
    problems = []
    # Whole sections go first, so that single options are not lost under them.
    for name, value in sorted(overrides.items(), key=lambda item: item[0] not in _SECTIONS):
        if name in _SECTION_OF:
            section = said.setdefault(_SECTION_OF[name], {})
            if isinstance(section, dict):
                section[name] = plain(value)
        elif name in _TOP:
            said[name] = plain(value)
        else:
            problems.append(unknown_key(name, [*_TOP, *_SECTION_OF], what="option"))
    if problems:
        raise report(problems, lambda _: None)
    return native.with_paths_from(said, str(Path.cwd()))


def _reading(value: object, said: dict[str, Any], environ: Mapping[str, str]) -> tuple[Reading, str | None]:
    """Return what a value says, and the file that says it."""
    if value is None:
        if not _says_where(said, environ) and (lies_here := here()) is not None:
            return _reading(lies_here, said, environ)
        return _without_value(said, environ), None
    if (advice := _advice_on_data(value)) is not None:  # a dataset is a mapping too
        raise ConfigError(f"{kind_of(value)} is not a configuration", None, advice)
    if isinstance(value, Mapping):
        return _understood(_plain_document(value), str(Path.cwd()), None), None
    if isinstance(value, str | os.PathLike):
        path = _config_path(os.fspath(value))
        if os.path.isdir(path):  # the plainest configuration: what to publish
            return Reading({"source": path}), None
        refuse_what_is_none(path)
        return _understood(load(path), str(Path(path).parent), path), path
    raise ConfigError(
        f"{kind_of(value)} is not a configuration", None, "give a dict, the path of a file, or a RunConfig"
    )


def _advice_on_data(value: object) -> str | None:
    """Return what to do with data in place of a configuration; None if it is none. Nothing is imported to tell."""
    module, kind = type(value).__module__.partition(".")[0], type(value).__name__
    if module == "xarray" and kind in ("Dataset", "DataArray"):
        name = {"Dataset": "dataset", "DataArray": "array"}[kind]
        return f"publish it with {name}.zsync.publish(target), after `import zsync.xarray`"
    if module == "xarray":
        return "write it with to_zarr, and give the path: zsync.publish(path, target)"
    if module == "zarr":
        return "give the path of its store: zsync.publish(path, target)"
    if module == "dask":
        return "zsync.publish_delayed(path, target, after=...) publishes once it is computed"
    return None


def _plain_document(value: Mapping[str, Any]) -> Any:
    try:
        return plain(value)
    except RecursionError:
        raise ConfigError("the configuration is nested too deeply, or holds itself") from None


def _says_where(said: dict[str, Any], environ: Mapping[str, str]) -> bool:
    """Whether what is published is said without a file: on top of it, or by the environment."""
    return "source" in said or "products" in said or any(name in environ for name in pipeline.MARKS)


def _without_value(said: dict[str, Any], environ: Mapping[str, str]) -> Reading:
    if not _says_where(said, environ):
        raise ConfigError(
            f"there is no configuration: no {FILES[0]} here, and no {pipeline.MARKS[0]} in the environment",
            str(Path.cwd()),
            "give a directory, a file or a dict, write a file with `zsync config init`, or set"
            f" {', '.join(pipeline.VARIABLES)}",
        )
    if "source" in said or "products" in said:
        return Reading()
    return pipeline.read_environment(environ, said.get("target"))


def _config_path(text: object) -> str:
    if not isinstance(text, str) or text.startswith("{") or any(mark in text for mark in ("\n", "\0", ": ")):
        raise ConfigError(
            "the text of a configuration is not the path of one", None, "give a dict, or the path of a file"
        )
    if "://" in text and not text.lower().startswith("file:"):
        raise ConfigError(
            "a directory or a configuration is needed here, not a URL", None, "give it first, and the URL as `target`"
        )
    return absolute(local_path(text))


def _understood(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    dialect = next((dialect for dialect in DIALECTS if dialect.recognise(doc)), None)
    if dialect is None and place is not None and (what := data_in(doc)) is not None:
        raise ConfigError(f"this is {what}, not a configuration", place, advice_for(place))
    # What nobody recognises is read as native, which says what is unknown in it, and the nearest that is known.
    return (dialect.read if dialect else native.read)(doc, base, place)


def _dotted(name: str, value: object) -> list[str]:
    return [f"{name}.{key}" for key in value] if name in _SECTIONS and isinstance(value, dict) else [name]


def _merged(doc: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return a document with what was said on top of it; sections, and `meta`, are merged, all else is replaced."""
    merged = {**doc, **said}
    for name in _SECTIONS:
        written = doc.get(name)
        if name in said and isinstance(written, dict) and isinstance(said[name], dict):
            merged[name] = {**written, **said[name]}
            for part in _MERGED & written.keys() & said[name].keys():
                if isinstance(written[part], dict) and isinstance(said[name][part], dict):
                    merged[name][part] = {**written[part], **said[name][part]}
    if "include" in said.get("publish", {}) and isinstance(merged.get("products"), dict):
        merged["products"] = {name: _without_include(product) for name, product in merged["products"].items()}
    return merged


def _without_include(product: object) -> object:
    """Return a product without the patterns that would hide those that were said on top of the configuration."""
    return {**product, "include": []} if isinstance(product, dict) else product


def plain(value: Any) -> Any:
    """Return a value with its models and mappings as dicts, its tuples as lists and its paths as text."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
