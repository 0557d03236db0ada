"""Values that an option takes, and how a shell completes them; the words are those of the model, which a test compares.

They stand here once more because to import the model takes longer than `--help` may.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RETIRE = ("auto", "keep", "trash", "delete")
DAMAGED = ("refuse", "allow")
OUTSIDE_GRID = ("refuse", "skip")
TRUST = ("listing", "manifest")
REWRITES = ("auto", "inplace", "flip")
ON_INCOMPATIBLE = ("auto", "refuse", "flip", "replace")
CONSOLIDATE = ("auto", "always", "never", "as-is")
FOREIGN = ("publish", "skip", "refuse")
CHECK_COGS = ("warn", "refuse", "off")
TRANSPORT = ("auto", "obstore", "fsspec")
SSE = ("AES256", "aws:kms", "aws:kms:dsse")
PREFER = ("ask", "local", "remote", "both")
FIRST_SOURCE = ("local", "s3", "auto")
EVENTS = ("auto", "native", "poll")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
SCHEDULERS = ("auto", "threads", "serial", "processes", "distributed")
SHELLS = ("bash", "zsh", "fish", "powershell")
_SECTION = re.compile(r"^\s*\[\s*(?:profile\s+)?([^\]]+?)\s*\]", re.MULTILINE)


def chosen_from(words: Iterable[str], *names: str, help: str, more: str = "") -> Any:  # noqa: A002 - as typer calls it
    """Return an option that takes one of some words; what it is not is said where its value is checked."""
    taken = tuple(words)
    return typer.Option(
        *names, help=help, metavar="|".join((*taken, *filter(None, (more,)))), autocompletion=_completing(taken)
    )


def _completing(words: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def profiles(incomplete: str) -> list[str]:
    """Return the profiles of the AWS configuration that begin so."""
    found: set[str] = set()
    for variable, usual in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
        path = Path(os.environ.get(variable) or Path.home() / ".aws" / usual)
        if path.is_file():
            found |= set(_SECTION.findall(path.read_text(errors="replace")))
    return sorted(name for name in found if name.startswith(incomplete) and not name.startswith("sso-session"))


def products(context: typer.Context, incomplete: str) -> list[str]:
    """Return the products of the configuration that is named before, or lies here, that begin so."""
    from zsync.config import RunConfig
    from zsync.config.given import here
    from zsync.errors import ZsyncError

    try:
        config = RunConfig.from_any(_first(context) or here(), target="memory://completion")
        return [item.name for item in config.resolve() if item.name.startswith(incomplete)]
    except ZsyncError:  # what is wrong is said by the command itself
        return []


def publications(context: typer.Context, incomplete: str) -> list[str]:
    """Return the publications of the URL that is named before, newest first, that begin so; and what else names one."""
    from zsync.errors import ZsyncError
    from zsync.verbs.log import log

    named = [name for name in ("head", "head~1", "head~2") if name.startswith(incomplete)]
    where = _first(context)
    if where is None or "://" not in where:
        return named
    storage = {name: context.params.get(name) for name in ("endpoint_url", "region", "profile")}
    try:
        found = log(where, number=20, **{name: value for name, value in storage.items() if value})
    except ZsyncError:
        return named
    return [*(item.id for item in reversed(list(found)) if item.id.startswith(incomplete)), *named]


def _first(context: typer.Context) -> str | None:
    """Return the first word that is no option, which is what a command is about."""
    for name in ("config", "url", "what"):
        value = context.params.get(name)
        if value:
            return str(value if isinstance(value, str) else value[0])
    # Where the last word is an option that waits for its value, words are not told apart yet.
    return next((word for word in context.args if not word.startswith("-")), None)
