"""Regions of buckets that are not where they were looked for: found out once, and used from then on."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsync.storage.spec import StoreSpec

log = logging.getLogger(__name__)

_AWS = re.compile(r"https://s3[.-]([a-z]{2}(?:-[a-z]+)+-[0-9])\.amazonaws\.com")

_found: dict[tuple[str, str | None], str] = {}


def region_found(spec: StoreSpec) -> str | None:
    """Return the region that the bucket of a spec was found to be in, if it was looked for in another one."""
    return _found.get(_place(spec))


def note_region(spec: StoreSpec, region: str, asked: str) -> None:
    """Remember in which region a bucket is, and say so; once."""
    if _found.get(_place(spec)) != region:
        _found[_place(spec)] = region
        log.warning(
            "the bucket is in region %s, not %s: %s; it is asked there (`region: %s` spares the detour)",
            region, asked, spec.location.url, region,
        )  # fmt: skip


def endpoint_in(endpoint_url: str | None, region: str) -> str | None:
    """Return the endpoint that is asked for a region, where the one that was named is AWS's of another."""
    if endpoint_url is not None and _AWS.fullmatch(endpoint_url):
        return f"https://s3.{region}.amazonaws.com"
    return endpoint_url


def _place(spec: StoreSpec) -> tuple[str, str | None]:
    return spec.location.bucket, spec.endpoint_url
