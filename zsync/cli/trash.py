"""`zsync trash`: what publications retired."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app, door, storage_options
from zsync.cli.options import EndpointUrl, Json, Profile, Publication, Region, Verbose, Where
from zsync.cli.output import say, say_line
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from zsync.verbs.trash import Discarded

trash_app = typer.Typer(help="See, restore and empty what publications retired.", no_args_is_help=True)
app.add_typer(trash_app, name="trash")


@trash_app.command("list")
def trash_list(
    url: Where,
    publication: Publication = None,
    include: Annotated[list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Name every key.")] = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List what publications retired."""
    with door(as_json=as_json, verbose=verbose):
        from zsync.verbs.trash import list_trash

        storage = storage_options(endpoint_url, region, profile)
        found = list_trash(url, publication=publication, include=include or (), **storage)
        _show_trash(found, as_json=as_json, keys=keys)


@trash_app.command("restore")
def trash_restore(
    url: Where,
    publication: Publication = None,
    include: Annotated[list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.")] = None,
    to: Annotated[Path | None, typer.Option(help="A directory of this machine, instead of the target.")] = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Bring objects back, to where they were or into a directory; nothing that is there is overwritten."""
    with door(as_json=as_json, verbose=verbose):
        from zsync.verbs.trash import restore_trash

        storage = storage_options(endpoint_url, region, profile)
        found = restore_trash(url, publication=publication, include=include or (), to=to, **storage)
        _show_trash(found, as_json=as_json, said="restored")


@trash_app.command("empty")
def trash_empty(
    url: Where,
    publication: Publication = None,
    older_than: Annotated[str, typer.Option(help="Only what was retired longer ago than this: 12h, 30d.")] = "0",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Delete what is in the trash, for good."""
    with door(as_json=as_json, verbose=verbose):
        from zsync.config import seconds
        from zsync.verbs.trash import empty_trash

        older_than_s = seconds(older_than)
        if not yes:
            if not sys.stdin.isatty():
                raise ConfigError("deleting for good needs a yes", "--yes", "give it, or run this in a terminal")
            typer.confirm("Delete for good?", abort=True, err=True)
        storage = storage_options(endpoint_url, region, profile)
        found = empty_trash(url, publication=publication, older_than_s=older_than_s, **storage)
        _show_trash(found, as_json=as_json, said="deleted")


def _show_trash(found: list[Discarded], *, as_json: bool, said: str = "", keys: bool = False) -> None:
    from zsync.report.format import human_bytes

    if as_json:
        say(json.dumps([item.to_dict() for item in found], indent=1))
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
