"""`zsync log`: what was published, and what changed between two publications."""

from __future__ import annotations

from typing import Annotated

import typer

from zsync.cli.base import app
from zsync.cli.options import Where
from zsync.cli.output import say
from zsync.cli.reaching import Reach, reaching

_Between = Annotated[
    str | None,
    typer.Argument(
        help="Two publications, A..B, A.. or ..B, or one, A, against the one before: an id, the beginning of one, head,"
        " head~2, or a time like 2026-11-20.",
        metavar="[A..B]",
    ),
]
_Number = Annotated[int | None, typer.Option("--number", "-n", help="Only so many publications, the newest.")]


@reaching(app, "log")
def log(reach: Reach, url: Where, between: _Between = None, number: _Number = None) -> None:
    """List publications, newest last; or show what changed between two of them."""
    from zsync.history.show import difference_text, log_text
    from zsync.verbs.log import log as read

    if between is not None:
        difference = read(url, between, **reach.storage)
        if not reach.says_one_json(difference):
            say(difference_text(difference.products))
        return
    found = read(url, number=number, **reach.storage)
    if not reach.says_json(found):
        say(log_text(found, found.trash))
