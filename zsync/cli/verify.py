"""`zsync verify`: whether what was published is still there, unchanged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app, set_level, tell_findings
from zsync.cli.choices import publications
from zsync.cli.options import Quiet, Workers
from zsync.cli.output import say, say_json
from zsync.cli.reaching import Reach, reaching
from zsync.errors import ConfigError, ExitStatus

if TYPE_CHECKING:
    from zsync.verifying.verification import Verification

_What = Annotated[
    str | None,
    typer.Argument(
        metavar="URL|CONFIG|DIRECTORY",
        help="URL of a product, or of a prefix that holds several; a configuration (the environment if left out); or a"
        " directory.",
    ),
]
_Source = Annotated[
    str | None, typer.Argument(metavar="SOURCE", help="Where --repair sends from, if not from CONFIG's own source.")
]


@reaching(
    app,
    "verify",
    "zsync verify s3://bucket/products/oco3",
    "zsync verify s3://bucket/products/oco3 --deep --sample 1%",
    "zsync verify run.yaml --repair",
)
def verify(
    reach: Reach,
    what: _What = None,
    source: _Source = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read all bytes, and compare their digests.")] = False,
    sample: Annotated[
        str | None, typer.Option(help="Read only so many objects, or such a share: 500, 1%.", metavar="N|N%")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Choose the same objects as the verification of this seed.", metavar="N")
    ] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="Ask for the headers of all objects, not only of some.")
    ] = False,
    as_reader: Annotated[
        bool,
        typer.Option("--as-reader", help="Open stores, consolidated and not, and rasters; decode some of each array."),
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(
            help="Id of a publication: is all of it still to be had? Not the current one.",
            metavar="ID",
            autocompletion=publications,
        ),
    ] = None,
    zarr_checksum: Annotated[
        bool, typer.Option("--zarr-checksum", help="Print DANDI's digest of each Zarr store.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="Kind of differences that do not matter: extra; may be repeated.", metavar="KIND"),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Send again, from SOURCE or CONFIG, what is wrong; then look again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --repair: show the plan, write nothing.")] = False,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Say whether what was published is still there, unchanged; exit status 5 if it is not.

    One listing tells what is missing, what nobody published and what other tools wrote over; --deep reads the bytes. Of
    what zsync never published, and of a directory, it looks at the structure. What a target lacks of its source is told
    by `zsync plan`.
    """
    if dry_run and not repair:
        raise ConfigError("nothing is written without --repair", "--dry-run", "leave it out, or add --repair")
    if quiet:
        set_level(logging.WARNING)
    from zsync.verbs.verify import verify as run

    options = {"workers": workers, **reach.storage}
    result = run(
        what,
        deep=deep,
        sample=sample,
        seed=seed,
        headers=headers,
        as_reader=as_reader,
        at=at,
        zarr_checksum=zarr_checksum,
        ignore=ignore or (),
        repair=repair,
        source=source,
        dry_run=dry_run,
        progress=False if quiet else None,
        **{name: value for name, value in options.items() if value is not None},
    )
    _show(result, reach, quiet=quiet)
    if result.exit_status != ExitStatus.DONE:
        raise typer.Exit(result.exit_status)


def _show(result: Verification, reach: Reach, *, quiet: bool) -> None:
    from zsync.verifying.show import verification_text

    if reach.as_json:
        say_json(result.to_dict())
        return
    tell_findings(result.findings)
    if not quiet or result.differences:
        say(verification_text(result))
    if result.repair is not None:
        from zsync.planning.show import plan_text
        from zsync.steps.show import result_text

        is_planned = result.repair.status == "planned" and result.repair.plan is not None
        say(plan_text(result.repair.plan) if is_planned and result.repair.plan else result_text(result.repair))
