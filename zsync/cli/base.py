"""What all commands go through: the app, and the door that turns errors into one line and an exit status."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from zsync.cli.output import OutputError, say, say_line
from zsync.cli.stopping import StoppedError, listen
from zsync.errors import ConfigError, ExitStatus, ZsyncError
from zsync.report.lines import log_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.config import RunConfig

app = typer.Typer(
    name="zsync",
    help="Publish Zarr stores and Cloud-Optimized GeoTIFFs to object storage; no reader ever sees a broken store.",
    epilog="Exit status: 0 done or nothing to do, 1 failed (a warning says what readers see), 2 bad usage or"
    " configuration, 3 source missing or unfit, 4 someone else publishes, 5 verify found differences, 6 published, but"
    " not all that is gone from the source could be retired.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"]},
)


def understood_of(config: str | None, options: dict[str, Any]) -> RunConfig:
    """Return the configuration with the options that were given on top; its notes go to stderr."""
    from zsync.config import RunConfig

    given = {name: value for name, value in options.items() if value is not None and value != []}
    understood = RunConfig.from_any(config, **given)
    if understood.verbose:
        set_level(logging.DEBUG)
    for note in understood.notes:
        logging.getLogger("zsync").warning("note: %s", note)
    return understood


def storage_options(endpoint_url: str | None, region: str | None, profile: str | None) -> dict[str, Any]:
    """Return what was said of the store, as options of the configuration."""
    return {"endpoint_url": endpoint_url, "region": region, "profile": profile}


@contextmanager
def door(*, as_json: bool = False, verbose: bool = False, quiet: bool = False) -> Iterator[None]:
    """Turn every error into one line and its exit status; a traceback only with -v."""
    log_lines()
    listen()
    set_level(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    except (typer.Exit, typer.Abort, SystemExit, OutputError):
        raise
    except BaseException as error:  # noqa: BLE001 - the last line of defence: no traceback without -v
        _tell(error, as_json=as_json, verbose=verbose)


def confirmed(question: str, *, yes: bool = False) -> None:
    """Have a question answered with yes, or end here.

    Raises
    ------
    ConfigError
        Nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("deleting for good needs a yes", "--yes", "give it, or run this in a terminal")
    typer.confirm(question, abort=True, err=True)


def set_level(level: int) -> None:
    """Set what is logged."""
    logging.getLogger("zsync").setLevel(level)


def described(error: BaseException) -> tuple[str, int]:
    """Return what is said of whatever ended a command, in one line, and its exit status."""
    if isinstance(error, ZsyncError):
        return error.said, int(error.exit_status)
    if isinstance(error, StoppedError):
        return str(error), error.status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    if isinstance(error, OutputError):
        return str(error), error.status
    # A panic of a library in Rust is no `Exception`; what it says may hold anything.
    text = f": {' '.join(str(error).split())}" if isinstance(error, Exception) else ""
    return f"internal error: {type(error).__name__}{text}; run with -v and report it", int(ExitStatus.FAILED)


def _tell(error: BaseException, *, as_json: bool, verbose: bool) -> NoReturn:
    said, status = described(error)
    if verbose or logging.getLogger("zsync").isEnabledFor(logging.DEBUG):
        say("".join(traceback.format_exception(error)).rstrip(), err=True)
    say_line(f"zsync: {said}", err=True)
    if as_json:
        document = {"status": "failed", "exit_status": status, "error": {"type": type(error).__name__, "message": said}}
        say(json.dumps(document, indent=1))
    raise typer.Exit(status)
