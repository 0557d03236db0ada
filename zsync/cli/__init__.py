"""The `zsync` command. Only what a command needs is imported, when it runs."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Annotated, NoReturn

import typer

# In the order in which `zsync --help` shows them.
from zsync.cli import publish, pull, team, watch, config, lease, trash, server  # noqa: F401  isort: skip
from zsync.cli.base import app

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command, and end the process.

    It ends without the interpreter being taken apart: threads of native libraries that wake up meanwhile abort the
    process, so that a publish which succeeded would have failed to whoever looks at its exit status. It is faster, too.
    """
    status: object = 0
    try:
        app()
    except SystemExit as end:
        status = end.code
    atexit._run_exitfuncs()  # noqa: SLF001 - what would be done at exit is done, only no more
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read the output has gone
        status = status or 1
    os._exit(status if isinstance(status, int) else int(status is not None))


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
