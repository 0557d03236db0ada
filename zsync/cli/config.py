"""`zsync config`: make, show and check configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zsync.cli.base import app, door, understood_of
from zsync.cli.options import Config, Json, Target, Verbose
from zsync.cli.output import say, say_line
from zsync.errors import ConfigError
from zsync.system import advice_on

config_app = typer.Typer(help="Make, show and check configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")


@config_app.command("init")
def config_init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("zsync.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented configuration to begin with."""
    with door():
        from zsync.config import template

        try:
            with path.open("w" if force else "x", encoding="utf-8") as file:
                file.write(template())
        except FileExistsError as error:
            raise ConfigError("the file is there already", str(path), "name another, or use --force") from error
        except OSError as error:
            raise ConfigError(f"cannot be written ({error.strerror})", str(path), advice_on(error)) from error
        say_line(f"wrote {path}; edit it, then: zsync config check {path}")


@config_app.command("show")
def config_show(config: Config = None, target: Target = None, verbose: Verbose = False) -> None:
    """Show what was understood, as native YAML, with secrets masked."""
    with door(verbose=verbose):
        from zsync.config import to_yaml

        understood = understood_of(config, {"target": target})
        if understood.nothing_to_do is not None:
            say_line(f"# {understood.nothing_to_do}")
        say(to_yaml(understood), nl=False)


@config_app.command("check")
def config_check(
    config: Config = None,
    target: Target = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check a configuration all the way: source, bucket, listing, reading, writing, conditional writing."""
    with door(as_json=as_json, verbose=verbose):
        from zsync.verbs.check import check_config, exit_status

        understood = understood_of(config, {"target": target})
        checks = check_config(understood)
        if as_json:
            say(json.dumps([check.to_dict() for check in checks], indent=1))
        for check in checks if not as_json else []:
            said = f": {check.note}" if check.note else ""
            say_line(f"{check.product}: {check.name}: " + (f"ok{said}" if check.is_fine else f"FAILED: {check.error}"))
        if understood.nothing_to_do is not None and not as_json:
            say_line(understood.nothing_to_do)
        raise typer.Exit(exit_status(checks))
