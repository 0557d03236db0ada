"""`zsync lease`: who publishes."""

from __future__ import annotations

import typer

from zsync.cli.base import app
from zsync.cli.options import Where
from zsync.cli.output import say_line
from zsync.cli.reaching import Reach, reaching

lease_app = typer.Typer(help="See who publishes, and take a lease away.", no_args_is_help=True)
app.add_typer(lease_app, name="lease")


@reaching(lease_app, "show", "zsync lease show s3://bucket/products/oco3")
def lease_show(reach: Reach, url: Where) -> None:
    """Show who holds the lease of each product, and until when."""
    _run(reach, url, breaks=False)


@reaching(lease_app, "break", "zsync lease break s3://bucket/products/oco3")
def lease_break(reach: Reach, url: Where) -> None:
    """Take leases away: for publishers that died elsewhere. One that lives stops before its next stage."""
    _run(reach, url, breaks=True)


def _run(reach: Reach, url: str, *, breaks: bool) -> None:
    from zsync.verbs.lease import leases

    found = leases(url, breaks=breaks, **reach.storage)
    if not reach.says_json(found):
        for lease in found:
            say_line(str(lease))
