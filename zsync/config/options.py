"""The options that calls take by their names, as types: an editor completes them, and mypy and pyright know them.

What may be said is wider than what a `RunConfig` holds: a path for its text, a mapping for a section, a number for its
text. None means not given. That every option is here, and none besides, is a test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from zsync.config.publishing import Publish, Storage
    from zsync.config.sections import Notification, Product, Pull, Site, Team, Watch

LocalPath = str | os.PathLike[str]
Patterns = str | Sequence[str]
Duration = int | str
Kind = Literal["zarr", "cog", "files"]


class StorageOptions(TypedDict, total=False):
    """Options of `storage`: how the object store is reached, and how objects are stored in it.

    Examples
    --------
    >>> storage: StorageOptions = {"endpoint_url": "http://127.0.0.1:9000", "region": "us-east-1"}
    >>> zsync.log("s3://bucket/products/oco3", **storage)  # doctest: +SKIP
    """

    endpoint_url: str | None
    region: str | None
    profile: str | None
    access_key_id: Any  # text or a `pydantic.SecretStr`
    secret_access_key: Any
    session_token: Any
    anonymous: bool | None
    path_style: bool | None
    ca_bundle: LocalPath | None
    storage_class: str | None
    cache_control: Mapping[str, str] | None
    content_type: Mapping[str, str] | None
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None
    sse_kms_key_id: str | None
    tags: Mapping[str, str | int | float] | None
    requester_pays: bool | None
    retries: int | None


class _Patterns(TypedDict, total=False):
    include: Patterns | None
    exclude: Patterns | None


class _Publishing(TypedDict, total=False):
    retire: Literal["auto", "keep", "trash", "delete"] | None
    max_delete: int | str | None
    allow_empty: bool | None
    force: bool | None
    keep_history: bool | None
    workers: int | Literal["auto"] | None
    transport: Literal["auto", "obstore", "fsspec"] | None
    scheduler: str | None
    trust: Literal["listing", "manifest"] | None
    follow_symlinks: bool | None
    foreign: Literal["publish", "skip", "refuse"] | None
    outside_grid: Literal["refuse", "skip"] | None
    damaged: Literal["refuse", "allow"] | None
    check_cogs: Literal["warn", "refuse", "off"] | None
    rewrites: Literal["auto", "inplace", "flip"] | None
    on_incompatible: Literal["auto", "refuse", "flip", "replace"] | None
    flip_limit: int | None
    consolidate: Literal["auto", "always", "never", "as-is"] | None
    message: str | None
    meta: Mapping[str, str | int | float] | None
    settle: Duration | None
    grace: Duration | None


class PublishOptions(_Publishing, _Patterns, total=False):
    """Options of `publish`: how a publication is made."""


class ProductOptions(TypedDict, total=False):
    """One of `products`."""

    path: LocalPath
    kind: Kind | None
    to: str | None
    include: Patterns
    exclude: Patterns


class _Pulling(TypedDict, total=False):
    root: LocalPath | None


class PullOptions(_Pulling, total=False):
    """Options of `pull`."""

    dest: LocalPath | None
    exclude_downloads: bool
    force_overwrite: bool


class _Teaming(TypedDict, total=False):
    member: str | None
    ignore: Patterns


class TeamOptions(_Teaming, total=False):
    """Options of `team`."""

    prefer: Literal["ask", "local", "remote", "both"]


class _Watching(TypedDict, total=False):
    interval: Duration
    marker: str | None
    events: Literal["auto", "native", "poll"]
    compare: Duration
    backoff: Duration
    listen: str
    history: int
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["text", "json"]
    log_file: LocalPath | None


class WatchOptions(_Watching, total=False):
    """Options of `watch`."""

    settle: Duration
    initial_sync_source: Literal["local", "s3", "auto"]


class NotificationOptions(TypedDict, total=False):
    """One of `notify`."""

    url: Any  # text or a `pydantic.SecretStr`
    format: Literal["json", "sqs", "sns"]
    topic: str | None
    secret: Any
    command: str | Sequence[str] | None
    inherit: str | Sequence[str]
    on: str | Sequence[str]
    timeout: Duration


class SiteOptions(TypedDict, total=False):
    """One of `sites`."""

    source: LocalPath
    target: LocalPath
    kind: Kind | None
    storage: StorageOptions | Storage
    publish: PublishOptions | Publish
    watch: WatchOptions | Watch
    notify: Sequence[NotificationOptions | Notification] | None


class _Source(TypedDict, total=False):
    source: LocalPath | None


class _Only(TypedDict, total=False):
    only: Patterns | None


class _Sections(TypedDict, total=False):
    products: Mapping[str, LocalPath | ProductOptions | Product] | None
    storage: StorageOptions | Storage | None
    publish: PublishOptions | Publish | None
    pull: PullOptions | Pull | None
    team: TeamOptions | Team | None
    watch: WatchOptions | Watch | None
    sites: Mapping[str, SiteOptions | Site] | None
    notify: Sequence[NotificationOptions | Notification] | None
    verbose: bool | None


class Document(_Sections, _Source, _Only, total=False):
    """All that a configuration may hold: what `RunConfig` takes."""

    target: LocalPath | None
    dry_run: bool | None


class CallOptions(_Sections, StorageOptions, _Publishing, total=False):
    """Options as every call takes them: whole sections, and those of `publish` and `storage` by their names."""


class PullCallOptions(CallOptions, _Source, _Only, _Pulling, total=False):
    """Those of a pull, which has patterns of its own, and those of `pull` that are no parameters of the call."""


class VerifyCallOptions(CallOptions, _Patterns, _Only, total=False):
    """Those of a verification, which has a source of its own."""


class RollbackCallOptions(CallOptions, _Source, _Patterns, total=False):
    """Those of a rollback, which says itself what it is of."""


class Options(CallOptions, _Source, _Patterns, _Only, total=False):
    """Options of the configuration as calls take them: whole sections, and those of `publish` and `storage` by name.

    Examples
    --------
    >>> options: Options = {"retire": "keep", "region": "us-east-1"}
    >>> zsync.publish("zsync.yaml", **options)  # doctest: +SKIP
    """


class SyncCallOptions(Options, _Teaming, total=False):
    """Those of a synchronization: also what is under `team`, by its name."""


class WatchCallOptions(Options, _Watching, total=False):
    """Those of watching: also what is under `watch`, by its name; `settle` is that of `watch`."""
