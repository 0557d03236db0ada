"""Options that several commands share: one name and one explanation each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Force = Annotated[bool | None, typer.Option("--force", help="Publish though it undoes a rollback.")]
KeepHistory = Annotated[
    bool | None,
    typer.Option("--keep-history", help="Without versions: keep in the trash what is replaced too, for snapshots."),
]
Damaged = Annotated[
    str | None, typer.Option(help="Stores that lost documents, rasters cut off, dimensions that differ: refuse, allow.")
]
OutsideGrid = Annotated[
    str | None, typer.Option(help="Chunks that a writer left outside their array's shape: refuse, or skip.")
]
Trust = Annotated[str | None, typer.Option(help="What tells what the target holds: listing or manifest.")]
Rewrites = Annotated[str | None, typer.Option(help="How old values are replaced: auto or inplace.")]
OnIncompatible = Annotated[
    str | None, typer.Option(help="Arrays that decode differently: auto, refuse, or replace (readers find no store).")
]
Consolidate = Annotated[
    str | None, typer.Option(help="Consolidated metadata that is missing or untrue: auto, always, never or as-is.")
]
Settle = Annotated[str | None, typer.Option(help="Wait until the source was unchanged for so long: 30s, 5m.")]
Grace = Annotated[str | None, typer.Option(help="Retire only what has been gone for so long: 2h, 7d.")]
Message = Annotated[str | None, typer.Option("--message", "-m", help="What the record says of the publication.")]
Meta = Annotated[
    list[str] | None, typer.Option(help="What else it says: NAME=VALUE; may be repeated.", metavar="NAME=VALUE")
]
Where = Annotated[
    str, typer.Argument(help="URL of a product, or of a prefix that holds several; or a configuration.", metavar="URL")
]
OlderThan = Annotated[str | None, typer.Option(help="Only what is older than this: 12h, 90d.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Publication = Annotated[
    str | None, typer.Option(help="Only what this publication retired: its id, or the beginning of it.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="What runs the transfers: auto, threads, serial, processes, distributed, or tcp://... of a dask scheduler."
    ),
]
Workers = Annotated[str | None, typer.Option(help="Transfers at a time: auto or a number.")]
Transport = Annotated[str | None, typer.Option(help="What moves the bytes: auto, obstore or fsspec.")]
EndpointUrl = Annotated[str | None, typer.Option(help="URL of an S3 service other than AWS.")]
Region = Annotated[str | None, typer.Option(help="Region of the bucket.")]
Anonymous = Annotated[bool | None, typer.Option("--anonymous", help="Send requests unsigned, to read public data.")]
Profile = Annotated[str | None, typer.Option(help="Profile in the AWS configuration files.")]
PlanOut = Annotated[Path | None, typer.Option(help="Write the plan's table as Parquet.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log in detail; show tracebacks.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings and errors only; no progress.")]
