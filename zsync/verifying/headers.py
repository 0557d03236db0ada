"""What only a HEAD tells: headers, versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zsync.errors import ObjectNotFoundError, TargetError
from zsync.keys import under
from zsync.storage import described, tags_of
from zsync.tasks import side_by_side
from zsync.verifying.difference import Difference, Wrong, difference
from zsync.verifying.told import is_plain, same_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zsync.storage import Described, Headers
    from zsync.verifying.asking import Found

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    etag: str | None
    version: str | None
    headers: str


def tells_headers(found: Found) -> bool:
    """Return whether the headers of a product can be compared with what is on record."""
    return found.target.place.location.scheme == "s3" and found.recorded is not None and not found.is_past


def check_headers(found: Found, keys: Sequence[str]) -> list[Difference]:
    """Ask for the headers of objects, and compare them with what is on record."""
    rows, place = found.on_record(keys), found.target.place
    wanted = [
        _Row(key, row["etag"], row["version"], row["headers"])
        for key in keys
        if (row := rows.get(key)) is not None and row["headers"] is not None
    ]

    def one(row: _Row) -> Difference | None:
        key = under(place.base, row.key)
        try:
            told = described(place.spec, key)
        except ObjectNotFoundError:
            return None  # it went away since it was listed: somebody is at work
        except TargetError as error:
            return difference(found.name, row.key, Wrong.UNREADABLE, error.message, error.advice)
        return _judged(found, row, told)

    return [item for item in side_by_side(one, wanted, _AT_ONCE) if item is not None]


def _judged(found: Found, row: _Row, told: Described) -> Difference | None:
    if not is_plain(told.encoding):
        message = f"has the Content-Encoding {told.encoding}: ranges of it make no sense to readers"
        return difference(found.name, row.key, Wrong.HEADERS, message)
    headers = told.headers
    if not same_headers(headers, row.headers):
        headers = _with_tags(found, row, headers)
        if not same_headers(headers, row.headers):
            message = f"is stored with other headers than it was published with: {_shown(headers)}"
            return difference(found.name, row.key, Wrong.HEADERS, message)
    if row.version not in (None, "null") and told.version not in (None, row.version) and told.etag == row.etag:
        message = f"is another version than was published: {told.version}, not {row.version}"
        return difference(found.name, row.key, Wrong.VERSION, message)
    return None


def _with_tags(found: Found, row: _Row, headers: Headers) -> Headers:
    place = found.target.place
    try:
        return replace(headers, tags=tags_of(place.spec, under(place.base, row.key)))
    except TargetError:  # who may not see them, and services that have none
        return headers


def _shown(headers: Headers) -> str:
    named: dict[str, Any] = {
        "content type": headers.content_type, "cache control": headers.cache_control,
        "storage class": headers.storage_class, "tags": dict(headers.tags), "metadata": dict(headers.metadata),
    }  # fmt: skip
    said = [f"{name} {value}" for name, value in named.items() if value]
    return ", ".join(said) or "none"
