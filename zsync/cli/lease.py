"""`zsync lease`: who publishes."""

from __future__ import annotations

import json
from typing import Any

import typer

from zsync.cli.base import app, door, storage_options
from zsync.cli.options import EndpointUrl, Json, Profile, Region, Verbose, Where
from zsync.cli.output import say, say_line

lease_app = typer.Typer(help="See who publishes, and take a lease away.", no_args_is_help=True)
app.add_typer(lease_app, name="lease")


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
    _run_leases(url, storage_options(endpoint_url, region, profile), breaks=False, as_json=as_json, verbose=verbose)


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
    _run_leases(url, storage_options(endpoint_url, region, profile), breaks=True, as_json=as_json, verbose=verbose)


def _run_leases(url: str, storage: dict[str, Any], *, breaks: bool, as_json: bool, verbose: bool) -> None:
    with door(as_json=as_json, verbose=verbose):
        from zsync.verbs.lease import leases

        found = leases(url, breaks=breaks, **storage)
        if as_json:
            say(json.dumps([lease.to_dict() for lease in found], indent=1))
            return
        for lease in found:
            say_line(str(lease))
