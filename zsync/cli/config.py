"""`zsync config`: make, show and check configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zsync.cli.base import app, door, understood_of
from zsync.cli.command import command
from zsync.cli.options import Config, Json, Only, Target, To, Verbose
from zsync.cli.output import say, say_json, say_line
from zsync.cli.publish import one_target
from zsync.errors import ConfigError
from zsync.system import advice_on

config_app = typer.Typer(help="Make, show and check configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")


@command(
    config_app,
    "init",
    "zsync config init                                    # zsync.yaml, for what lies here",
    "zsync config init run.yaml --source /data/oco3 --target s3://bucket/products",
)
def config_init(
    path: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")] = Path("zsync.yaml"),
    source: Annotated[
        Path | None,
        typer.Option(help="Directory to look at; that of the file if left out.", metavar="DIRECTORY"),
    ] = None,
    target: Annotated[str | None, typer.Option(help="URL to publish to.", metavar="URL")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented configuration to begin with, for the Zarr stores and rasters that lie in a directory."""
    with door():
        from zsync.config import Location, proposed, template
        from zsync.config.location import absolute

        directory = absolute(str(source if source is not None else path.parent))
        try:
            products = proposed(directory)
        except OSError as error:
            raise ConfigError(
                f"the directory cannot be read ({error.strerror})", directory, advice_on(error)
            ) from error
        url = Location.parse(target).url if target is not None else None
        example = f"s3://my-bucket/{Path(directory).name}"
        text = template(directory, url or example, products or None)
        _write(path, text, force=force)
        found = ", ".join(f"{name} ({product['kind']})" for name, product in products.items())
        say_line(f"found in {directory}: {found or 'no Zarr stores and no rasters; the file holds an example'}")
        edit = "edit it" if not products else "look it over" if url is not None else "write your bucket into `target`"
        say_line(f"wrote {path}; {edit}, then: zsync config check {path}")


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError("the file is there already", str(path), "name another, or use --force") from error
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", str(path), advice_on(error)) from error


@command(config_app, "show", "zsync config show run.yaml", "LOCAL_ROOT=/data ... zsync config show")
def config_show(config: Config = None, to: To = None, target: Target = None, verbose: Verbose = False) -> None:
    """Show what was understood, as native YAML, with secrets masked."""
    with door(verbose=verbose):
        from zsync.config import to_yaml

        understood = understood_of(config, {"target": one_target(config, to, target)})
        if understood.nothing_to_do is not None:
            say_line(f"# {understood.nothing_to_do}")
        say(to_yaml(understood), nl=False)


@command(
    config_app,
    "check",
    "zsync config check run.yaml",
    "zsync config check run.yaml --iam > policy.json    # nobody is asked",
)
def config_check(
    config: Config = None,
    to: To = None,
    target: Target = None,
    only: Only = None,
    iam: Annotated[
        bool,
        typer.Option("--iam", help="Print a policy of IAM that allows what this configuration needs; try nothing."),
    ] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check a configuration all the way: source, bucket, listing, reading, writing, conditional writing."""
    with door(as_json=as_json, verbose=verbose):
        understood = understood_of(config, {"target": one_target(config, to, target), "only": only})
        if iam:
            from zsync.publication.policy import policy_for

            policy = policy_for(understood)
            if not policy["Statement"]:
                raise ConfigError("nothing of this configuration is in S3", "--iam", "leave it out")
            say(json.dumps(policy, indent=2))
            return
        from zsync.verbs.check import check_config, exit_status

        checks = check_config(understood)
        if as_json:
            say_json([check.to_dict() for check in checks])
        for check in checks if not as_json else []:
            said = f": {check.note}" if check.note else ""
            say_line(f"{check.product}: {check.name}: " + (f"ok{said}" if check.is_fine else f"FAILED: {check.error}"))
        if understood.nothing_to_do is not None and not as_json:
            say_line(understood.nothing_to_do)
        raise typer.Exit(exit_status(checks))
