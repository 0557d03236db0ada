"""The `zsync` command. Only what a command needs is imported, when it runs."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsync.errors import ConfigError, ExitStatus, ZsyncError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zsync.config import RunConfig
    from zsync.verbs.pulled import PullResult
    from zsync.verbs.result import PublishResult
    from zsync.verbs.trash import Discarded

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
config_app = typer.Typer(help="Make, show and check configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")
lease_app = typer.Typer(help="See who publishes, and take a lease away.", no_args_is_help=True)
app.add_typer(lease_app, name="lease")
trash_app = typer.Typer(help="See, restore and empty what publications retired.", no_args_is_help=True)
app.add_typer(trash_app, name="trash")

Config = Annotated[
    str | None,
    typer.Argument(help="Configuration (YAML, JSON, TOML), or a directory to publish; the environment if left out."),
]
Target = Annotated[str | None, typer.Option(help="URL to publish to, in place of the configuration's.")]
Only = Annotated[list[str] | None, typer.Option(help="Publish only this product; may be repeated.")]
Include = Annotated[list[str] | None, typer.Option(help="Publish only keys that match this glob; may be repeated.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Leave out keys that match this glob; may be repeated.")]
Retire = Annotated[str | None, typer.Option(help="What the source no longer has: auto, keep, trash or delete.")]
MaxDelete = Annotated[str | None, typer.Option(help="Refuse to retire more than N objects, or N% of a product.")]
AllowEmpty = Annotated[bool | None, typer.Option("--allow-empty", help="Publish an empty source: retires everything.")]
Trust = Annotated[str | None, typer.Option(help="What tells what the target holds: listing or manifest.")]
Rewrites = Annotated[str | None, typer.Option(help="How old values are replaced: auto or inplace.")]
OnIncompatible = Annotated[
    str | None, typer.Option(help="Arrays that decode differently: auto, refuse, or replace (readers find no store).")
]
Settle = Annotated[str | None, typer.Option(help="Wait until the source was unchanged for so long: 30s, 5m.")]
Grace = Annotated[str | None, typer.Option(help="Retire only what has been gone for so long: 2h, 7d.")]
Where = Annotated[
    str, typer.Argument(help="URL of a product, or of a prefix that holds several; or a configuration.", metavar="URL")
]
Publication = Annotated[str | None, typer.Option(help="Only what this publication retired.")]
Scheduler = Annotated[str | None, typer.Option(help="What runs the transfers: threads or serial.")]
Workers = Annotated[str | None, typer.Option(help="Transfers at a time: auto or a number.")]
Transport = Annotated[str | None, typer.Option(help="What moves the bytes: auto, obstore or fsspec.")]
EndpointUrl = Annotated[str | None, typer.Option(help="URL of an S3 service other than AWS.")]
Region = Annotated[str | None, typer.Option(help="Region of the bucket.")]
Profile = Annotated[str | None, typer.Option(help="Profile in the AWS configuration files.")]
PlanOut = Annotated[Path | None, typer.Option(help="Write the plan's table as Parquet.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log in detail; show tracebacks.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only; no progress.")]


def main() -> None:
    """Run the command."""
    app()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        from zsync import __version__

        typer.echo(f"zsync {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        if "LOCAL_ROOT" in os.environ or "RC_FILE_OVERRIDE" in os.environ:
            publish()  # as the utility does that zsync replaces: everything from the environment
        else:
            typer.echo(context.get_help())


@app.command()
def publish(
    config: Config = None,
    target: Target = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")] = False,
    only: Only = None,
    include: Include = None,
    exclude: Exclude = None,
    retire: Retire = None,
    max_delete: MaxDelete = None,
    allow_empty: AllowEmpty = None,
    settle: Settle = None,
    grace: Grace = None,
    trust: Trust = None,
    rewrites: Rewrites = None,
    on_incompatible: OnIncompatible = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    transport: Transport = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    plan_out: PlanOut = None,
    report: Annotated[Path | None, typer.Option(help="Write a report as HTML.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Publish what changed, consolidated metadata last, and put it on record."""
    _run_publish(**locals())


@app.command()
def plan(
    config: Config = None,
    target: Target = None,
    only: Only = None,
    include: Include = None,
    exclude: Exclude = None,
    retire: Retire = None,
    max_delete: MaxDelete = None,
    allow_empty: AllowEmpty = None,
    grace: Grace = None,
    trust: Trust = None,
    on_incompatible: OnIncompatible = None,
    transport: Transport = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    plan_out: PlanOut = None,
    report: Annotated[Path | None, typer.Option(help="Write a report as HTML.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Show what a publish would do and why, and what it would cost; write nothing."""
    _run_publish(**locals(), dry_run=True)


def _run_publish(
    *,
    config: str | None,
    plan_out: Path | None,
    report: Path | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Publish, or plan: the parameters of the commands are the options of the configuration, by their names."""
    options["dry_run"] = options["dry_run"] or None  # not given is not the same as no
    with _door(as_json=as_json, verbose=verbose, quiet=quiet):
        understood = _understood(config, options)
        from zsync.verbs.publish import publish as run

        result = run(understood, progress=False if quiet else None)
        _write_files(result, plan_out, report)
        _show(result, as_json=as_json)
        if result.status == "planned" and any(finding.level == "error" for finding in result.findings):
            raise typer.Exit(ExitStatus.SOURCE)


def _understood(config: str | None, options: dict[str, Any]) -> RunConfig:
    from zsync.config import RunConfig

    given = {name: value for name, value in options.items() if value is not None and value != []}
    understood = RunConfig.from_any(config, **given)
    if understood.verbose:
        _set_level(logging.DEBUG)
    for note in understood.notes:
        logging.getLogger("zsync").warning("note: %s", note)
    return understood


def _write_files(result: PublishResult, plan_out: Path | None, report: Path | None) -> None:
    try:
        if plan_out is not None and result.plan is not None:
            result.plan.write_parquet(str(plan_out))
        if report is not None:
            from zsync.verbs.show import page

            report.write_text(page(result), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", error.filename or str(plan_out or report)) from error


def _show(result: PublishResult, *, as_json: bool) -> None:
    from zsync.report.text import findings_text
    from zsync.verbs.show import result_text

    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1))
        return
    if result.findings:
        typer.echo(findings_text(result.findings), err=True)
    if result.status == "planned" and result.plan is not None:
        from zsync.planning.show import plan_text

        typer.echo(plan_text(result.plan))
    else:
        typer.echo(result_text(result))


@app.command()
def pull(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG|URL] [DEST] [SUBSET]...",
            help="What to pull: a configuration (config.ini is found by itself) or a URL; a directory to pull it into;"
            " first path elements to take, such as sentinel2, all if left out.",
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Pull only this product; may be repeated.")] = None,
    include: Annotated[list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.")] = None,
    exclude: Exclude = None,
    exclude_downloads: Annotated[
        bool | None, typer.Option("--exclude-downloads", help="Leave out directories called download.")
    ] = None,
    force_overwrite: Annotated[
        bool | None, typer.Option("--force-overwrite", help="Compare what is there, and replace what differs.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Id of a publication, to have it instead of the current one.")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Only a range, as time=2020-01..2020-03; may be repeated.")
    ] = None,
    variables: Annotated[list[str] | None, typer.Option(help="Only this variable, or these: a,b.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be fetched, write nothing.")] = False,
    target: Annotated[str | None, typer.Option(help="URL to pull from, in place of the configuration's.")] = None,
    workers: Workers = None,
    transport: Transport = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Bring what is published to this machine; what is there already is safe."""
    with _door(as_json=as_json, verbose=verbose, quiet=quiet):
        from zsync.verbs.pull import pull as run

        where, dest, subset = _pull_words(list(what or ()))
        options = {
            "target": target, "only": only, "workers": workers, "transport": transport,
            **_storage(endpoint_url, region, profile),
        }  # fmt: skip
        result = run(
            where,
            dest,
            subset=subset,
            include=include or (),
            exclude=exclude or (),
            exclude_downloads=exclude_downloads,
            force_overwrite=force_overwrite,
            at=at,
            select=_ranges(select or []),
            variables=[name for names in variables or [] for name in names.split(",")],
            dry_run=dry_run,
            progress=False if quiet else None,
            **{name: value for name, value in options.items() if value is not None},
        )
        _show_pull(result, as_json=as_json, quiet=quiet)


def _ranges(texts: list[str]) -> dict[str, str]:
    ranges = {name: text for name, _, text in (item.partition("=") for item in texts)}
    if not all(name and text for name, text in ranges.items()):
        raise ConfigError("this is no range", f"--select {' '.join(texts)}", "write it as time=2020-01..2020-03")
    return ranges


def _pull_words(words: list[str]) -> tuple[str | None, str | None, list[str]]:
    """Tell a configuration or URL, a directory and subsets apart.

    The first word is a configuration if it is a URL or a file. A directory comes after that: the next word, or, where
    the configuration names a directory itself (an INI file), a word that looks like a path.
    """
    where = words.pop(0) if words and ("://" in words[0] or Path(words[0]).is_file()) else None
    names_dest = where is None or where.lower().endswith((".ini", ".cfg"))
    if words and (not names_dest or "/" in words[0] or words[0].startswith((".", "~"))):
        return where, words[0], words[1:]
    return where, None, words


def _show_pull(result: PullResult, *, as_json: bool, quiet: bool) -> None:
    from zsync.report.text import findings_text
    from zsync.verbs.show import pull_text

    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1))
        return
    if result.findings:
        typer.echo(findings_text(result.findings), err=True)
    if not quiet:
        prefix = "(dryrun) download" if result.status == "planned" else "download"
        for url, path in result.downloads():
            typer.echo(f"{prefix}: {url} to {path}")
    typer.echo(pull_text(result))


@config_app.command("init")
def config_init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("zsync.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented configuration to begin with."""
    with _door():
        from zsync.config import template

        try:
            with path.open("w" if force else "x", encoding="utf-8") as file:
                file.write(template())
        except FileExistsError as error:
            raise ConfigError("the file is there already", str(path), "name another, or use --force") from error
        except OSError as error:
            raise ConfigError(f"cannot be written ({error.strerror})", str(path)) from error
        typer.echo(f"wrote {path}; edit it, then: zsync config check {path}")


@config_app.command("show")
def config_show(config: Config = None, target: Target = None, verbose: Verbose = False) -> None:
    """Show what was understood, as native YAML, with secrets masked."""
    with _door(verbose=verbose):
        from zsync.config import to_yaml

        understood = _understood(config, {"target": target})
        if understood.nothing_to_do is not None:
            typer.echo(f"# {understood.nothing_to_do}")
        typer.echo(to_yaml(understood), nl=False)


@config_app.command("check")
def config_check(
    config: Config = None,
    target: Target = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check a configuration all the way: source, bucket, listing, reading, writing, conditional writing."""
    with _door(as_json=as_json, verbose=verbose):
        from zsync.verbs.check import check_config, exit_status

        understood = _understood(config, {"target": target})
        checks = check_config(understood)
        if as_json:
            typer.echo(json.dumps([check.to_dict() for check in checks], indent=1))
        for check in checks if not as_json else []:
            said = f": {check.note}" if check.note else ""
            typer.echo(
                f"{check.product}: {check.name}: " + (f"ok{said}" if check.is_fine else f"FAILED: {check.error}")
            )
        if understood.nothing_to_do is not None and not as_json:
            typer.echo(understood.nothing_to_do)
        raise typer.Exit(exit_status(checks))


@lease_app.command("show")
def lease_show(
    url: Where,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show who holds the lease of each product, and until when."""
    _run_leases(url, _storage(endpoint_url, region, profile), breaks=False, as_json=as_json, verbose=verbose)


@lease_app.command("break")
def lease_break(
    url: Where,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Take leases away: for publishers that died elsewhere. One that lives stops before its next stage."""
    _run_leases(url, _storage(endpoint_url, region, profile), breaks=True, as_json=as_json, verbose=verbose)


def _storage(endpoint_url: str | None, region: str | None, profile: str | None) -> dict[str, Any]:
    return {"endpoint_url": endpoint_url, "region": region, "profile": profile}


def _run_leases(url: str, storage: dict[str, Any], *, breaks: bool, as_json: bool, verbose: bool) -> None:
    with _door(as_json=as_json, verbose=verbose):
        from zsync.verbs.lease import leases

        found = leases(url, breaks=breaks, **storage)
        if as_json:
            typer.echo(json.dumps([lease.to_dict() for lease in found], indent=1))
            return
        for lease in found:
            typer.echo(str(lease))


@trash_app.command("list")
def trash_list(
    url: Where,
    publication: Publication = None,
    include: Annotated[list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.")] = None,
    keys: Annotated[bool, typer.Option("--keys", help="Name every key.")] = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List what publications retired."""
    with _door(as_json=as_json, verbose=verbose):
        from zsync.verbs.trash import list_trash

        storage = _storage(endpoint_url, region, profile)
        found = list_trash(url, publication=publication, include=include or (), **storage)
        _show_trash(found, as_json=as_json, keys=keys)


@trash_app.command("restore")
def trash_restore(
    url: Where,
    publication: Publication = None,
    include: Annotated[list[str] | None, typer.Option(help="Only keys that match this glob; may be repeated.")] = None,
    to: Annotated[Path | None, typer.Option(help="A directory of this machine, instead of the target.")] = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Bring objects back, to where they were or into a directory; nothing that is there is overwritten."""
    with _door(as_json=as_json, verbose=verbose):
        from zsync.verbs.trash import restore_trash

        storage = _storage(endpoint_url, region, profile)
        found = restore_trash(url, publication=publication, include=include or (), to=to, **storage)
        _show_trash(found, as_json=as_json, said="restored")


@trash_app.command("empty")
def trash_empty(
    url: Where,
    publication: Publication = None,
    older_than: Annotated[str, typer.Option(help="Only what was retired longer ago than this: 12h, 30d.")] = "0",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Delete what is in the trash, for good."""
    with _door(as_json=as_json, verbose=verbose):
        from zsync.config import seconds
        from zsync.verbs.trash import empty_trash

        older_than_s = seconds(older_than)
        if not yes:
            if not sys.stdin.isatty():
                raise ConfigError("deleting for good needs a yes", "--yes", "give it, or run this in a terminal")
            typer.confirm("Delete for good?", abort=True, err=True)
        storage = _storage(endpoint_url, region, profile)
        found = empty_trash(url, publication=publication, older_than_s=older_than_s, **storage)
        _show_trash(found, as_json=as_json, said="deleted")


def _show_trash(found: list[Discarded], *, as_json: bool, said: str = "", keys: bool = False) -> None:
    from zsync.report.format import human_bytes

    if as_json:
        typer.echo(json.dumps([item.to_dict() for item in found], indent=1))
        return
    if not found:
        typer.echo("the trash is empty" if not said else f"nothing to be {said}")
    for item in found:
        count = f"{item.restored:,} of {len(item.keys):,}" if said == "restored" else f"{len(item.keys):,}"
        taken = f"; {item.skipped:,} are there already" if item.skipped else ""
        line = f"{item.publication}  {item.time}  {count} objects {said}".rstrip()
        typer.echo(f"{line}  {human_bytes(item.bytes)}  {item.url}{taken}")
        for key in item.keys if keys else ():
            typer.echo(f"  {key}")


@app.command("dev-server")
def dev_server(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.")] = 8333,
    directory: Annotated[Path | None, typer.Option(help="Where to keep the data; temporary if left out.")] = None,
    bucket: Annotated[list[str] | None, typer.Option(help="Bucket to make; may be repeated.")] = None,
    verbose: Verbose = False,
) -> None:
    """Run a real S3 server on loopback (SeaweedFS), for trying things out."""
    with _door(verbose=verbose):
        from zsync.devserver import serve

        serve(port=port, directory=directory, buckets=tuple(bucket or ("zsync",)))


@app.command()
def demo(
    directory: Annotated[Path | None, typer.Option(help="Where to put the demo's data; temporary if left out.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data there at the end.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Go on serving the published data until Ctrl-C.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show the whole story on real data: publish, read back, publish again."""
    with _door(verbose=verbose, quiet=not verbose):
        from zsync.demo.story import run

        raise typer.Exit(run(directory=directory, keep=keep, serve=serve))


@contextmanager
def _door(*, as_json: bool = False, verbose: bool = False, quiet: bool = False) -> Iterator[None]:
    """Turn every error into one line and its exit status; a traceback only with -v."""
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, _terminate)
    _set_level(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
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


def _terminate(_signal: int, _frame: object) -> None:
    """Stop as at Ctrl-C: at a safe point, and with the lease given back."""
    raise KeyboardInterrupt


def _set_level(level: int) -> None:
    logging.getLogger("zsync").setLevel(level)


def _tell(error: BaseException, said: str, status: int, *, as_json: bool, verbose: bool) -> None:
    if verbose or logging.getLogger("zsync").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    typer.echo(f"zsync: {said}", err=True)
    if as_json:
        document = {"status": "failed", "exit_status": status, "error": {"type": type(error).__name__, "message": said}}
        typer.echo(json.dumps(document, indent=1))
    raise typer.Exit(status)
