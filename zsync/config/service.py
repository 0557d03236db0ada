"""The dialect of the service for many sites: YAML with a list of `sites`, and settings for all of them above."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge
from pydantic import BeforeValidator, Field

from zsync.config.dialect import Reading
from zsync.config.location import anchored
from zsync.config.problems import checked
from zsync.config.values import REGEX, Duration, Patterns, Section, Text

_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "error": "error", "fatal": "error",
           "panic": "error"}  # fmt: skip


def _in_milliseconds(value: object) -> object:
    """Return a duration; a bare number is in milliseconds, which a native one is not."""
    is_bare = isinstance(value, int | str) and not isinstance(value, bool) and str(value).strip().isdigit()
    return f"{str(value).strip()}ms" if is_bare else value


Interval = Annotated[Duration, BeforeValidator(_in_milliseconds)]
Count = Annotated[int, Ge(0)]


class _Site(Section):
    local_path: Text
    bucket: Text
    name: Text | None = None
    endpoint: Text | None = None
    bucket_path: str = ""
    bucket_region: Text | None = None
    retire_deleted: bool = False
    storage_class: Text = "STANDARD"
    access_key: Text | None = None
    secret_access_key: Text | None = None
    watch_interval: Interval | None = None
    exclusions: Patterns = Field(default_factory=list)
    inclusions: Patterns = Field(default_factory=list)
    s3_ops_retries: Count | None = None


class _Service(Section):
    sites: list[_Site]
    access_key: Text | None = None
    secret_access_key: Text | None = None
    aws_region: Text | None = None
    loglevel: Literal["trace", "debug", "info", "warn", "error", "fatal", "panic"] = "info"
    upload_queue_buffer: Count | None = None
    upload_workers: Annotated[int, Ge(1)] = 10
    checksum_workers: Count | None = None
    watch_interval: Interval = "1000ms"
    s3_ops_retries: Count | None = None


def recognise(doc: dict[str, Any]) -> bool:
    """Return whether a document is in this dialect; native sites are a mapping."""
    return isinstance(doc.get("sites"), list)


def read(doc: dict[str, Any], base: str, place: str | None) -> Reading:
    """Return the native document: a site each, with what is said for all of them above.

    Raises
    ------
    ConfigError
        Something is missing, unknown or of the wrong type.
    """
    said = checked(_Service, doc, place)
    storage = {
        "access_key_id": said.access_key,
        "secret_access_key": said.secret_access_key,
        "region": said.aws_region,
        "retries": said.s3_ops_retries,
    }
    names = _names(said.sites)
    found: dict[str, Any] = {
        "storage": _given(storage),
        "publish": {"workers": said.upload_workers},
        "watch": {"interval": said.watch_interval, "log_level": _LEVELS[said.loglevel]},
        "sites": {name: _site(site, base) for name, site in zip(names, said.sites, strict=True)},
    }
    unneeded = [name for name in ("upload_queue_buffer", "checksum_workers") if getattr(said, name) is not None]
    return Reading(found, notes=tuple(f"{name} is not needed: zsync sizes this by itself" for name in unneeded))


def _site(site: _Site, base: str) -> dict[str, Any]:
    storage = {
        "access_key_id": site.access_key,
        "secret_access_key": site.secret_access_key,
        "region": site.bucket_region,
        "endpoint_url": site.endpoint and (site.endpoint if "://" in site.endpoint else f"https://{site.endpoint}"),
        "storage_class": site.storage_class,
        "retries": site.s3_ops_retries,
    }
    publish: dict[str, Any] = {
        "exclude": [f"{REGEX}{pattern}" for pattern in site.exclusions],
        "include": [f"{REGEX}{pattern}" for pattern in site.inclusions],
        # What was asked for is a mirror, of any size; nothing is lost by it, for what is retired goes to the trash.
        **({"retire": "auto", "max_delete": "100%"} if site.retire_deleted else {"retire": "keep"}),
    }
    return {
        "source": anchored(site.local_path, base),
        "target": f"s3://{site.bucket.strip('/')}/{site.bucket_path.strip('/')}",
        "storage": _given(storage),
        "publish": publish,
        "watch": _given({"interval": site.watch_interval}),
    }


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _names(sites: list[_Site]) -> list[str]:
    """Return what sites are called: by their name, else by the last element of their path, each once."""
    names: list[str] = []
    for site in sites:
        wanted = (site.name or site.local_path.rstrip("/").rpartition("/")[2] or site.bucket).replace("/", "-")
        taken = [name for name in names if name == wanted or name.startswith(f"{wanted}-")]
        names.append(f"{wanted}-{len(taken) + 1}" if taken and not site.name else wanted)
    return names
