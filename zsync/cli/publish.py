"""`zsync publish` and `zsync plan`."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsync.cli.base import app, described, door, tell, tell_findings, understood_of
from zsync.cli.command import command
from zsync.cli.options import (
    AllowEmpty,
    Anonymous,
    CaBundle,
    CacheControl,
    CheckCogs,
    Config,
    Consolidate,
    ContentType,
    Damaged,
    EndpointUrl,
    Exclude,
    FlipLimit,
    FollowSymlinks,
    Force,
    Foreign,
    Grace,
    Include,
    Json,
    KeepHistory,
    MaxDelete,
    Message,
    Meta,
    OnIncompatible,
    Only,
    OutsideGrid,
    PathStyle,
    PlanOut,
    Profile,
    Quiet,
    Region,
    Report,
    RequesterPays,
    Retire,
    Retries,
    Rewrites,
    Scheduler,
    Settle,
    Sse,
    SseKmsKeyId,
    StorageClass,
    Tags,
    Target,
    To,
    Transport,
    Trust,
    Verbose,
    Workers,
)
from zsync.cli.output import say, say_json, say_line
from zsync.errors import ConfigError, ExitStatus
from zsync.printable import without_secrets
from zsync.system import advice_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zsync.config import ResolvedProduct, RunConfig
    from zsync.planning import Plan
    from zsync.steps.result import PublishResult

_URL = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@command(
    app,
    "publish",
    "zsync publish                                  # what zsync.yaml here says",
    "zsync publish out.zarr s3://bucket/products    # one directory, no file",
    "zsync publish run.yaml --only cog --dry-run    # one product; show the plan, write nothing",
)
def publish(
    config: Config = None,
    to: To = None,
    target: Target = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")] = False,
    only: Only = None,
    include: Include = None,
    exclude: Exclude = None,
    retire: Retire = None,
    max_delete: MaxDelete = None,
    allow_empty: AllowEmpty = None,
    force: Force = None,
    keep_history: KeepHistory = None,
    damaged: Damaged = None,
    outside_grid: OutsideGrid = None,
    foreign: Foreign = None,
    follow_symlinks: FollowSymlinks = None,
    check_cogs: CheckCogs = None,
    settle: Settle = None,
    grace: Grace = None,
    message: Message = None,
    meta: Meta = None,
    trust: Trust = None,
    rewrites: Rewrites = None,
    flip_limit: FlipLimit = None,
    on_incompatible: OnIncompatible = None,
    consolidate: Consolidate = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    transport: Transport = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    anonymous: Anonymous = None,
    path_style: PathStyle = None,
    ca_bundle: CaBundle = None,
    requester_pays: RequesterPays = None,
    retries: Retries = None,
    storage_class: StorageClass = None,
    cache_control: CacheControl = None,
    content_type: ContentType = None,
    sse: Sse = None,
    sse_kms_key_id: SseKmsKeyId = None,
    tags: Tags = None,
    plan_out: PlanOut = None,
    report: Report = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Publish what changed, consolidated metadata last, and put it on record."""
    _run_publish(**locals())


@command(
    app,
    "plan",
    "zsync plan run.yaml",
    "zsync plan out.zarr s3://bucket/products --exit-code -q    # only the exit status: 5 if it differs",
)
def plan(
    config: Config = None,
    to: To = None,
    target: Target = None,
    only: Only = None,
    include: Include = None,
    exclude: Exclude = None,
    retire: Retire = None,
    max_delete: MaxDelete = None,
    allow_empty: AllowEmpty = None,
    force: Force = None,
    keep_history: KeepHistory = None,
    damaged: Damaged = None,
    outside_grid: OutsideGrid = None,
    foreign: Foreign = None,
    follow_symlinks: FollowSymlinks = None,
    check_cogs: CheckCogs = None,
    grace: Grace = None,
    trust: Trust = None,
    rewrites: Rewrites = None,
    flip_limit: FlipLimit = None,
    on_incompatible: OnIncompatible = None,
    consolidate: Consolidate = None,
    transport: Transport = None,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
    anonymous: Anonymous = None,
    path_style: PathStyle = None,
    ca_bundle: CaBundle = None,
    requester_pays: RequesterPays = None,
    retries: Retries = None,
    storage_class: StorageClass = None,
    cache_control: CacheControl = None,
    content_type: ContentType = None,
    sse: Sse = None,
    sse_kms_key_id: SseKmsKeyId = None,
    tags: Tags = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit status 5 if a publish would change anything.")
    ] = False,
    plan_out: PlanOut = None,
    report: Report = None,
    as_json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Show what the target lacks: what a publish would do and why, and what it would cost; write nothing."""
    _run_publish(**locals(), dry_run=True)


def _run_publish(
    *,
    config: str | None,
    to: str | None,
    plan_out: Path | None,
    report: Path | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    exit_code: bool = False,
    **options: Any,
) -> None:
    """Publish, or plan: the parameters of the commands are the options of the configuration, by their names."""
    options["dry_run"] = options["dry_run"] or None  # not given is not the same as no
    with door(as_json=as_json, verbose=verbose, quiet=quiet):
        options["target"] = one_target(config, to, options["target"])
        for name in _PAIRS:
            options[name] = _pairs(options.get(name) or (), name)
        for path in filter(None, (report, plan_out)):
            _try_out(path)
        with _reporting(report, config) as reports:
            understood = understood_of(config, options)
            reports.config = understood
            from zsync.verbs.publish import publish as run

            reports.result = result = run(understood, progress=False if quiet else None)
            if plan_out is not None:
                reports.plan = result.plan or run(understood, dry_run=True, progress=False).plan
        unwritten = reports.write(plan_out)
        show_result(result, as_json=as_json, quiet=quiet, names_all=understood.verbose or verbose)
        if unwritten is not None:
            tell(unwritten, as_json=False, verbose=verbose)  # one document is printed already
        if result.exit_status != ExitStatus.DONE:
            raise typer.Exit(result.exit_status)
        if exit_code and result.would_change:
            raise typer.Exit(ExitStatus.DIFFERENT)


_PAIRS = ("meta", "tags", "cache_control", "content_type")
_PAIR = {
    "meta": "run=42",
    "tags": "project=oco3",
    "cache_control": "data=max-age=86400",
    "content_type": "'*.csv=text/csv'",
}


def one_target(config: str | None, to: str | None, target: str | None) -> str | None:
    """Return the target, of two ways to say it."""
    if config is not None and to is None and target is None and _URL.match(config):
        raise ConfigError(
            "a URL is where something is published to",
            without_secrets(config),
            "name what to publish before it: zsync publish DIR URL",
        )
    if None not in (to, target) and to != target:
        raise ConfigError(
            "two targets are given", without_secrets(f"{to} and --target {target}"), "leave one of them out"
        )
    return to or target


def _pairs(said: Sequence[str], option: str = "meta") -> dict[str, str] | None:
    """Return what was said as NAME=VALUE, by name; None if nothing was."""
    for pair in said:
        if not pair.partition("=")[0] or "=" not in pair:
            name = option.replace("_", "-")
            raise ConfigError("this is no NAME=VALUE", f"--{name} {pair}", f"write --{name} {_PAIR[option]}")
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in said} or None


@contextmanager
def _reporting(path: Path | None, config: str | None) -> Iterator[_Reports]:
    """Write the report that was asked for of a run that fails."""
    reports = _Reports(path, config, time.time())
    try:
        yield reports
    except BaseException as error:
        with suppress(ConfigError):  # what went wrong first is what is told
            reports.write_page(described(error))
        raise


@dataclass(slots=True)
class _Reports:
    """What is written of a run, as far as it came."""

    path: Path | None
    given: str | None
    began_s: float
    config: RunConfig | None = None
    result: PublishResult | None = None
    plan: Plan | None = None

    def write(self, plan_out: Path | None) -> ConfigError | None:
        """Write what was asked for, and return what kept it from being written: the run itself is done."""
        try:
            self.write_page(None)
            if plan_out is not None and self.plan is not None:
                with _written(plan_out):
                    self.plan.write_parquet(str(plan_out))
        except ConfigError as error:
            return error
        return None

    def write_page(self, failed: tuple[str, int] | None) -> None:
        """Write the report, if one was asked for."""
        if self.path is None:
            return
        from zsync.steps.page import Circumstances, page

        products: tuple[ResolvedProduct, ...] = ()
        with suppress(ConfigError):  # it is what failed
            products = () if self.config is None else self.config.resolve()
        file = self.given if self.config is None else self.config.origin.file or self.given
        text = page(Circumstances.now(file, products, self.began_s), self.result, failed)
        with _written(self.path):
            self.path.write_text(text, encoding="utf-8")


def _try_out(path: Path) -> None:
    """See whether a file can be written, before anything is published; nothing is left of it."""
    with _written(path):
        is_there = path.exists()
        path.open("ab").close()
        if not is_there:
            path.unlink()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", str(path), advice_on(error)) from error


def show_result(result: PublishResult, *, as_json: bool, quiet: bool = False, names_all: bool = False) -> None:
    """Show what came of a publish; of a plan every object too, if that was asked for: a publish has logged it."""
    from zsync.steps.show import object_lines, result_text

    if as_json:
        say_json(result.to_dict())
        return
    tell_findings(result.findings)
    if quiet:
        return
    if result.status == "planned" and result.plan is not None:
        from zsync.planning.show import plan_text

        for line in object_lines(result.plan) if names_all else ():
            say_line(line)
        say(plan_text(result.plan))
    else:
        say(result_text(result))
