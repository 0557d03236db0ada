"""`zsync log`: what was published, what changed between two publications, and which are no longer wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app, confirmed
from zsync.cli.options import OlderThan, Where, Yes
from zsync.cli.output import say
from zsync.cli.reaching import Reach, reaching
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from zsync.publication import Pruned

_Between = Annotated[
    str | None,
    typer.Argument(
        help="Two publications, A..B, A.. or ..B, or one, A, against the one before: an id, the beginning of one, head,"
        " head~2, or a time like 2026-11-20.",
        metavar="A..B",
    ),
]
_Number = Annotated[
    int | None, typer.Option("--number", "-n", help="Only so many publications, the newest.", metavar="N")
]
_Prune = Annotated[bool, typer.Option("--prune", help="Delete old publications from the record; the data stays.")]
_Keep = Annotated[int | None, typer.Option(help="With --prune: so many stay, the newest.", metavar="N")]
_Trash = Annotated[bool, typer.Option("--trash", help="With --prune: what only they needed of the trash goes too.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="With --prune: show what would go, delete nothing.")]


@reaching(
    app,
    "log",
    "zsync log s3://bucket/products/oco3",
    "zsync log s3://bucket/products/oco3 head~1..          # what the last publication changed",
    "zsync log s3://bucket/products/oco3 --prune --keep 50 --dry-run",
)
def log(
    reach: Reach,
    url: Where,
    between: _Between = None,
    number: _Number = None,
    prune: _Prune = False,
    keep: _Keep = None,
    older_than: OlderThan = None,
    trash: _Trash = False,
    dry_run: _DryRun = False,
    yes: Yes = False,
) -> None:
    """List publications, newest last; show what changed between two of them; or prune them."""
    given = {"--keep": keep is not None, "--older-than": older_than is not None, "--trash": trash,
             "--dry-run": dry_run, "--yes": yes}  # fmt: skip
    if not prune and any(given.values()):
        raise ConfigError("this goes with --prune", ", ".join(name for name, is_given in given.items() if is_given))
    ways = {"A..B": between is not None, "--number": number is not None, "--prune": prune}
    if sum(ways.values()) > 1:
        raise ConfigError("only one of these at a time", ", ".join(name for name, is_given in ways.items() if is_given))
    if prune:
        _prune(reach, url, keep=keep, older_than=older_than, trash=trash, dry_run=dry_run, yes=yes)
    elif between is not None:
        _show_difference(reach, url, between)
    else:
        _show_log(reach, url, number)


def _show_log(reach: Reach, url: str, number: int | None) -> None:
    from zsync.history.show import log_text
    from zsync.verbs.log import log as read

    found = read(url, number=number, **reach.storage)
    if not reach.says_json(found):
        say(log_text(found, found.trash))


def _show_difference(reach: Reach, url: str, between: str) -> None:
    from zsync.history.show import difference_text
    from zsync.verbs.log import log as read

    difference = read(url, between, **reach.storage)
    if not reach.says_one_json(difference):
        say(difference_text(difference.products))


def _prune(
    reach: Reach, url: str, *, keep: int | None, older_than: str | None, trash: bool, dry_run: bool, yes: bool
) -> None:
    from zsync.history.show import pruned_text
    from zsync.verbs.log import prune_log

    def run(*, dry_run: bool) -> list[Pruned]:
        return prune_log(url, keep=keep, older_than=older_than, trash=trash, dry_run=dry_run, **reach.storage)

    if not (dry_run or yes):
        would = run(dry_run=True)
        if any(not item.is_empty for item in would):
            say(pruned_text(would, is_dry=True), err=True)
            confirmed("Delete this for good?")
    done = run(dry_run=dry_run)
    if not reach.says_json(done):
        say(pruned_text(done, is_dry=dry_run))
