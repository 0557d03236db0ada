"""Listings that are believed: S3's ListObjectsV2, of which every answer is seen to be one.

obstore reads whatever it does not know in an answer as nothing, so that the page of a portal is an empty listing to
it. Here the root of every answer is looked at. It is slower, and is asked only where the fast one may be wrong.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote_plus

from zsync.errors import TargetError, TransientError
from zsync.packed import Texts
from zsync.storage.answers import error_for
from zsync.storage.base import Page, bare_etag, sizes_of
from zsync.storage.signed import name_of, signed_requests, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

    from zsync.storage.spec import StoreSpec

T = TypeVar("T")

_ASKED_WITH = "zsync_asked_with"
_ROOT = "ListBucketResult"
PATIENCE_S = 60.0  # with a listing that may have no end


@dataclass(frozen=True, slots=True)
class Listed:
    """One answer to a listing.

    Attributes
    ----------
    page
        Its objects; their keys as they are in the bucket, whatever they are.
    prefixes
        The prefixes that it shows in place of what is below them.
    is_truncated
        More follows.
    """

    page: Page
    prefixes: tuple[str, ...]
    is_truncated: bool


def list_strictly(spec: StoreSpec, prefix: str, delimiter: str = "", after: str | None = None) -> Iterator[Listed]:
    """Yield the answers to a listing of an S3 bucket, one request each.

    Nothing is tried again here: the layer above does that, from the beginning.

    Parameters
    ----------
    spec
        The bucket.
    prefix
        What the keys begin with; it need not end in ``/``.
    delimiter
        ``/`` to list one level; empty to list all.
    after
        The key that the listing begins after; None for all.

    Raises
    ------
    TransientError
        An answer is no listing, or did not come whole.
    TargetError
        The service refuses, or its listing has no end.
    """
    requests, url = signed_requests(spec), spec.location.url
    wanted = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    if delimiter:
        wanted["delimiter"] = delimiter
    if after is not None:
        wanted["start-after"] = after
    seen = set()
    going_on: dict[str, str] = {}
    while True:
        listed, token = _read(_parsed(requests.ask("GET", query={**wanted, **going_on}).body, url), url)
        yield listed
        if token is None:
            return
        if token in seen:
            raise endless(url)
        seen.add(token)
        going_on = {"continuation-token": token}


def in_time(action: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """Return what a listing comes to, or, if that takes very long, something else.

    A call into Rust cannot be given up: that of a listing without an end would never return.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answer.set_exception(error)

    threading.Thread(target=work, name="zsync-listing", daemon=True).start()
    return answer.result() if wait([answer], PATIENCE_S).done else otherwise()


def endless(url: str) -> TargetError:
    """Return the error for a service that gives the same page again and again."""
    return TargetError("the listing has no end: the service gives the same page again", url, "see to the service")


def not_a_listing(url: str) -> TransientError:
    """Return the error for an answer that is something else, though its status is 200."""
    return TransientError(f"the answer to a listing is no {_ROOT}", url, "is a proxy or portal in between?")


def see_listings(session: Any, url: str) -> None:
    """Have a session of botocore's raise for answers to listings that it would read as empty, or without an end."""

    def see_answer(response_dict: dict[str, Any], **_more: Any) -> None:
        status, body = response_dict["status_code"], response_dict["body"]
        # botocore says 500 of an answer of 200 that it cannot parse.
        if status == HTTPStatus.OK or (status == HTTPStatus.INTERNAL_SERVER_ERROR and b"<Error" not in body):
            _parsed(body, url)

    def see_question(params: dict[str, Any], context: dict[str, Any], **_more: Any) -> None:
        context[_ASKED_WITH] = params.get("ContinuationToken")

    def see_end(parsed: dict[str, Any], context: dict[str, Any], **_more: Any) -> None:
        if parsed.get("IsTruncated") and parsed.get("NextContinuationToken") == context.get(_ASKED_WITH):
            raise endless(url)

    session.register("before-parameter-build.s3.ListObjectsV2", see_question)
    session.register("before-parse.s3.ListObjectsV2", see_answer)
    session.register("after-call.s3.ListObjectsV2", see_end)


def _parsed(body: bytes, url: str) -> Element:
    from xml.etree import ElementTree as ET

    try:
        root = ET.fromstring(body)  # noqa: S314 - expat has bounds of its own for entities
    except (ET.ParseError, ValueError, LookupError) as error:
        raise not_a_listing(url) from error
    if name_of(root) == "Error":
        raise error_for(200, text_of(root, "Code"), url)
    if name_of(root) != _ROOT:
        raise not_a_listing(url)
    return root


def _read(root: Element, url: str) -> tuple[Listed, str | None]:
    is_truncated = text_of(root, "IsTruncated") == "true"
    token = text_of(root, "NextContinuationToken")
    decode = unquote_plus if text_of(root, "EncodingType") == "url" else str
    keys, sizes, etags, prefixes = [], [], [], []
    try:
        for child in root:
            if name_of(child) == "Contents":
                found = {name_of(field): field.text or "" for field in child}
                keys.append(decode(found["Key"]))
                sizes.append(int(found["Size"]))
                etags.append(bare_etag(found.get("ETag") or None))
            elif name_of(child) == "CommonPrefixes":
                prefixes.append(decode(next(field.text or "" for field in child if name_of(field) == "Prefix")))
    except (KeyError, ValueError, StopIteration) as error:
        raise not_a_listing(url) from error
    if is_truncated and not token:
        raise not_a_listing(url)
    page = Page(Texts(keys), sizes_of(sizes), Texts(etags))
    return Listed(page, tuple(prefixes), is_truncated), token if is_truncated else None
