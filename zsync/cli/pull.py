"""`zsync pull`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app, set_level, tell_findings
from zsync.cli.options import At, Exclude, Include, Only, Quiet, Transport, Workers
from zsync.cli.output import say, say_json, say_line
from zsync.cli.reaching import Reach, reaching
from zsync.errors import ConfigError, ExitStatus

if TYPE_CHECKING:
    from zsync.pulling.pulled import PullResult
_EXAMPLES = 10  # of what would be fetched, that are named without -v


@reaching(
    app,
    "pull",
    "zsync pull s3://bucket/products/oco3_pre_qf.zarr data",
    "zsync pull s3://bucket/products/oco3_pre_qf.zarr data --select time=2020-01..2020-03 --variables xco2",
    "zsync pull s3://open-bucket/maps data --anonymous --include '*/lauder*' --dry-run",
)
def pull(
    reach: Reach,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG|URL] [DEST] [SUBSET]...",
            help="What to pull: a configuration (config.ini is found by itself) or a URL; a directory to pull it into;"
            " first path elements to take, such as sentinel2, all if left out.",
        ),
    ] = None,
    only: Only = None,
    include: Include = None,
    exclude: Exclude = None,
    exclude_downloads: Annotated[
        bool | None, typer.Option("--exclude-downloads", help="Leave out directories called download.")
    ] = None,
    force_overwrite: Annotated[
        bool | None,
        typer.Option(
            "--force-overwrite",
            help="Compare what is there, and replace what differs; what was changed here goes to a trash.",
        ),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(help="Directory that has to be there before anything is pulled.", metavar="DIRECTORY"),
    ] = None,
    at: At = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            help="Only a range of a dimension, as time=2020-01..2020-03; may be repeated.", metavar="NAME=A..B"
        ),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option(help="Only this variable or group, or these: a,b; with their coordinates.", metavar="NAMES"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be fetched, write nothing.")] = False,
    target: Annotated[
        str | None, typer.Option(help="URL to pull from, in place of the configuration's.", metavar="URL")
    ] = None,
    workers: Workers = None,
    transport: Transport = None,
    quiet: Quiet = False,
) -> None:
    """Bring what is published to this machine; what is there already is safe.

    A Zarr store that was not pulled as it is now is left alone whole, and so is a file of the same size. A file of
    another size is replaced, and if it was changed here, or was never pulled, a copy of it goes to a trash
    (`zsync trash list`). --force-overwrite compares all of it, and replaces what differs in the same way.
    """
    if quiet:
        set_level(logging.WARNING)
    from zsync.verbs.pull import pull as run

    where, dest, subset = _pull_words(list(what or ()))
    options = {
        "target": target,
        "root": root,
        "only": only,
        "workers": workers,
        "transport": transport,
        **reach.storage,
    }
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
        variables=[name.strip() for names in variables or [] for name in names.split(",") if name.strip()],
        dry_run=dry_run,
        progress=False if quiet else None,
        **{name: value for name, value in options.items() if value is not None},
    )
    _show_pull(result, as_json=reach.as_json, quiet=quiet, names_all=reach.verbose)
    if result.exit_status != ExitStatus.DONE:
        raise typer.Exit(result.exit_status)


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


def _show_pull(result: PullResult, *, as_json: bool, quiet: bool, names_all: bool) -> None:
    from zsync.pulling.show import pull_text

    if as_json:
        say_json(result.to_dict())
        return
    tell_findings(result.findings)
    if quiet:
        return
    is_planned = result.status == "planned"
    downloads = result.downloads() if names_all or is_planned else []
    for url, path in downloads if names_all else downloads[:_EXAMPLES]:
        say_line(f"{'(dryrun) ' * is_planned}download: {url} to {path}")
    if len(downloads) > _EXAMPLES and not names_all:
        say(f"... and {len(downloads) - _EXAMPLES:,} more; -v names all")
    say(pull_text(result))
