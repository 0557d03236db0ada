"""What all commands go through: the app, and the door that turns errors into one line and an exit status."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from zsync.cli.command import logging_wanted
from zsync.cli.output import OutputError, say, say_json, say_line
from zsync.cli.stopping import StoppedError, listen
from zsync.errors import ConfigError, ExitStatus, ZsyncError
from zsync.report.lines import log_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from zsync.config import RunConfig
    from zsync.words import Finding

STORAGE = (
    "endpoint_url", "region", "profile", "anonymous", "path_style", "ca_bundle", "requester_pays", "retries",
)  # fmt: skip
_WIDEST = 140  # columns; longer lines are hard to read

app = typer.Typer(
    name="zsync",
    help="Publish Zarr stores and Cloud-Optimized GeoTIFFs to object storage; no reader ever sees a broken store.",
    epilog="Exit status: 0 done or nothing to do, 1 failed (a warning says what readers see), 2 bad usage or"
    " configuration, 3 source missing or unfit, 4 someone else publishes, 5 verify found differences (or plan"
    " --exit-code something to do), 6 published, but not all that is gone from the source could be retired.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDEST},
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


@contextmanager
def door(*, as_json: bool = False, verbose: bool = False, quiet: bool = False) -> Iterator[None]:
    """Turn every error into one line and its exit status; a traceback only with -v."""
    log_lines()
    listen()
    try:
        said = logging_wanted().given()
        set_level(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
        _log_as_wanted(said)
        yield
    except (typer.Exit, typer.Abort, SystemExit, OutputError):
        raise
    except BaseException as error:  # noqa: BLE001 - the last line of defence: no traceback without -v
        tell(error, as_json=as_json, verbose=verbose)


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
    """Set what is logged, unless that was said by name."""
    logging.getLogger("zsync").setLevel((logging_wanted().log_level or logging.getLevelName(level)).upper())


def _log_as_wanted(said: dict[str, str]) -> None:
    """Log where and how it was asked for, if it was."""
    if "log_format" in said or "log_file" in said:
        from zsync.report.logs import log_to

        log_to(
            logging.getLevelName(logging.getLogger("zsync").level).lower(),
            "json" if said.get("log_format") == "json" else "text",
            said.get("log_file"),
        )


def tell_findings(findings: Iterable[Finding]) -> None:
    """Say what was noticed: in a terminal a line each, elsewhere as what is logged."""
    from zsync.printable import printable
    from zsync.report.text import finding_text

    log = logging.getLogger("zsync")
    is_plain = sys.stderr.isatty() and not logging_wanted().given()
    for finding in findings:
        if is_plain:
            say_line(finding_text(finding), err=True)
        else:
            level, _, text = finding_text(finding).partition(": ")
            told = {"code": finding.code, "product": finding.product, "key": finding.key}
            log.log(logging.getLevelNamesMapping()[level.upper()], "%s", printable(text), extra=told)


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


def tell(error: BaseException, *, as_json: bool, verbose: bool) -> NoReturn:
    """Say what ended a command, and end it."""
    said, status = described(error)
    wanted, log = logging_wanted(), logging.getLogger("zsync")
    shows_all = verbose or log.isEnabledFor(logging.DEBUG)
    if wanted.log_file is not None or wanted.log_format == "json":
        # What is no error of ours is told with its cause wherever it is kept.
        log.error("%s", said, extra={"exit_status": status}, exc_info=error if shows_all else None)
    elif shows_all:
        say("".join(traceback.format_exception(error)).rstrip(), err=True)
    if wanted.log_format != "json" or wanted.log_file is not None:
        say_line(f"zsync: {said}", err=True)
    if as_json:
        say_json(failure(error, said, status))
    raise typer.Exit(status)


def failure(error: BaseException, said: str, status: int) -> dict[str, Any]:
    """Return what --json prints of a command that failed."""
    return {"status": "failed", "exit_status": status, "error": {"type": type(error).__name__, "message": said}}
