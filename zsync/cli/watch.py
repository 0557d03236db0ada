"""`zsync watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsync.cli.base import app, door, storage_options
from zsync.cli.options import EndpointUrl, Profile, Quiet, Region, Verbose

if TYPE_CHECKING:
    from zsync.config.sections import Watch


@app.command()
def watch(
    config: Annotated[
        str, typer.Argument(help="Configuration (YAML, JSON, TOML), with one source or many sites; or a directory.")
    ],
    target: Annotated[str | None, typer.Option(help="URL to publish to, in place of the configuration's.")] = None,
    initial_sync_source: Annotated[
        str | None,
        typer.Option(help="Side that the first sync takes: local, s3, or auto (the one that was changed last)."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One pass of every site, and end: for cron.")] = False,
    listen: Annotated[
        str | None, typer.Option(help="Address of /healthz, /info, /metrics and /reload, like 127.0.0.1:8090; or off.")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="How it is logged: text or json.")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="What is logged: debug, info, warning or error; -v and -q are short for two.")
    ] = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Publish what changes, as it happens, until SIGTERM or Ctrl-C; SIGHUP reads the configuration again."""
    with door(verbose=verbose, quiet=quiet):
        from zsync.verbs.watch import run_watch

        level = log_level or ("debug" if verbose else "warning" if quiet else None)
        said = {"listen": listen, "log_format": log_format, "log_level": level}
        watching = {name: value for name, value in said.items() if value is not None}
        options: dict[str, Any] = {
            "target": target,
            **storage_options(endpoint_url, region, profile),
            **({"watch": watching} if watching else {}),
        }
        result = run_watch(
            config,
            once=once,
            initial_sync_source=initial_sync_source,
            stop=None,
            overrides={name: value for name, value in options.items() if value is not None},
            log_to=_log_to,
        )
        raise typer.Exit(result.exit_status)


def _log_to(watch: Watch) -> None:
    """Log as the configuration says; what other libraries have to say goes where it went."""
    from zsync.report.logs import log_to

    log_to(watch.log_level, watch.log_format, watch.log_file)
