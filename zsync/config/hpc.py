"""The dialect of pulls on clusters and laptops: ``config.ini`` with ``[PATHS]``, and ``[S3]``, ``[NOTIFY]`` beside it.

``base_dir`` is where data goes on a cluster, which is told by ``sbatch`` being there, ``local_base_dir`` anywhere else.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from zsync.config.dialect import Reading
from zsync.config.location import absolute, anchored
from zsync.config.problems import report, unknown_key
from zsync.errors import ConfigError

FILE = "config.ini"
PROJECT = "~/Github/greenland-glacier-flow"  # the home of the project whose tool this dialect is
_PATHS = ("base_dir", "local_base_dir")
_S3 = ("bucket", "prefix", "region", "profile", "endpoint_url")
_NOTIFY = ("url", "command")


def recognise(doc: dict[str, Any]) -> bool:
    """Return whether a document is in this dialect."""
    paths = doc.get("PATHS")
    return isinstance(paths, dict) and not paths.keys().isdisjoint(_PATHS)


def read(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    """Return the native document: one target, and the directory that it is pulled below.

    Sections and keys of other steps of that pipeline are not looked at, but for misspelt ones of these.

    Raises
    ------
    ConfigError
        A key is unknown, the directory is not named, or it lies in the code repository.
    """
    paths, s3 = doc["PATHS"], doc.get("S3", {})
    problems = [
        unknown_key(f"{section}.{name}", [f"{section}.{known}" for known in known_names])
        for section, known_names in (("S3", _S3), ("NOTIFY", _NOTIFY))
        for name in doc.get(section, {})
        if name not in known_names
    ]
    if problems:
        raise report(problems, lambda _: place)
    name = "base_dir" if shutil.which("sbatch") else "local_base_dir"
    if not paths.get(name):
        raise ConfigError("the data directory is not named", f"[PATHS] {name}", f"set it in {place or FILE}")
    root = absolute(anchored(os.path.expandvars(paths[name]), base))
    _refuse_repository(root, base)
    found: dict[str, Any] = {"pull": {"root": root, "dest": root}}
    if s3.get("bucket"):
        prefix = s3.get("prefix", "").strip("/")
        found["target"] = f"s3://{s3['bucket']}/{prefix}".rstrip("/")
        # A prefix of several elements is kept whole below the data directory.
        found["pull"]["dest"] = str(Path(root, *prefix.split("/")[:-1]))
    storage = {option: s3[option] for option in ("region", "profile", "endpoint_url") if s3.get(option)}
    more = {"storage": storage, "notify": _notifications(doc.get("NOTIFY", {}))}
    return Reading({**found, **{option: value for option, value in more.items() if value}}, notes=_notes(paths, name))


def _notifications(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return who is told of pulls: a URL, a command, or both."""
    on = ["pulled", "failed"]
    urls = [{"url": said["url"], "on": on}] if said.get("url") else []
    return [*urls, *([{"command": shlex.split(said["command"]), "on": on}] if said.get("command") else [])]


def _notes(paths: dict[str, Any], name: str) -> tuple[str, ...]:
    other = next(other for other in _PATHS if other != name)
    where = "sbatch is there, so this is a cluster" if name == "base_dir" else "sbatch is not there"
    return (f"[PATHS] {name} is used ({where}), not {other}",) if paths.get(other) else ()


def _refuse_repository(root: str, base: str) -> None:
    """Raise if data would go into the repository that the configuration lies in, also by way of a link."""
    home = Path(base).resolve()
    repository = next((above for above in (home, *home.parents) if (above / ".git").exists()), None)
    real = Path(root).resolve()
    if repository is not None and (real == repository or repository in real.parents):
        raise ConfigError("the data directory lies in the code repository", root, "name another in [PATHS]")


def find() -> str:
    """Return the path of the ``config.ini`` that goes without saying.

    Looked for beside the running script and beside what that links to, in the current directory, and in the project's
    home.

    Raises
    ------
    ConfigError
        There is none; the message says where it was looked for.
    """
    script = Path(sys.argv[0] or ".")
    places = [script.parent, script.resolve().parent, Path.cwd(), Path(PROJECT).expanduser()]
    looked = list(dict.fromkeys(str(place.absolute()) for place in places))
    for place in looked:
        if (Path(place) / FILE).is_file():
            return str(Path(place) / FILE)
    raise ConfigError(f"{FILE} was not found", ", ".join(looked), "name a configuration or a URL")
