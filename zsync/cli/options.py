"""Options that several commands share: one name and one explanation each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zsync.cli import choices
from zsync.cli.choices import chosen_from

Config = Annotated[
    str | None,
    typer.Argument(
        help="Configuration (YAML, JSON, TOML), or a directory to publish; zsync.yaml here, or the environment, if left"
        " out.",
        metavar="CONFIG|DIRECTORY",
    ),
]
To = Annotated[str | None, typer.Argument(help="URL to publish to, as with --target.", metavar="TARGET")]
Target = Annotated[str | None, typer.Option(help="URL to publish to, in place of the configuration's.", metavar="URL")]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="Publish only this product; may be repeated.", metavar="PRODUCT", autocompletion=choices.products
    ),
]
Include = Annotated[
    list[str] | None, typer.Option(help="Publish only keys that match this glob; may be repeated.", metavar="GLOB")
]
Exclude = Annotated[
    list[str] | None, typer.Option(help="Leave out keys that match this glob; may be repeated.", metavar="GLOB")
]
Retire = Annotated[
    str | None,
    chosen_from(
        choices.RETIRE, help="What the source no longer has; auto: delete where versions are kept, else trash."
    ),
]
MaxDelete = Annotated[
    str | None, typer.Option(help="Refuse to retire more than N objects, or N% of a product.", metavar="N|N%")
]
AllowEmpty = Annotated[bool | None, typer.Option("--allow-empty", help="Publish an empty source: retires everything.")]
Force = Annotated[bool | None, typer.Option("--force", help="Publish though it undoes a rollback.")]
KeepHistory = Annotated[
    bool | None,
    typer.Option("--keep-history", help="Without versions: keep in the trash what is replaced too, for snapshots."),
]
Damaged = Annotated[
    str | None,
    chosen_from(choices.DAMAGED, help="Stores that lost documents, rasters cut off, dimensions that differ."),
]
OutsideGrid = Annotated[
    str | None, chosen_from(choices.OUTSIDE_GRID, help="Chunks that a writer left outside their array's shape.")
]
Foreign = Annotated[str | None, chosen_from(choices.FOREIGN, help="Files that do not belong to the product's format.")]
FollowSymlinks = Annotated[bool | None, typer.Option("--follow-symlinks", help="Publish what symbolic links point to.")]
CheckCogs = Annotated[str | None, chosen_from(choices.CHECK_COGS, help="GeoTIFFs that are not cloud-optimized.")]
Trust = Annotated[str | None, chosen_from(choices.TRUST, help="What tells what the target holds.")]
Rewrites = Annotated[
    str | None,
    chosen_from(choices.REWRITES, help="How old values are replaced; flip: all at once, under other chunk keys."),
]
FlipLimit = Annotated[
    int | None, typer.Option(help="Most unchanged chunks that rewrites: auto has copied.", metavar="N", min=0)
]
OnIncompatible = Annotated[
    str | None,
    chosen_from(
        choices.ON_INCOMPATIBLE, help="Arrays that decode differently; replace: readers find no store meanwhile."
    ),
]
Consolidate = Annotated[
    str | None, chosen_from(choices.CONSOLIDATE, help="Consolidated metadata that is missing or untrue.")
]
Settle = Annotated[
    str | None,
    typer.Option(help="Wait until the source was unchanged for so long: 30s, 5m.", metavar="DURATION"),
]
Grace = Annotated[
    str | None, typer.Option(help="Retire only what has been gone for so long: 2h, 7d.", metavar="DURATION")
]
Message = Annotated[
    str | None, typer.Option("--message", "-m", help="What the record says of the publication.", metavar="TEXT")
]
Meta = Annotated[
    list[str] | None, typer.Option(help="What else it says: NAME=VALUE; may be repeated.", metavar="NAME=VALUE")
]
Where = Annotated[
    str, typer.Argument(help="URL of a product, or of a prefix that holds several; or a configuration.", metavar="URL")
]
OlderThan = Annotated[str | None, typer.Option(help="Only what is older than this: 12h, 90d.", metavar="DURATION")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Publication = Annotated[
    str | None,
    typer.Option(
        help="Only what this publication retired: its id, or the beginning of it.",
        metavar="ID",
        autocompletion=choices.publications,
    ),
]
Scheduler = Annotated[
    str | None,
    chosen_from(choices.SCHEDULERS, help="What runs the transfers; tcp://... is a dask scheduler.", more="tcp://..."),
]
Workers = Annotated[str | None, typer.Option(help="Transfers at a time.", metavar="auto|N")]
Transport = Annotated[str | None, chosen_from(choices.TRANSPORT, help="What moves the bytes.")]
EndpointUrl = Annotated[str | None, typer.Option(help="URL of an S3 service other than AWS.", metavar="URL")]
Region = Annotated[str | None, typer.Option(help="Region of the bucket.", metavar="REGION")]
Anonymous = Annotated[bool | None, typer.Option("--anonymous", help="Send requests unsigned, to read public data.")]
Profile = Annotated[
    str | None,
    typer.Option(help="Profile in the AWS configuration files.", metavar="PROFILE", autocompletion=choices.profiles),
]
PathStyle = Annotated[
    bool | None,
    typer.Option(
        "--path-style/--no-path-style",
        help="Put the bucket in the path of requests, not in the host name; left out: only with --endpoint-url.",
    ),
]
CaBundle = Annotated[str | None, typer.Option(help="File of certificate authorities to trust.", metavar="FILE")]
RequesterPays = Annotated[
    bool | None, typer.Option("--requester-pays", help="Pay for requests to a bucket that asks for it.")
]
Retries = Annotated[int | None, typer.Option(help="How often a request that failed is tried again.", metavar="N")]
StorageClass = Annotated[str | None, typer.Option(help="Storage class of objects, like STANDARD_IA.", metavar="CLASS")]
CacheControl = Annotated[
    list[str] | None,
    typer.Option(
        help="Cache-Control of objects of a stage (root, group, array, data): data=max-age=86400; may be repeated.",
        metavar="STAGE=VALUE",
    ),
]
ContentType = Annotated[
    list[str] | None,
    typer.Option(
        help="Content-Type of keys that match a glob: *.json=text/plain; may be repeated.", metavar="GLOB=TYPE"
    ),
]
Sse = Annotated[str | None, chosen_from(choices.SSE, help="Server-side encryption.")]
SseKmsKeyId = Annotated[str | None, typer.Option(help="Key for aws:kms and aws:kms:dsse.", metavar="KEY")]
Tags = Annotated[
    list[str] | None, typer.Option(help="Tag of objects: NAME=VALUE; may be repeated.", metavar="NAME=VALUE")
]
At = Annotated[
    str | None,
    typer.Option(
        help="A publication, instead of the current one: an id, head~2, 2026-11-20.",
        metavar="ID",
        autocompletion=choices.publications,
    ),
]
PlanOut = Annotated[Path | None, typer.Option(help="Write the plan's table as Parquet.", metavar="FILE")]
Report = Annotated[
    Path | None, typer.Option(help="Write a report as one page of HTML, also of a run that fails.", metavar="FILE")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Log in detail, with tracebacks; publish, plan, pull and rollback name every object."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors; no progress.")]
