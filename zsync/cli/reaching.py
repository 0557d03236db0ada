"""Commands about what is published: the options that tell how it is reached, and the door, told once for all."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from zsync.cli.base import STORAGE, door
from zsync.cli.command import command, with_options
from zsync.cli.options import (
    Anonymous,
    CaBundle,
    EndpointUrl,
    Json,
    PathStyle,
    Profile,
    Region,
    RequesterPays,
    Retries,
    Verbose,
)
from zsync.cli.output import say_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from zsync.report.result import Jsonable


@dataclass(frozen=True, slots=True)
class Reach:
    """What was said of how something is reached, and of how it is shown.

    Attributes
    ----------
    storage
        Options of the configuration.
    as_json
        One JSON document is to be printed.
    verbose
        All is to be named.
    """

    storage: dict[str, Any]
    as_json: bool
    verbose: bool

    def says_json(self, items: Iterable[Jsonable]) -> bool:
        """Print values as JSON, if that was asked for; return whether it was."""
        return self._says_json([item.to_dict() for item in items] if self.as_json else None)

    def says_one_json(self, item: Jsonable) -> bool:
        """Print one value as JSON, if that was asked for; return whether it was."""
        return self._says_json(item.to_dict() if self.as_json else None)

    def _says_json(self, document: Any) -> bool:
        if self.as_json:
            say_json(document)
        return self.as_json


def _options(
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    anonymous: Anonymous = None,
    path_style: PathStyle = None,
    ca_bundle: CaBundle = None,
    requester_pays: RequesterPays = None,
    retries: Retries = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Declare the options that every such command has."""


def reaching(group: typer.Typer, name: str, *examples: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that takes a `Reach` first: with the options of that, and behind the door.

    Examples
    --------
    >>> app = typer.Typer()
    >>> @reaching(app, "show", "zsync show s3://bucket/prefix")
    ... def show(reach: Reach, url: str) -> None:
    ...     '''Show it.'''
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, as_json: bool, verbose: bool, **own: Any) -> None:
            storage = {option: own.pop(option) for option in STORAGE}
            with door(as_json=as_json, verbose=verbose):
                function(Reach(storage, as_json, verbose), **own)

        with_options(run, function, _options, skip=1)
        command(group, name, *examples)(run)
        return function

    return decorate
