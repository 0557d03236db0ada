"""`zsync dev-server` and `zsync demo`: try things out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsync.cli.base import app, door
from zsync.cli.command import command
from zsync.cli.options import Verbose


@command(app, "dev-server", "zsync dev-server --bucket products")
def dev_server(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", metavar="PORT")] = 8333,
    directory: Annotated[
        Path | None, typer.Option(help="Where to keep the data; temporary if left out.", metavar="DIRECTORY")
    ] = None,
    bucket: Annotated[list[str] | None, typer.Option(help="Bucket to make; may be repeated.", metavar="NAME")] = None,
    verbose: Verbose = False,
) -> None:
    """Run a real S3 server on loopback (SeaweedFS), for trying things out."""
    with door(verbose=verbose):
        from zsync.devserver import serve

        serve(port=port, directory=directory, buckets=tuple(bucket or ("zsync",)))


@command(app, "demo", "zsync demo --serve")
def demo(
    directory: Annotated[
        Path | None, typer.Option(help="Where to put the demo's data; temporary if left out.", metavar="DIRECTORY")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data there at the end.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Go on serving the published data until Ctrl-C.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show the whole story on real data: publish, read back, publish again."""
    with door(verbose=verbose, quiet=not verbose):
        from zsync.demo.story import run

        raise typer.Exit(run(directory=directory, keep=keep, serve=serve))
