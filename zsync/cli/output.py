"""What is said, and to whom: standard streams that may be closed, full, or read by nobody."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Any

import typer

from zsync.printable import printable
from zsync.system import why

FORMAT = 1  # of what --json prints: docs/json.md
BROKEN_PIPE = 128 + 13  # as whoever is ended by SIGPIPE


class OutputError(Exception):
    """Nothing can be written to stdout any more."""

    @property
    def status(self) -> int:
        """The exit status."""
        return BROKEN_PIPE if self._cause.errno == errno.EPIPE else 1

    def __str__(self) -> str:
        return f"the output cannot be written ({why(self._cause)})"

    @property
    def is_quiet(self) -> bool:
        """Whoever read the output has seen enough, as `head` does; there is nothing to say."""
        return self._cause.errno == errno.EPIPE

    @property
    def _cause(self) -> OSError:
        cause: OSError = self.args[0]
        return cause


def open_streams() -> None:
    """Open the standard streams that are closed, as cron and daemons leave them: on nothing.

    Else the first files that are opened would have their numbers, and get what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        mode = "w" if number else "r"
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_WRONLY if number else os.O_RDONLY)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for as long as the process lives
    # A terminal whose encoding lacks a letter is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say_line(text: str, *, err: bool = False) -> None:
    """Print one line, whatever the names in it hold."""
    say(printable(text), err=err)


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print lines; control characters in them are escaped.

    Raises
    ------
    OutputError
        Nothing can be written to stdout. What goes to stderr may be lost.
    """
    try:
        typer.echo(printable(text, lines=True), err=err, nl=nl)
    except OSError as error:
        if not err:
            raise OutputError(error) from error


def say_json(document: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Print one JSON document: an object that tells its format, or a list of such."""
    told = (
        {"format": FORMAT, **document}
        if isinstance(document, dict)
        else [{"format": FORMAT, **item} for item in document]
    )
    say(json.dumps(told, indent=1))


def flush() -> None:
    """Write what is left.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(error) from error
    try:
        sys.stderr.flush()
    except OSError:  # whoever read it has gone
        return
