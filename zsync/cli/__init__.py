"""The `zsync` command. Only what a command needs is imported, when it runs."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Annotated, NoReturn

import typer

# In the order in which `zsync --help` shows them.
from zsync.cli import publish, pull, verify, log, rollback, team, watch, config, lease, trash, server  # noqa: F401  isort: skip
from zsync.cli.base import app, described
from zsync.cli.output import BROKEN_PIPE, OutputError, flush, open_streams, say, say_line
from zsync.cli.stopping import end_at_last
from zsync.report.lines import hide_tracebacks
from zsync.system import set_libraries

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command, and end the process.

    It ends without the interpreter being taken apart: threads of native libraries that wake up meanwhile abort the
    process, so that a publish which succeeded would have failed to whoever looks at its exit status. It is faster, too.
    """
    set_libraries()
    open_streams()
    hide_tracebacks()
    end_at_last()
    status = _run()
    atexit._run_exitfuncs()  # noqa: SLF001 - what would be done at exit is done, only no more
    try:
        flush()
    except OutputError as error:
        status = status or _ended(error)
    os._exit(status)


def _run() -> int:
    try:
        app()
    except SystemExit as end:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # so typer notes that nobody reads on
            return BROKEN_PIPE
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - nothing passes this door
        return _ended(error)
    return 0


def _ended(error: BaseException) -> int:
    said, status = described(error)
    if not (isinstance(error, OutputError) and error.is_quiet):
        say_line(f"zsync: {said}", err=True)
    return status


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        from zsync.version import __version__

        say(f"zsync {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        if "LOCAL_ROOT" in os.environ or "RC_FILE_OVERRIDE" in os.environ:
            publish.publish()  # as the utility does that zsync replaces: everything from the environment
        else:
            say(context.get_help())
