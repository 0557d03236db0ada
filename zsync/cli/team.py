"""`zsync sync` and `zsync reset`: folders of a team."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from zsync.cli.base import app, set_level, tell_findings
from zsync.cli.choices import PREFER, chosen_from
from zsync.cli.options import AllowEmpty, Quiet, Transport, Workers
from zsync.cli.output import say, say_json, say_line
from zsync.cli.publish import one_target
from zsync.cli.reaching import Reach, reaching
from zsync.errors import ConfigError
from zsync.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.team.synced import Group, Shown, SyncResult
    from zsync.verbs.reset import Forgotten

TeamConfig = Annotated[
    str | None,
    typer.Argument(
        help="Configuration; s3synchrony.json or zsync.yaml in the working directory if left out.", metavar="CONFIG"
    ),
]
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


@reaching(
    app,
    "sync",
    "zsync sync                          # the folder that s3synchrony.json here names",
    "zsync sync data s3://bucket/team --dry-run",
    "zsync sync team.yaml --yes --prefer both   # for cron: keeps a copy of what lost",
)
def sync(
    reach: Reach,
    config: TeamConfig = None,
    to: Annotated[
        str | None, typer.Argument(help="URL to keep it in step with, as with --target.", metavar="TARGET")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="URL to keep it in step with, in place of the configuration's.", metavar="URL")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take every change that is no conflict, without asking.")] = False,
    prefer: Annotated[
        str | None, chosen_from(PREFER, help="What wins where both sides changed; both: keeps a copy.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what differs, write nothing.")] = False,
    member: Annotated[
        str | None, typer.Option(help="Who you are to the others; user@host if left out.", metavar="NAME")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="Keys that stay on this machine: a glob; may be repeated.", metavar="GLOB")
    ] = None,
    allow_empty: AllowEmpty = None,
    workers: Workers = None,
    transport: Transport = None,
    quiet: Quiet = False,
) -> None:
    """Bring a team's folder and its target to agree: upload, download, ask, and lose nothing."""
    if quiet:
        set_level(logging.WARNING)
    from zsync.verbs.sync import sync as run

    if prefer is not None and prefer not in PREFER:
        raise ConfigError(f"{prefer} is nothing to prefer", "--prefer", f"take one of {', '.join(PREFER)}")
    options = {
        "target": one_target(config, to, target),
        "workers": workers, "transport": transport, "allow_empty": allow_empty, "member": member,
        "ignore": ignore or None, **reach.storage,
    }  # fmt: skip
    result = run(
        config,
        yes=yes,
        prefer=prefer,  # type: ignore[arg-type]
        ask=_ask if sys.stdin.isatty() else None,
        dry_run=dry_run,
        progress=False if quiet else None,
        **{name: value for name, value in options.items() if value is not None},
    )
    _show(result, as_json=reach.as_json, quiet=quiet)


@reaching(app, "reset", "zsync reset team.yaml")
def reset(
    reach: Reach,
    config: TeamConfig = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    trash: Annotated[bool, typer.Option("--trash", help="Remove what the trash holds as well, for good.")] = False,
) -> None:
    """Forget what a team's folder and its target know of each other; the data stays on both sides."""
    from zsync.verbs.reset import reset as run

    confirm = _confirm_reset if sys.stdin.isatty() else None
    done = run(config, yes=yes, confirm=confirm, trash=trash, **reach.storage)
    if reach.says_json(done):
        return
    for item in done:
        say_line(f"forgot {item}")
    if not done:
        say("nothing was removed")


def _confirm_reset(found: Forgotten) -> bool:
    say_line(f"This forgets {found}.", err=True)
    return bool(typer.prompt("Type 'reset' to confirm", default="", show_default=False, err=True) == "reset")


def _show(result: SyncResult, *, as_json: bool, quiet: bool) -> None:
    from zsync.team.show import sync_text

    if as_json:
        say_json(result.to_dict())
        return
    tell_findings(result.findings)
    if not quiet:
        say(sync_text(result))


def _ask(group: Group) -> list[str]:
    """Ask about a group of changes in the terminal."""
    from zsync.planning.merge import Verdict
    from zsync.team.show import group_text

    say(group_text(group), err=True)
    if group.verdict == Verdict.CONFLICT:
        return _ask_each(group.changes)
    while True:
        text = typer.prompt("Which? all, none, or numbers like 1,3-5", default="none", err=True)
        chosen = chosen_numbers(str(text), len(group.changes))
        if chosen is not None:
            return ["take" if number in chosen else "skip" for number in range(1, len(group.changes) + 1)]
        say(f"{text!r} is none of that", err=True)


def _ask_each(changes: Sequence[Shown]) -> list[str]:
    answers = []
    for item in changes:
        options = {option[0]: option for option in item.options} | {option: option for option in item.options}
        said = ", ".join(item.options)
        while True:
            text = (
                str(typer.prompt(f"{printable(item.name)}: which is kept? {said}", default="skip", err=True))
                .strip()
                .lower()
            )
            if text in options:
                answers.append(options[text])
                break
            say(f"{text!r} is none of {said}", err=True)
    return answers


def chosen_numbers(text: str, count: int) -> set[int] | None:
    """Return the numbers that somebody chose out of 1 to `count`; None if the text says no such thing.

    Examples
    --------
    >>> chosen_numbers("1, 3-4", 5), chosen_numbers("all", 2), chosen_numbers("none", 2), chosen_numbers("7", 2)
    ({1, 3, 4}, {1, 2}, set(), None)
    """
    text = text.strip().lower()
    if text in ("a", "all", "y", "yes"):
        return set(range(1, count + 1))
    if text in ("", "n", "none", "no"):
        return set()
    chosen: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= count:
            return None
        chosen |= set(range(first, last + 1))
    return chosen
