"""What the user asked for: the run configuration and its sections.

The description of a field is the line that explains it in the file of ``zsync config init``.
"""

from __future__ import annotations

import base64
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from zsync.config.location import CONTROL, Location, local_path
from zsync.config.problems import ExpectedError, problems_of, report
from zsync.errors import ConfigError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from zsync.config.resolve import ResolvedProduct

_PERCENTAGE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_COUNT = re.compile(r"[0-9]{1,18}")
_DURATION = re.compile(r"([0-9]{1,9}) ?(ms|[smhd]?)")
_UNITS_S = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
REGEX = "re:"  # begins a pattern that is a regular expression
_MOST_TAGS = 10  # what S3 takes
_NOT_YET = {
    "rewrites": ("flip",),
    "on_incompatible": ("flip",),
    "scheduler": ("processes", "distributed"),
}


def seconds(duration: int | str) -> float:
    """Return a duration in seconds.

    Examples
    --------
    >>> seconds("5m"), seconds(30), seconds("250ms")
    (300, 30, 0.25)

    Raises
    ------
    ConfigError
        It is not a duration.
    """
    match = _DURATION.fullmatch(str(duration).strip())
    if match is None:
        raise ConfigError("not a duration", str(duration), "give seconds, or a duration like 500ms, 30s, 5m, 2h or 7d")
    return int(match[1]) * _UNITS_S[match[2]]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _duration(value: object) -> object:
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _DURATION.fullmatch(text):
        raise ExpectedError("a number of seconds, or a duration like 500ms, 30s, 5m, 2h or 7d")
    return int(text) if text.isdigit() else text.replace(" ", "")


def _count_as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _header(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("a header holds printable ASCII only")
    return value


def _unmasked(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.strip("*"):
        raise ValueError("the secret is empty or masked; give the secret itself, or leave it to the AWS profile")
    return value


def _canonical_url(value: str) -> str:
    try:
        return Location.parse(value).url
    except ConfigError as error:
        problem = str(error)
    raise ValueError(problem)


def _local(value: str) -> str:
    if "\0" in value:
        raise ValueError("a path holds no null character")
    try:
        return local_path(value)
    except ConfigError as error:
        problem = str(error)
    raise ValueError(problem)


def _endpoint(value: str) -> str:
    scheme, _, host = value.partition("://")
    if "@" in host:
        raise ValueError("the URL holds credentials; take them out, use storage.profile or the environment")
    if scheme not in {"http", "https"} or not host or not host.isprintable() or " " in host:
        raise ValueError("must be a URL like https://host:port")
    return value.rstrip("/")


def _webhook(value: SecretStr) -> SecretStr:
    _endpoint(value.get_secret_value())
    return value  # as it is: a slash at its end may matter


def _signing_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if text.startswith("whsec_"):
        key = text.removeprefix("whsec_")
        try:
            base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
        except ValueError:
            raise ValueError("after whsec_ comes a key in base64") from None
    return value


def _below_target(value: str) -> str:
    if "://" in value or value.startswith("file:"):
        return _canonical_url(value)
    path = value.rstrip("/")
    if any(part in {"", ".", ".."} for part in path.split("/")) or CONTROL.search(path):
        raise ValueError("must be a path below the target, like products/cog, or a full URL")
    return path


def _pattern(value: str) -> str:
    if value.startswith(REGEX):
        try:
            re.compile(value.removeprefix(REGEX))
        except re.error as error:
            problem = f"not a regular expression: {error}"
        else:
            return value
        raise ValueError(problem)
    return value


def _product_name(value: str) -> str:
    if "/" in value or CONTROL.search(value):
        raise ValueError("a product's name holds no slash and no control character")
    return value


Text = Annotated[str, StringConstraints(min_length=1)]
Header = Annotated[Text, AfterValidator(_header)]
TagValue = Annotated[str, BeforeValidator(_count_as_text)]
Pattern = Annotated[Text, AfterValidator(_pattern)]
Patterns = Annotated[list[Pattern], BeforeValidator(_listed)]
Secret = Annotated[SecretStr, AfterValidator(_unmasked)]
LocalPath = Annotated[Text, AfterValidator(_local)]
TargetUrl = Annotated[Text, AfterValidator(_canonical_url)]
ProductName = Annotated[Text, AfterValidator(_product_name)]
Duration = Annotated[int | str, BeforeValidator(_duration)]
SecretUrl = Annotated[SecretStr, AfterValidator(_webhook)]
Endpoint = Annotated[Text, AfterValidator(_endpoint)]
CacheStage = Literal["root", "group", "array", "data"]

_METADATA_UNCACHED: dict[CacheStage, str] = {"root": "no-cache", "group": "no-cache", "array": "no-cache"}


class Section(BaseModel):
    """Base of all parts of a configuration: frozen, closed to unknown keys, silent about the values it was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {name: item for name, item in value.items() if item is not None or name not in known}


class Storage(Section):
    """How the object store is reached, and how objects are stored in it.

    What is left open here comes from the environment and the AWS profile, as with every AWS tool.
    """

    endpoint_url: Endpoint | None = Field(
        None, description="URL of an S3 service other than AWS, like https://host:port"
    )
    region: Text | None = Field(None, description="region of the bucket")
    profile: Text | None = Field(None, description="profile in the AWS configuration files")
    access_key_id: Secret | None = Field(None, description="better left to the profile or the environment")
    secret_access_key: Secret | None = Field(None, description="better left to the profile or the environment")
    session_token: Secret | None = Field(None, description="better left to the profile or the environment")
    anonymous: bool = Field(default=False, description="send requests unsigned, to read public data")
    path_style: bool | None = Field(
        None, description="put the bucket in the path of requests, not in the host name; null: only with endpoint_url"
    )
    ca_bundle: LocalPath | None = Field(None, description="file of certificate authorities to trust")
    storage_class: Header | None = Field(None, description="storage class of objects, like STANDARD_IA")
    cache_control: dict[CacheStage, Header] = Field(
        default_factory=_METADATA_UNCACHED.copy,
        description="Cache-Control of objects, by stage: root, group, array, data (group and array follow root)",
    )
    content_type: dict[Text, Header] = Field(
        default_factory=dict,
        description="Content-Type of objects, by pattern of keys, where the usual one is not right",
    )
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        None, description="server-side encryption: AES256, aws:kms or aws:kms:dsse"
    )
    sse_kms_key_id: Header | None = Field(None, description="key for aws:kms and aws:kms:dsse")
    tags: dict[Text, TagValue] = Field(default_factory=dict, description="tags of objects, at most ten")
    requester_pays: bool = Field(default=False, description="pay for requests to a bucket that asks for it")
    retries: Annotated[int, Ge(0)] | None = Field(
        None, description="how often a request that failed is tried again; null: what has proved itself"
    )

    @field_validator("cache_control")
    @classmethod
    def _complete_cache_control(cls, given: dict[CacheStage, str]) -> dict[CacheStage, str]:
        follow = dict.fromkeys(_METADATA_UNCACHED, given["root"]) if "root" in given else _METADATA_UNCACHED
        return {**follow, **given}

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        if len(tags) > _MOST_TAGS:
            raise ValueError(f"an object takes at most {_MOST_TAGS} tags, not {len(tags)}")
        if any(len(name) > 128 or len(value) > 256 for name, value in tags.items()):
            raise ValueError("a tag's name has at most 128 characters, its value 256")
        return tags

    @model_validator(mode="after")
    def _check_together(self) -> Storage:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key are given together or not at all")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        if self.anonymous and self.access_key_id is not None:
            raise ValueError("anonymous requests take no access_key_id")
        if self.sse_kms_key_id is not None and self.sse not in {"aws:kms", "aws:kms:dsse"}:
            raise ValueError("sse_kms_key_id needs sse: aws:kms or aws:kms:dsse")
        return self


class Publish(Section):
    """How a publication is made."""

    retire: Literal["auto", "keep", "trash", "delete"] = Field(
        "auto",
        description="what the source no longer has: keep, trash, delete; auto: delete if versioned, else trash",
    )
    max_delete: int | str = Field(
        "25%", description="refuse to retire more than this many objects of a product, or this share of them"
    )
    allow_empty: bool = Field(default=False, description="publish an empty source, which retires everything")
    workers: Literal["auto"] | int = Field("auto", description="how many transfers at a time; auto, or a number")
    transport: Literal["auto", "obstore", "fsspec"] = Field(
        "auto", description="what moves the bytes: auto, obstore (S3) or fsspec (any URL)"
    )
    scheduler: Literal["threads", "serial"] = Field("threads", description="what runs the transfers: threads or serial")
    trust: Literal["listing", "manifest"] = Field(
        "listing", description="what tells what the target holds: listing, or manifest (faster; blind to other writers)"
    )
    include: Patterns = Field(default_factory=list, description="publish only keys that match one of these patterns")
    exclude: Patterns = Field(default_factory=list, description="leave out keys that match one of these patterns")
    follow_symlinks: bool = Field(default=False, description="publish what symbolic links point to")
    foreign: Literal["publish", "skip", "refuse"] = Field(
        "publish", description="files that do not belong to the product's format: publish, skip or refuse"
    )
    check_cogs: Literal["warn", "refuse", "off"] = Field(
        "warn", description="GeoTIFFs that are not cloud-optimized: warn, refuse, or off"
    )
    rewrites: Literal["auto", "inplace"] = Field(
        "auto", description="how values inside an array's old extent are replaced: auto or inplace"
    )
    on_incompatible: Literal["auto", "refuse", "replace"] = Field(
        "auto",
        description="an array whose old and new chunks decode differently: auto, refuse, or replace (offline first)",
    )
    settle: Duration = Field(
        0, description="wait until the source was unchanged for so long: seconds, or 30s, 5m, 2h, 1d"
    )
    grace: Duration = Field(
        0, description="retire only what has been gone from the source for so long: seconds, or 30s, 5m, 2h, 7d"
    )

    @field_validator("max_delete", mode="before")
    @classmethod
    def _parse_max_delete(cls, value: object) -> object:
        text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        share = _PERCENTAGE.fullmatch(text)
        if share and Fraction(share[1]) <= 100:
            return f"{share[1]}%"
        if _COUNT.fullmatch(text):
            return int(text)
        raise ExpectedError("a number of objects or a percentage like 25%")

    @field_validator("workers", mode="before")
    @classmethod
    def _parse_workers(cls, value: object) -> object:
        if value == "auto":
            return value
        text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if _COUNT.fullmatch(text) and int(text) >= 1:
            return int(text)
        raise ExpectedError("auto or a whole number from 1")

    @field_validator(*_NOT_YET, mode="before")
    @classmethod
    def _refuse_not_yet(cls, value: object, info: ValidationInfo) -> object:
        later = _NOT_YET[str(info.field_name)]
        if isinstance(value, str) and (value in later or value.startswith("tcp://")):
            word = value if value in later else "a scheduler address"
            raise ValueError(f"{word} is not available in this version of zsync")
        return value

    @property
    def settle_s(self) -> float:
        """How long the source must have been unchanged, in seconds."""
        return seconds(self.settle)

    @property
    def grace_s(self) -> float:
        """How long an object must have been gone from the source before it is retired, in seconds."""
        return seconds(self.grace)

    @property
    def replaces(self) -> bool:
        """Whether arrays that change incompatibly are replaced, offline first."""
        return self.on_incompatible == "replace"

    def max_delete_limit(self, total: int) -> int:
        """Return how many of a product's objects may be retired.

        Examples
        --------
        >>> Publish(max_delete="25%").max_delete_limit(10)
        2
        >>> Publish(max_delete=7).max_delete_limit(10)
        7
        """
        if isinstance(self.max_delete, int):
            return self.max_delete
        return int(total * Fraction(self.max_delete.rstrip("%")) / 100)


class Product(Section):
    """One thing that is published."""

    path: LocalPath = Field(description="where it is, below source or absolute")
    kind: Literal["zarr", "cog", "files"] | None = Field(None, description="zarr, cog or files; null: look and see")
    to: Annotated[Text, AfterValidator(_below_target)] | None = Field(
        None, description="where it goes, below target or a full URL; null: the last element of path"
    )
    include: Patterns = Field(default_factory=list, description="patterns for this product, instead of publish.include")
    exclude: Patterns = Field(default_factory=list, description="patterns for this product, besides publish.exclude")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class Pull(Section):
    """How `zsync pull` brings targets to this machine."""

    dest: LocalPath | None = Field(None, description="directory that they are pulled below; null: the source")
    root: LocalPath | None = Field(None, description="directory that has to be there before anything is pulled")
    exclude_downloads: bool = Field(default=False, description="leave out what lies in directories called download")
    force_overwrite: bool = Field(default=False, description="compare what is there, and replace what differs")


class Team(Section):
    """How `zsync sync` keeps a folder in step with those of a team."""

    member: Text | None = Field(None, description="who you are to the others; null: user@host")
    prefer: Literal["ask", "local", "remote", "both"] = Field(
        "ask", description="what wins where both sides changed: ask, local, remote, or both (keeps a copy)"
    )
    ignore: Patterns = Field(default_factory=list, description="patterns of what stays on this machine")


class Watch(Section):
    """How `zsync watch` keeps targets up to date."""

    interval: Duration = Field("1s", description="how long at least from one look at the files to the next")
    settle: Duration = Field("2s", description="take up a file or store once it was unchanged for so long")
    marker: Text | None = Field(
        None, description="take up a store only when a file of this name in it, or beside it as NAME.marker, is new"
    )
    events: Literal["auto", "native", "poll"] = Field(
        "auto", description="what tells of changes: native file events, poll (NFS, Lustre), or auto"
    )
    compare: Duration = Field("1h", description="how often all is compared with what the target really holds")
    backoff: Duration = Field("5m", description="how long at most a site that failed waits for its next attempt")
    initial_sync_source: Literal["local", "s3", "auto"] = Field(
        "local", description="which side the first sync takes: local, s3, or auto (the one that changed last)"
    )
    listen: Text = Field("127.0.0.1:8090", description="address of /healthz, /info, /metrics and /reload, or off")
    history: Annotated[int, Ge(1)] = Field(100, description="how many publications stay on record")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    log_format: Literal["text", "json"] = Field("text", description="how it is logged")
    log_file: LocalPath | None = Field(None, description="file to log to; null: stderr")

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value != "off" and (not host or not port.isdigit() or int(port) > 65535):
            raise ExpectedError("an address like 127.0.0.1:8090, or off")
        return value


class Notification(Section):
    """Who is told of a publication: a URL or a command. That it fails never fails a publish."""

    url: SecretUrl | None = Field(None, description="URL to POST to: a webhook, an SQS queue, or an SNS endpoint")
    format: Literal["json", "sqs", "sns"] = Field("json", description="shape of the message: json, sqs or sns")
    topic: Text | None = Field(None, description="ARN of the topic, for sns")
    secret: Annotated[Secret, AfterValidator(_signing_key)] | None = Field(
        None, description="key of the HMAC-SHA256 signature that a message to a webhook carries: whsec_ and base64"
    )
    command: Annotated[list[Text], BeforeValidator(_listed)] | None = Field(
        None, description="program and arguments to run; the message is on its standard input"
    )
    on: Annotated[list[Literal["published", "pulled", "synced", "failed"]], BeforeValidator(_listed)] = Field(
        default=["published"], description="what to tell of: published, pulled, synced, failed"
    )
    timeout: Duration = Field("10s", description="how long to wait for an answer, or for the command")

    @model_validator(mode="after")
    def _check_way(self) -> Notification:
        if (self.url is None) == (self.command is None):
            raise ValueError("a notification has either url or command")
        if (self.format == "sns") != (self.topic is not None):
            raise ValueError("topic goes with format: sns, and sns needs it")
        if self.command is not None and self.format != "json":
            raise ValueError("format goes with url")
        if self.secret is not None and (self.url is None or self.format != "json"):
            raise ValueError("secret goes with a url and format: json")
        return self


class Site(Section):
    """One of many directories that are watched; what it leaves out comes from what is above `sites`."""

    source: LocalPath = Field(description="directory to publish")
    target: TargetUrl = Field(description="URL that it becomes")
    kind: Literal["zarr", "cog", "files"] | None = Field(None, description="zarr, cog or files; null: look and see")
    storage: Storage = Field(default_factory=Storage, description="as above")
    publish: Publish = Field(default_factory=Publish, description="as above")
    watch: Watch = Field(default_factory=Watch, description="as above; not what concerns the service as a whole")
    notify: list[Notification] | None = Field(None, description="as above")

    @field_validator("watch")
    @classmethod
    def _check_watch(cls, value: Watch) -> Watch:
        if shared := sorted(value.model_fields_set & {"listen", "log_level", "log_format", "log_file"}):
            raise ValueError(f"{', '.join(shared)} is for the service as a whole, above sites")
        return value


class RunConfig(Section):
    """What to publish, to where, and how.

    Parameters
    ----------
    source
        Directory that the paths of products are relative to; without products it is itself the product.
    target
        URL that the products' `to` are relative to.
    products
        What is published, by name.
    storage
        How the object store is reached, and how objects are stored in it.
    publish
        How a publication is made.
    pull
        How targets are brought back.
    team
        How a folder is kept in step with others.
    watch
        How targets are kept up to date.
    sites
        Many directories that are watched, by name, each with a target of its own.
    notify
        Who is told of publications.
    only
        Names of the products to publish; empty for all of them.
    dry_run
        Plan, and stop there.
    verbose
        Log in detail.
    notes
        What the configuration says that is not needed. Not part of a configuration file.
    nothing_to_do
        Why there is nothing to publish, if so. Not part of a configuration file.

    Raises
    ------
    ConfigError
        All that is wrong with the values, in one line.
    """

    source: LocalPath | None = Field(None, description="directory that holds the products; file:// URLs are fine")
    target: TargetUrl | None = Field(None, description="URL that the products are published below")
    products: dict[ProductName, Product] = Field(default_factory=dict, description="what is published, by name")
    storage: Storage = Field(default_factory=Storage, description="how the object store is reached and used")
    publish: Publish = Field(default_factory=Publish, description="how a publication is made")
    pull: Pull = Field(default_factory=Pull, description="how targets are brought to this machine")
    team: Team = Field(default_factory=Team, description="how `zsync sync` keeps a folder in step with a team's")
    watch: Watch = Field(default_factory=Watch, description="how `zsync watch` keeps targets up to date")
    sites: dict[ProductName, Site] = Field(
        default_factory=dict, description="many directories for `zsync watch`, by name, instead of source and products"
    )
    notify: list[Notification] = Field(default_factory=list, description="who is told of publications")
    only: Patterns = Field(default_factory=list, description="names of the products to publish; empty: all of them")
    dry_run: bool = Field(default=False, description="plan, and stop there")
    verbose: bool = Field(default=False, description="log in detail")
    # Excluded: what reading a configuration comes to, not what one may hold.
    notes: list[str] = Field(default_factory=list, exclude=True)
    nothing_to_do: str | None = Field(None, exclude=True)

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: ModelWrapValidatorHandler[RunConfig], info: ValidationInfo) -> RunConfig:
        try:
            return handler(data)
        except ValidationError as error:
            problems = problems_of(error, cls)
        # Raised here, not above: an exception's context would keep the values.
        raise report(problems, (info.context or {}).get("place", lambda _: None))

    @classmethod
    def from_any(
        cls,
        value: Mapping[str, Any] | str | os.PathLike[str] | RunConfig | None,
        *,
        target: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> RunConfig:
        """Return the configuration that a value describes, in any dialect that zsync reads.

        Parameters
        ----------
        value
            A mapping, the path of a file (YAML, JSON, TOML), a configuration, or None for the environment. Relative
            paths in a file are relative to the file, others to the current directory.
        target
            Replaces the target.
        environ
            The environment; by default that of the process.
        **overrides
            Replace what the value says: any name at the top level, in `publish` or in `storage`. None means not given.

        Raises
        ------
        ConfigError
            All that is wrong with the configuration, in one line.
        """
        from zsync.config.read import read

        return read(value, {**overrides, "target": target}, environ)

    def by_site(self) -> dict[str, RunConfig]:
        """Return a configuration for each site; this one, under its own name, if there are no sites.

        Raises
        ------
        ConfigError
            Sites get in each other's way.
        """
        from zsync.config.sites import by_site

        return by_site(self)

    def resolve(self) -> tuple[ResolvedProduct, ...]:
        """Return what is published, from where and to where: nothing, if there is nothing to do.

        Raises
        ------
        ConfigError
            The source or the target is missing, or places overlap that must not.
        """
        from zsync.config.resolve import resolved

        return resolved(self)
