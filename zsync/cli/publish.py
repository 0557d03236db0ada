"""`zsync publish` and `zsync plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zsync.cli.base import app, door, understood_of
from zsync.cli.options import (
    AllowEmpty,
    Config,
    Consolidate,
    Damaged,
    EndpointUrl,
    Exclude,
    Force,
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
    PlanOut,
    Profile,
    Quiet,
    Region,
    Retire,
    Rewrites,
    Scheduler,
    Settle,
    Target,
    Transport,
    Trust,
    Verbose,
    Workers,
)
from zsync.cli.output import say
from zsync.errors import ConfigError, ExitStatus
from zsync.system import advice_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.steps.result import PublishResult


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
    force: Force = None,
    keep_history: KeepHistory = None,
    damaged: Damaged = None,
    outside_grid: OutsideGrid = None,
    settle: Settle = None,
    grace: Grace = None,
    message: Message = None,
    meta: Meta = None,
    trust: Trust = None,
    rewrites: Rewrites = None,
    on_incompatible: OnIncompatible = None,
    consolidate: Consolidate = None,
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
    force: Force = None,
    keep_history: KeepHistory = None,
    damaged: Damaged = None,
    outside_grid: OutsideGrid = None,
    grace: Grace = None,
    trust: Trust = None,
    on_incompatible: OnIncompatible = None,
    consolidate: Consolidate = None,
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
    """Show what the target lacks: what a publish would do and why, and what it would cost; write nothing."""
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
    with door(as_json=as_json, verbose=verbose, quiet=quiet):
        options["meta"] = _pairs(options.get("meta") or ())
        understood = understood_of(config, options)
        from zsync.verbs.publish import publish as run

        result = run(understood, progress=False if quiet else None)
        _write_files(result, plan_out, report)
        show_result(result, as_json=as_json)
        if result.exit_status != ExitStatus.DONE:
            raise typer.Exit(result.exit_status)


def _pairs(said: Sequence[str]) -> dict[str, str] | None:
    """Return what was said as NAME=VALUE, by name; None if nothing was."""
    for pair in said:
        if not pair.partition("=")[0] or "=" not in pair:
            raise ConfigError("this is no NAME=VALUE", f"--meta {pair}", "write --meta run=42")
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in said} or None


def _write_files(result: PublishResult, plan_out: Path | None, report: Path | None) -> None:
    try:
        if plan_out is not None and result.plan is not None:
            result.plan.write_parquet(str(plan_out))
        if report is not None:
            from zsync.steps.show import page

            report.write_text(page(result), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot be written ({error.strerror})", error.filename or str(plan_out or report), advice_on(error)
        ) from error


def show_result(result: PublishResult, *, as_json: bool) -> None:
    """Show what came of a publish."""
    from zsync.report.text import findings_text
    from zsync.steps.show import result_text

    if as_json:
        say(json.dumps(result.to_dict(), indent=1))
        return
    if result.findings:
        say(findings_text(result.findings), err=True)
    if result.status == "planned" and result.plan is not None:
        from zsync.planning.show import plan_text

        say(plan_text(result.plan))
    else:
        say(result_text(result))
