"""The `zsync` command. Only what a command needs is imported, when it runs."""

from __future__ import annotations

import atexit
import importlib
import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from zsync.cli import base
from zsync.cli.base import described, failure
from zsync.cli.output import BROKEN_PIPE, OutputError, flush, open_streams, say, say_json, say_line
from zsync.cli.stopping import end_at_last
from zsync.errors import ConfigError, ExitStatus, ZsyncError
from zsync.printable import without_secrets
from zsync.report.lines import hide_tracebacks
from zsync.system import set_libraries

__all__ = ["app", "main"]

# Commands and where they are, in the order in which `zsync --help` shows them.
_PLACES = {
    "publish": "publish", "plan": "publish", "pull": "pull", "verify": "verify", "log": "log", "rollback": "rollback",
    "sync": "team", "reset": "team", "watch": "watch", "config": "config", "lease": "lease", "trash": "trash",
    "dev-server": "server", "demo": "server", "completion": "completion",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Return the app with all its commands; to make them takes as long as a request."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _app_with(None)


def _app_with(command: str | None) -> Any:
    """Return the app with one command, if there is such a one, else with all."""
    for place in dict.fromkeys([_PLACES[command]] if command in _PLACES else _PLACES.values()):
        importlib.import_module(f"zsync.cli.{place}")
    return base.app


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
        app = globals().get("app") or _app_with(sys.argv[1] if len(sys.argv) > 1 else None)
        ended = app(standalone_mode=False)
    except SystemExit as end:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # so typer notes that nobody reads on
            return BROKEN_PIPE
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except typer.Abort:  # somebody was asked, and said no
        say_line("zsync: nothing was done", err=True)
        return int(ExitStatus.FAILED)
    except BaseException as error:  # noqa: BLE001 - nothing passes this door
        return _misused(error) if hasattr(error, "format_message") else _ended(error)
    return ended if isinstance(ended, int) else 0


def _misused(error: Any) -> int:
    """Say what is wrong with the command line, as all that is wrong is said."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message(), err=True)
        return int(ExitStatus.USAGE)
    path = "zsync" if context is None else f"zsync {' '.join(context.command_path.split()[_words_before(context) :])}"
    said = ZsyncError(
        without_secrets(_lowered(error.format_message())), path.strip(), f"see {path.strip()} --help"
    ).said
    say_line(f"zsync: {said}", err=True)
    if "--json" in sys.argv[1:]:
        say_json(failure(ConfigError(said), said, int(ExitStatus.USAGE)))
    return int(ExitStatus.USAGE)


def _words_before(context: Any) -> int:
    """Return how many words name the program itself: `zsync`, or `python -m zsync`."""
    return len(context.find_root().info_name.split())


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _ended(error: BaseException) -> int:
    said, status = described(error)
    if not (isinstance(error, OutputError) and error.is_quiet):
        say_line(f"zsync: {said}", err=True)
    return status


@base.app.callback(invoke_without_command=True)
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
            from zsync.cli.publish import publish

            publish()  # as the utility does that zsync replaces: everything from the environment
        else:
            say(context.get_help())
