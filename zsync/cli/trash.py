"""`zsync trash`: what publications retired."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app, confirmed
from zsync.cli.options import OlderThan, Publication, Where, Yes
from zsync.cli.output import say, say_line
from zsync.cli.reaching import Reach, reaching

if TYPE_CHECKING:
    from zsync.verbs.trash import Discarded

trash_app = typer.Typer(help="See, restore and empty what publications retired.", no_args_is_help=True)
app.add_typer(trash_app, name="trash")

_Include = Annotated[
    list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.", metavar="GLOB")
]


@reaching(trash_app, "list", "zsync trash list s3://bucket/products/oco3 --keys")
def trash_list(
    reach: Reach,
    url: Where,
    publication: Publication = None,
    include: _Include = None,
    older_than: OlderThan = None,
    keys: Annotated[bool, typer.Option("--keys", help="Name every key.")] = False,
) -> None:
    """List what publications retired."""
    from zsync.verbs.trash import list_trash

    found = list_trash(url, publication=publication, include=include or (), older_than=older_than, **reach.storage)
    _show(reach, found, keys=keys)


@reaching(
    trash_app,
    "restore",
    "zsync trash restore s3://bucket/products/oco3 --include 'cog/2020*'",
    "zsync trash restore s3://bucket/products/oco3 --to /data/restored",
)
def trash_restore(
    reach: Reach,
    url: Where,
    publication: Publication = None,
    include: _Include = None,
    older_than: OlderThan = None,
    to: Annotated[
        Path | None, typer.Option(help="A directory of this machine, instead of the target.", metavar="DIRECTORY")
    ] = None,
) -> None:
    """Bring objects back, to where they were or into a directory; nothing that is there is overwritten."""
    from zsync.verbs.trash import restore_trash

    done = restore_trash(
        url, publication=publication, include=include or (), older_than=older_than, to=to, **reach.storage
    )
    _show(reach, done, said="restored")


@reaching(trash_app, "empty", "zsync trash empty s3://bucket/products/oco3 --older-than 90d --yes")
def trash_empty(
    reach: Reach,
    url: Where,
    publication: Publication = None,
    include: _Include = None,
    older_than: OlderThan = None,
    yes: Yes = False,
) -> None:
    """Delete what is in the trash, for good."""
    from zsync.verbs.trash import empty_trash

    confirmed("Delete for good?", yes=yes)
    done = empty_trash(url, publication=publication, include=include or (), older_than=older_than, **reach.storage)
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
        line = f"{item.publication}  {item.time}  {count} object{'' if count == '1' else 's'} {said}".rstrip()
        say_line(f"{line}  {human_bytes(item.bytes)}  {item.url}{taken}")
        for key in item.keys if keys else ():
            say_line(f"  {key}")
