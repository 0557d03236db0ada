"""The dialect of the Zarr and COG pipeline: its run configuration, and the environment variables of its publisher."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from zsync.config.dialect import Reading
from zsync.config.location import Location, absolute, anchored, local_path
from zsync.config.problems import checked
from zsync.config.values import LocalPath, Section, Text
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Any of these set means that the environment is meant to be the configuration.
MARKS = ("LOCAL_ROOT", "RC_FILE_OVERRIDE", "PRE_QF_NAME", "POST_QF_NAME")
VARIABLES = ("LOCAL_ROOT", "PRE_QF_NAME", "POST_QF_NAME", "S3_BUCKET", "S3_ROOT_PREFIX")

_S3 = re.compile(r"s3[an]?://")
_ALREADY_THERE = "output.s3 is set: the pipeline wrote to S3 itself, so nothing is left to publish"
_COG_ALREADY_THERE = "output.cog.output.s3 is set: the COGs are in S3 already and are not published"


class _Place(Section):
    """A place that a pipeline writes to.

    Nothing in ``s3`` is needed but that it is there, and it holds secrets: it is replaced before it is looked at.
    """

    local: LocalPath | None = None
    s3: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _forget_s3(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("s3") is not None:
            return {**value, "s3": True}
        return value

    @model_validator(mode="after")
    def _check_place(self) -> _Place:
        if (self.local is None) == (self.s3 is None):
            how = "neither local nor s3" if self.local is None else "both local and s3"
            raise ValueError(f"has {how}; it needs one of them")
        return self


class _Naming(Section):
    pre_qf: Text
    post_qf: Text


class _Cog(Section):
    output: _Place
    options: object = None


class _Output(_Place):
    is_global: bool | None = Field(None, alias="global")
    naming: _Naming | None = None
    title: object = None
    cog: _Cog | None = None

    @model_validator(mode="after")
    def _check_naming(self) -> _Output:
        if self.local is not None and self.naming is None:
            raise ValueError("naming is missing: it needs pre_qf and post_qf")
        return self


class _Pipeline(Section):
    output: _Output


def recognise(doc: dict[str, Any]) -> bool:
    """Return whether a document is the run configuration of a pipeline."""
    output = doc.get("output")
    return isinstance(output, dict) and not output.keys().isdisjoint({"local", "s3", "naming"})


def read(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    """Return a pipeline's run configuration as a native document; it names no target.

    Raises
    ------
    ConfigError
        Something under `output` is missing, unknown or of the wrong type.
    """
    output = _output(doc, place)
    if output.local is None or output.naming is None:
        return Reading(nothing_to_do=_ALREADY_THERE)
    products = _stores(output.naming.pre_qf, output.naming.post_qf)
    if output.cog is not None and output.cog.output.local is not None:
        products["cog"] = {"path": anchored(output.cog.output.local, base), "kind": "cog"}
    doc = {"source": anchored(output.local, base), "products": products}
    return Reading(doc, _cog_notes(output), titles=_titles(output.title))


def read_environment(environ: Mapping[str, str], target: str | None) -> Reading:
    """Return the environment as a native document.

    Parameters
    ----------
    environ
        The environment.
    target
        The target, where it is known already: then `S3_BUCKET` and `S3_ROOT_PREFIX` are not needed.

    Raises
    ------
    ConfigError
        Variables are missing, or what RC_FILE_OVERRIDE names is not the run configuration of a pipeline.
    """
    values, said = dict(environ), Reading()
    if environ.get("RC_FILE_OVERRIDE"):
        values, said = _overridden(values)
    notes = said.notes
    switches = {"dry_run": "DRYRUN" in environ, "verbose": "VERBOSE" in environ}
    if said.nothing_to_do is not None:
        return Reading(switches, notes, said.nothing_to_do)
    _check_present(values, target)
    products = _stores(_name(values, "PRE_QF_NAME"), _name(values, "POST_QF_NAME"))
    if cog := values.get("COG_DIR"):
        products["cog"] = {"path": cog, "kind": "cog", "to": values["COG_DIR_S3"].strip("/")}
    elif values.get("COG_DIR_S3"):
        notes += ("COG_DIR_S3 is not needed without COG_DIR",)
    source = anchored(values["LOCAL_ROOT"], str(Path.cwd()))
    doc = {"source": source, "target": target or _target(values), "products": products, **switches}
    return Reading(doc, notes, titles=said.titles, file=said.file)


def _output(doc: dict[str, Any], place: str | None) -> _Output:
    return checked(_Pipeline, {"output": doc["output"]}, place).output


def _titles(title: object) -> dict[str, str]:
    titles = title if isinstance(title, dict) else {}
    return {str(name): str(text) for name, text in titles.items() if isinstance(text, str)}


def _cog_notes(output: _Output) -> tuple[str, ...]:
    return (_COG_ALREADY_THERE,) if output.cog is not None and output.cog.output.s3 else ()


def _stores(pre_qf: str, post_qf: str) -> dict[str, dict[str, str]]:
    return {
        name: {"path": path, "kind": "zarr", "to": path} for name, path in (("pre_qf", pre_qf), ("post_qf", post_qf))
    }


def _overridden(values: dict[str, str]) -> tuple[dict[str, str], Reading]:
    """Return the variables with those replaced that the run configuration defines, and what that says besides."""
    from zsync.config.formats import load

    path = absolute(local_path(values["RC_FILE_OVERRIDE"]))
    doc = load(path)
    if not recognise(doc):
        raise ConfigError(
            "RC_FILE_OVERRIDE is not the run configuration of a pipeline",
            path,
            "it needs output.local and output.naming",
        )
    reading = replace(read(doc, str(Path(path).parent), path), file=path)
    if reading.nothing_to_do is not None:
        return values, reading
    products = reading.doc["products"]
    given = {
        "LOCAL_ROOT": reading.doc["source"],
        "PRE_QF_NAME": products["pre_qf"]["path"],
        "POST_QF_NAME": products["post_qf"]["path"],
    }
    if "cog" in products:
        given["COG_DIR"] = products["cog"]["path"]
    elif reading.notes:
        # The COGs are in S3 already, so those of the environment are not this run's.
        given |= {"COG_DIR": "", "COG_DIR_S3": ""}
    return {**values, **given}, reading


def _check_present(values: Mapping[str, str], target: str | None) -> None:
    missing = [name for name in VARIABLES[:3] if not values.get(name)]
    if target is None:
        missing += [] if values.get("S3_BUCKET") else ["S3_BUCKET"]
        # The bucket's root is a place to publish to, but it has to be said.
        missing += [] if "S3_ROOT_PREFIX" in values else ["S3_ROOT_PREFIX"]
    if values.get("COG_DIR") and not values.get("COG_DIR_S3", "").strip("/"):
        missing.append("COG_DIR_S3 (needed with COG_DIR)")
    if missing:
        raise ConfigError(
            "environment variables are missing", ", ".join(missing), "set them, or give a configuration file"
        )


def _name(values: Mapping[str, str], variable: str) -> str:
    name = values[variable].rstrip("/")
    if not name or name.startswith("/"):
        raise ConfigError(f"{variable} must be a name below LOCAL_ROOT", values[variable], "write it without the root")
    return name


def _target(values: Mapping[str, str]) -> str:
    bucket = _S3.sub("", values["S3_BUCKET"], count=1).strip("/")
    try:
        return Location.parse(f"s3://{bucket}/{values['S3_ROOT_PREFIX'].strip('/')}").url
    except ConfigError as error:
        raise ConfigError("S3_BUCKET and S3_ROOT_PREFIX do not make a URL", None, str(error)) from None
