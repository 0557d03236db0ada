"""How the object store is reached, and how a publication is made."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from zsync.config.problems import ExpectedError
from zsync.config.values import (
    COUNT,
    MOST_MESSAGE,
    MOST_TAGS,
    PERCENTAGE,
    CacheStage,
    Credential,
    Duration,
    Endpoint,
    Header,
    LocalPath,
    Meta,
    Patterns,
    Region,
    Scheduler,
    Section,
    TagValue,
    Text,
    seconds,
)

_METADATA_UNCACHED: dict[CacheStage, str] = {"root": "no-cache", "group": "no-cache", "array": "no-cache"}


class Storage(Section):
    """How the object store is reached, and how objects are stored in it.

    What is left open here comes from the environment and the AWS profile, as with every AWS tool.
    """

    endpoint_url: Endpoint | None = Field(
        None, description="URL of an S3 service other than AWS, like https://host:port"
    )
    region: Region | None = Field(None, description="region of the bucket")
    profile: Text | None = Field(None, description="profile in the AWS configuration files")
    access_key_id: Credential | None = Field(None, description="better left to the profile or the environment")
    secret_access_key: Credential | None = Field(None, description="better left to the profile or the environment")
    session_token: Credential | None = Field(None, description="better left to the profile or the environment")
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
        None, description="server-side encryption of what is sent from now on: AES256, aws:kms or aws:kms:dsse"
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
        if len(tags) > MOST_TAGS:
            raise ValueError(f"an object takes at most {MOST_TAGS} tags, not {len(tags)}: leave some out")
        if any(len(name) > 128 or len(value) > 256 for name, value in tags.items()):
            raise ValueError("a tag's name has at most 128 characters, its value 256")
        return tags

    @model_validator(mode="after")
    def _check_together(self) -> Storage:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError(
                "access_key_id and secret_access_key are given together or not at all: give both, or a profile"
            )
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token needs access_key_id and secret_access_key: give them too")
        if self.anonymous and self.access_key_id is not None:
            raise ValueError("anonymous requests take no access_key_id: leave one of them out")
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
    force: bool = Field(
        default=False, description="publish also what a rollback undid, from a source that has not changed since"
    )
    keep_history: bool = Field(
        default=False,
        description="where the bucket keeps no versions: keep in the trash what is replaced too, for snapshots of it",
    )
    workers: Literal["auto"] | int = Field("auto", description="how many transfers at a time; auto, or a number")
    transport: Literal["auto", "obstore", "fsspec"] = Field(
        "auto", description="what moves the bytes: auto, obstore (S3) or fsspec (S3 and other URLs, but not file://)"
    )
    scheduler: Scheduler = Field(
        "auto",
        description="what runs the transfers: auto (threads), threads, serial, processes (one a core), distributed"
        " (dask's active client, or a cluster of this machine's cores), or tcp://host:port of a dask scheduler",
    )
    trust: Literal["listing", "manifest"] = Field(
        "listing", description="what tells what the target holds: listing, or manifest (faster; blind to other writers)"
    )
    include: Patterns = Field(default_factory=list, description="publish only keys that match one of these patterns")
    exclude: Patterns = Field(default_factory=list, description="leave out keys that match one of these patterns")
    follow_symlinks: bool = Field(default=False, description="publish what symbolic links point to")
    foreign: Literal["publish", "skip", "refuse"] = Field(
        "publish", description="files that do not belong to the product's format: publish, skip or refuse"
    )
    outside_grid: Literal["refuse", "skip"] = Field(
        "refuse", description="chunks that a writer left outside their array's shape: refuse, or skip (leave them out)"
    )
    damaged: Literal["refuse", "allow"] = Field(
        "refuse",
        description="a source of which readers could open less than of what is published, or not all: refuse or allow",
    )
    check_cogs: Literal["warn", "refuse", "off"] = Field(
        "warn", description="GeoTIFFs that are not cloud-optimized: warn, refuse, or off"
    )
    rewrites: Literal["auto", "inplace", "flip"] = Field(
        "auto",
        description="how values inside an array's old extent are replaced: flip (all at once, under other chunk keys),"
        " inplace (chunk by chunk), auto (flip where most chunks change or few have to be copied)",
    )
    on_incompatible: Literal["auto", "refuse", "flip", "replace"] = Field(
        "auto",
        description="an array whose old and new chunks decode differently: auto and flip (under other chunk keys, where"
        " the array can; else refused), refuse, or replace (offline first)",
    )
    flip_limit: Annotated[int, Ge(0)] = Field(
        10_000, description="rewrites: auto has at most so many unchanged chunks copied to their other keys"
    )
    consolidate: Literal["auto", "always", "never", "as-is"] = Field(
        "auto",
        description="consolidated metadata that is missing or untrue: auto (made, where JSON can say it), always (made,"
        " or refused), never (none made, untrue one left out), as-is (as the source has it)",
    )
    message: Text | None = Field(None, description="what the record of the publication says of it")
    meta: Meta = Field(
        default_factory=dict, description="what else it says, by name, like {run: 42}; --meta NAME=VALUE adds to it"
    )
    settle: Duration = Field(
        0, description="wait until the source was unchanged for so long: seconds, or 30s, 5m, 2h, 1d"
    )
    grace: Duration | None = Field(
        None,
        description="retire only what has been gone from the source for so long: seconds, or 30s, 5m, 2h, 7d; null: at"
        " once, but chunks that a flip has left after an hour, or when their keys are needed",
    )

    @field_validator("max_delete", mode="before")
    @classmethod
    def _parse_max_delete(cls, value: object) -> object:
        text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        share = PERCENTAGE.fullmatch(text)
        if share and Fraction(share[1]) <= 100:
            return f"{share[1]}%"
        if COUNT.fullmatch(text):
            return int(text)
        raise ExpectedError("a number of objects or a percentage like 25%")

    @field_validator("workers", mode="before")
    @classmethod
    def _parse_workers(cls, value: object) -> object:
        if value == "auto":
            return value
        text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if COUNT.fullmatch(text) and int(text) >= 1:
            return int(text)
        raise ExpectedError("auto or a whole number from 1")

    @field_validator("message")
    @classmethod
    def _check_message(cls, value: str | None) -> str | None:
        if value is not None and len(value) > MOST_MESSAGE:
            raise ValueError(f"a message has at most {MOST_MESSAGE:,} characters")
        return value

    @model_validator(mode="after")
    def _check_history(self) -> Publish:
        if self.keep_history and self.retire == "delete":
            raise ValueError("keep_history does not go with retire delete, which leaves none: take auto or trash")
        return self

    @property
    def settle_s(self) -> float:
        """How long the source must have been unchanged, in seconds."""
        return seconds(self.settle)

    @property
    def grace_s(self) -> float | None:
        """How long an object must have been gone from the source before it is retired, in seconds; None: not said."""
        return None if self.grace is None else seconds(self.grace)

    @property
    def replaces(self) -> bool:
        """Whether arrays that change incompatibly are replaced, offline first."""
        return self.on_incompatible == "replace"


def most_deleted(max_delete: int | str, total: int) -> int:
    """Return how many of so many objects may be retired.

    Parameters
    ----------
    max_delete
        A number, or a share like ``25%``.

    Examples
    --------
    >>> most_deleted("25%", 10)
    2
    >>> most_deleted(7, 10)
    7
    """
    if isinstance(max_delete, int):
        return max_delete
    return int(total * Fraction(max_delete.rstrip("%")) / 100)
