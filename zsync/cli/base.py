"""What all commands go through: the app, and the door that turns errors into one line and an exit status."""

from __future__ import annotations

import json
import logging
import signal
import sys
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from zsync.errors import ExitStatus, ZsyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.config import RunConfig

app = typer.Typer(
    name="zsync",
    help="Publish Zarr stores and Cloud-Optimized GeoTIFFs to object storage; no reader ever sees a broken store.",
    epilog="Exit status: 0 done or nothing to do, 1 failed (readers see what they saw before), 2 bad usage or"
    " configuration, 3 source missing or unfit, 4 someone else publishes, 5 verify found differences.",
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
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    set_level(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    except ZsyncError as error:
        _tell(error, str(error), int(error.exit_status), as_json=as_json, verbose=verbose)
    except KeyboardInterrupt as error:
        _tell(
            error,
            "interrupted",
            int(ExitStatus.FAILED),
            as_json=as_json,
            verbose=verbose,
        )
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback without -v
        said = f"internal error: {type(error).__name__}: {' '.join(str(error).split())}; run with -v and report it"
        _tell(error, said, int(ExitStatus.FAILED), as_json=as_json, verbose=verbose)
    except BaseException as error:  # a panic of a library in Rust is no `Exception`; what it says may hold anything
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        said = f"internal error: {type(error).__name__}; run with -v and report it"
        _tell(error, said, int(ExitStatus.FAILED), as_json=as_json, verbose=verbose)


def _terminate(_signal: int, _frame: object) -> None:
    """Stop as at Ctrl-C: at a safe point, and with the lease given back."""
    raise KeyboardInterrupt


def set_level(level: int) -> None:
    """Set what is logged."""
    logging.getLogger("zsync").setLevel(level)


def _tell(error: BaseException, said: str, status: int, *, as_json: bool, verbose: bool) -> None:
    if verbose or logging.getLogger("zsync").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    typer.echo(f"zsync: {said}", err=True)
    if as_json:
        document = {"status": "failed", "exit_status": status, "error": {"type": type(error).__name__, "message": said}}
        typer.echo(json.dumps(document, indent=1))
    raise typer.Exit(status)
