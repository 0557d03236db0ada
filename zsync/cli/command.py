"""What every command has: examples below its help, and options that say how it logs."""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from zsync.cli.choices import LOG_FORMATS, LOG_LEVELS, chosen_from
from zsync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# What commands do, where a line has to be short: in the list of all.
_SHORT = {
    "publish": "Publish what changed.",
    "plan": "Show what a publish would do.",
    "pull": "Bring what is published to this machine.",
    "verify": "Check what is published.",
    "log": "List publications, and what they changed.",
    "rollback": "Go back to an earlier publication.",
    "sync": "Keep a folder in step with a team's.",
    "reset": "Forget what was synced; the data stays.",
    "watch": "Publish what changes, as it happens.",
    "dev-server": "Run an S3 server on loopback.",
    "demo": "Show the whole story on real data.",
    "completion": "Print a shell's script of completions.",
    "init": "Write a configuration for what lies here.",
    "check": "Check it all the way to its targets.",
    "break": "Take the lease of a dead publisher away.",
    "list": "List what publications retired.",
    "restore": "Bring objects back.",
    "empty": "Delete it for good.",
}


@dataclass(frozen=True, slots=True)
class Logging:
    """How a command was asked to log; None where nothing was said.

    Attributes
    ----------
    log_format
        ``text`` or ``json``.
    log_file
        Where to, instead of stderr.
    log_level
        ``debug``, ``info``, ``warning`` or ``error``.
    """

    log_format: str | None = None
    log_file: str | None = None
    log_level: str | None = None

    def given(self) -> dict[str, str]:
        """Return what was said, by the names of the options.

        Raises
        ------
        ConfigError
            It is nothing that can be chosen.
        """
        for name, value, known in (("format", self.log_format, LOG_FORMATS), ("level", self.log_level, LOG_LEVELS)):
            if value is not None and value not in known:
                raise ConfigError(f"{value!r} is no {name} of logs", f"--log-{name}", f"take {', '.join(known)}")
        said = {"log_format": self.log_format, "log_file": self.log_file, "log_level": self.log_level}
        return {name: value for name, value in said.items() if value is not None}


_wanted: ContextVar[Logging] = ContextVar("zsync_logging", default=Logging())  # noqa: B039 - it is frozen


def logging_wanted() -> Logging:
    """Return how the command that runs was asked to log."""
    return _wanted.get()


@contextmanager
def _logging_as(wanted: Logging) -> Iterator[None]:
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def _options(
    log_format: Annotated[str | None, chosen_from(LOG_FORMATS, help="How logs look on stderr or in a file.")] = None,
    log_file: Annotated[
        str | None, typer.Option(help="File to log to, instead of stderr.", metavar="FILE", show_default=False)
    ] = None,
    log_level: Annotated[
        str | None, chosen_from(LOG_LEVELS, help="What is logged; -v and -q are short for debug and warning.")
    ] = None,
) -> None:
    """Declare the options that every command has."""


def command(group: typer.Typer, name: str, *examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function: with the options of logs, and with examples below its help.

    Examples
    --------
    >>> app = typer.Typer()
    >>> @command(app, "show", "zsync show s3://bucket/prefix")
    ... def show(url: str) -> None:
    ...     '''Show it.'''
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, log_format: str | None, log_file: str | None, log_level: str | None, **own: Any) -> None:
            with _logging_as(Logging(log_format, log_file, log_level)):
                function(**own)

        with_options(run, function, _options)
        lines = "\n".join(f"  {example}" for example in examples)
        epilog = f"\b\nExample{'s' * (len(examples) > 1)}:\n{lines}"
        group.command(name, epilog=epilog, short_help=_SHORT.get(name))(run)
        return function

    return decorate


def with_options(
    run: Callable[..., None], function: Callable[..., None], options: Callable[..., None], *, skip: int = 0
) -> None:
    """Give a function the signature, from which the command line is made, of another one and of shared options.

    Parameters
    ----------
    skip
        So many of the first parameters of the function are no options.
    """
    hints = {**_hints(function), **_hints(options)}
    named = [*_parameters(function)[skip:], *_parameters(options)]
    parameters = [item.replace(annotation=hints[item.name], kind=item.KEYWORD_ONLY) for item in named]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}


def _hints(function: Callable[..., None]) -> dict[str, Any]:
    if hasattr(function, "__signature__"):
        return dict(function.__annotations__)
    return get_type_hints(function, include_extras=True)


def _parameters(function: Callable[..., None]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())
