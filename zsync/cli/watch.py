"""`zsync watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsync.cli.base import app, door
from zsync.cli.choices import EVENTS, FIRST_SOURCE, chosen_from
from zsync.cli.command import command, logging_wanted
from zsync.cli.options import (
    Anonymous,
    CaBundle,
    EndpointUrl,
    PathStyle,
    Profile,
    Quiet,
    Region,
    RequesterPays,
    Retries,
    Target,
    To,
    Verbose,
)
from zsync.cli.publish import one_target

if TYPE_CHECKING:
    from zsync.config.sections import Watch


def _duration(help: str) -> Any:  # noqa: A002 - as typer calls it
    return typer.Option(help=help, metavar="DURATION")


@command(
    app,
    "watch",
    "zsync watch sites.yaml",
    "zsync watch sites.yaml --once --log-format json    # for cron: one pass of every site",
    "zsync watch out s3://bucket/products --settle 1m --listen off",
)
def watch(
    config: Annotated[
        str | None,
        typer.Argument(
            help="Configuration (YAML, JSON, TOML), with one source or many sites; or a directory; zsync.yaml here if"
            " left out.",
            metavar="CONFIG|DIRECTORY",
        ),
    ] = None,
    to: To = None,
    target: Target = None,
    initial_sync_source: Annotated[
        str | None,
        chosen_from(FIRST_SOURCE, help="Side that the first sync takes; auto: the one that was changed last."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One pass of every site, and end: for cron.")] = False,
    interval: Annotated[str | None, _duration("How long at least from one look at the files to the next.")] = None,
    settle: Annotated[str | None, _duration("Take up a file or store once it was unchanged for so long.")] = None,
    marker: Annotated[
        str | None,
        typer.Option(help="Take up a store only when a file of this name in it, or beside it, is new.", metavar="NAME"),
    ] = None,
    events: Annotated[
        str | None, chosen_from(EVENTS, help="What tells of changes: native file events, or poll (NFS, Lustre).")
    ] = None,
    compare: Annotated[str | None, _duration("How often all is compared with what the target really holds.")] = None,
    backoff: Annotated[str | None, _duration("How long at most a site that failed waits for its next attempt.")] = None,
    history: Annotated[int | None, typer.Option(help="How many publications stay on record.", metavar="N")] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            help="Address of /healthz, /info, /metrics and /reload, like 127.0.0.1:8090; or off.", metavar="ADDRESS"
        ),
    ] = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    anonymous: Anonymous = None,
    path_style: PathStyle = None,
    ca_bundle: CaBundle = None,
    requester_pays: RequesterPays = None,
    retries: Retries = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Publish what changes, as it happens, until SIGTERM or Ctrl-C; SIGHUP reads the configuration again."""
    own = dict(locals())
    with door(verbose=verbose, quiet=quiet):
        from zsync.verbs.watch import run_watch

        level = "debug" if verbose else "warning" if quiet else None
        others = {"config", "to", "target", "initial_sync_source", "once", "verbose", "quiet"}
        options = {name: value for name, value in own.items() if name not in others and value is not None}
        result = run_watch(
            config,
            once=once,
            initial_sync_source=initial_sync_source,
            stop=None,
            overrides={
                **options,
                **({"log_level": level} if level else {}),
                **logging_wanted().given(),
                **({"target": said} if (said := one_target(config, to, target)) else {}),
            },
            log_to=_log_to,
        )
        raise typer.Exit(result.exit_status)


def _log_to(watch: Watch) -> None:
    """Log as the configuration says; what other libraries have to say goes where it went."""
    from zsync.report.logs import log_to

    log_to(watch.log_level, watch.log_format, watch.log_file)
