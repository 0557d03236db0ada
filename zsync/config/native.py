"""The native dialect: the model's own names. What is done here is to anchor its relative paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zsync.config.dialect import Reading
from zsync.config.location import anchored
from zsync.config.model import Sections
from zsync.config.problems import known_keys, report, unknown_key

_MARKS = {"source", "target", "products", "storage", "publish", "pull", "team", "watch", "sites", "notify"}


def recognise(doc: dict[str, Any]) -> bool:
    """Return whether a document is in the native dialect."""
    return not doc.keys().isdisjoint(_MARKS)


def read(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    """Return a native document with its paths relative to a directory.

    Raises
    ------
    ConfigError
        It has a key that only looks like a field.
    """
    known = known_keys(Sections)
    outcomes = Sections.model_fields.keys() - set(known)
    problems = [unknown_key(name, known) for name in doc if name in outcomes]
    if problems:
        raise report(problems, lambda _: place)
    return Reading(doc=with_paths_from(doc, base))


def with_paths_from(doc: dict[str, Any], base: str) -> dict[str, Any]:
    """Return a native document whose relative paths are joined to a directory.

    Paths of products are relative to the source. A target is relative only if it says so, as ``./out``: what looks like
    ``bucket/prefix`` more likely lacks its ``s3://``.
    """
    doc = dict(doc)
    source, target, storage = doc.get("source"), doc.get("target"), doc.get("storage")
    if isinstance(source, str):
        doc["source"] = anchored(source, base)
    if isinstance(target, str) and target.split("/")[0] in {".", ".."}:
        doc["target"] = os.path.normpath(Path(base, target))
    pull = doc.get("pull")
    if isinstance(pull, dict):
        places = {name: anchored(pull[name], base) for name in ("dest", "root") if isinstance(pull.get(name), str)}
        doc["pull"] = {**pull, **places}
    watch, sites = doc.get("watch"), doc.get("sites")
    if isinstance(watch, dict) and isinstance(watch.get("log_file"), str):
        doc["watch"] = {**watch, "log_file": anchored(watch["log_file"], base)}
    if isinstance(sites, dict):
        doc["sites"] = {
            name: with_paths_from(site, base) if isinstance(site, dict) else site for name, site in sites.items()
        }
    if isinstance(storage, dict) and isinstance(storage.get("ca_bundle"), str):
        doc["storage"] = {**storage, "ca_bundle": anchored(storage["ca_bundle"], base)}
    return doc
