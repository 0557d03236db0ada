"""Commands about what is published: the options that tell how it is reached, and the door, told once for all."""

from __future__ import annotations

import functools
import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from zsync.cli.base import door, storage_options
from zsync.cli.options import EndpointUrl, Json, Profile, Region, Verbose
from zsync.cli.output import say

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
    """

    storage: dict[str, Any]
    as_json: bool

    def says_json(self, items: Iterable[Jsonable]) -> bool:
        """Print values as JSON, if that was asked for; return whether it was."""
        return self._says_json([item.to_dict() for item in items] if self.as_json else None)

    def says_one_json(self, item: Jsonable) -> bool:
        """Print one value as JSON, if that was asked for; return whether it was."""
        return self._says_json(item.to_dict() if self.as_json else None)

    def _says_json(self, document: Any) -> bool:
        if self.as_json:
            say(json.dumps(document, indent=1))
        return self.as_json


def _options(
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Declare the options that every such command has."""


def reaching(group: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that takes a `Reach` first: with the options of that, and behind the door.

    Examples
    --------
    >>> app = typer.Typer()
    >>> @reaching(app, "show")
    ... def show(reach: Reach, url: str) -> None:
    ...     '''Show it.'''
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(
            *,
            endpoint_url: str | None,
            region: str | None,
            profile: str | None,
            as_json: bool,
            verbose: bool,
            **own: Any,
        ) -> None:
            with door(as_json=as_json, verbose=verbose):
                command(Reach(storage_options(endpoint_url, region, profile), as_json), **own)

        # The command line is made from the signature: that of the function, but for the first, and the common options.
        hints = {**get_type_hints(command, include_extras=True), **get_type_hints(_options, include_extras=True)}
        named = [
            *list(inspect.signature(command).parameters.values())[1:],
            *inspect.signature(_options).parameters.values(),
        ]
        parameters = [item.replace(annotation=hints[item.name], kind=item.KEYWORD_ONLY) for item in named]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        return group.command(name)(run)

    return decorate
