"""`zsync rollback`: go back to an earlier publication."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import typer

from zsync.cli.base import app, set_level
from zsync.cli.choices import publications
from zsync.cli.options import Message, OnIncompatible, Quiet, Where
from zsync.cli.publish import show_result
from zsync.cli.reaching import Reach, reaching
from zsync.errors import ExitStatus

_Publication = Annotated[
    str,
    typer.Argument(
        help="The publication: an id of `zsync log`, the beginning of one, head~2, or a time like 2026-11-20.",
        metavar="ID",
        autocompletion=publications,
    ),
]
_Only = Annotated[list[str] | None, typer.Option(help="Only this product of it; may be repeated.", metavar="PRODUCT")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")]


@reaching(
    app,
    "rollback",
    "zsync rollback s3://bucket/products/oco3 head~1 --dry-run",
    'zsync rollback s3://bucket/products/oco3 head~1 --message "the new spectroscopy was wrong"',
)
def rollback(
    reach: Reach,
    url: Where,
    publication_id: _Publication,
    dry_run: _DryRun = False,
    only: _Only = None,
    on_incompatible: OnIncompatible = None,
    message: Message = None,
    quiet: Quiet = False,
) -> None:
    """Make what is published equal to an earlier publication, as a new one; readers are as safe as in a publish."""
    if quiet:
        set_level(logging.WARNING)
    from zsync.verbs.rollback import rollback as run

    options = {"on_incompatible": on_incompatible, "message": message}
    said: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    said |= {"progress": False if quiet else None, **reach.storage}
    result = run(url, publication_id, only=only or (), dry_run=dry_run, **said)
    show_result(result, as_json=reach.as_json, quiet=quiet, names_all=reach.verbose)
    if result.exit_status != ExitStatus.DONE:
        raise typer.Exit(result.exit_status)
