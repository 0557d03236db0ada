"""`zsync trash`: what publications retired."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app
from zsync.cli.options import Publication, Where
from zsync.cli.output import say, say_line
from zsync.cli.reaching import Reach, reaching
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from zsync.verbs.trash import Discarded

trash_app = typer.Typer(help="See, restore and empty what publications retired.", no_args_is_help=True)
app.add_typer(trash_app, name="trash")

_Include = Annotated[list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.")]


@reaching(trash_app, "list")
def trash_list(
    reach: Reach,
    url: Where,
    publication: Publication = None,
    include: _Include = None,
    keys: Annotated[bool, typer.Option("--keys", help="Name every key.")] = False,
) -> None:
    """List what publications retired."""
    from zsync.verbs.trash import list_trash

    _show(reach, list_trash(url, publication=publication, include=include or (), **reach.storage), keys=keys)


@reaching(trash_app, "restore")
def trash_restore(
    reach: Reach,
    url: Where,
    publication: Publication = None,
    include: _Include = None,
    to: Annotated[Path | None, typer.Option(help="A directory of this machine, instead of the target.")] = None,
) -> None:
    """Bring objects back, to where they were or into a directory; nothing that is there is overwritten."""
    from zsync.verbs.trash import restore_trash

    done = restore_trash(url, publication=publication, include=include or (), to=to, **reach.storage)
    _show(reach, done, said="restored")


@reaching(trash_app, "empty")
def trash_empty(
    reach: Reach,
    url: Where,
    publication: Publication = None,
    older_than: Annotated[str, typer.Option(help="Only what was retired longer ago than this: 12h, 30d.")] = "0",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete what is in the trash, for good."""
    from zsync.config import seconds
    from zsync.verbs.trash import empty_trash

    older_than_s = seconds(older_than)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("deleting for good needs a yes", "--yes", "give it, or run this in a terminal")
        typer.confirm("Delete for good?", abort=True, err=True)
    done = empty_trash(url, publication=publication, older_than_s=older_than_s, **reach.storage)
    _show(reach, done, said="deleted")


def _show(reach: Reach, found: list[Discarded], *, said: str = "", keys: bool = False) -> None:
    from zsync.report.format import human_bytes

    if reach.says_json(found):
        return
    if not found:
        say("the trash is empty" if not said else f"nothing to be {said}")
    for item in found:
        count = f"{item.restored:,} of {len(item.keys):,}" if said == "restored" else f"{len(item.keys):,}"
        taken = f"; {item.skipped:,} are there already" if item.skipped else ""
        line = f"{item.publication}  {item.time}  {count} objects {said}".rstrip()
        say_line(f"{line}  {human_bytes(item.bytes)}  {item.url}{taken}")
        for key in item.keys if keys else ():
            say_line(f"  {key}")
