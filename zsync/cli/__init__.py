"""The `zsync` command. Only what a command needs is imported, when it runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

# In the order in which `zsync --help` shows them.
from zsync.cli import publish, pull, team, watch, config, lease, trash, server  # noqa: F401  isort: skip
from zsync.cli.base import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command."""
    app()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        from zsync import __version__

        typer.echo(f"zsync {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        if "LOCAL_ROOT" in os.environ or "RC_FILE_OVERRIDE" in os.environ:
            publish.publish()  # as the utility does that zsync replaces: everything from the environment
        else:
            typer.echo(context.get_help())
