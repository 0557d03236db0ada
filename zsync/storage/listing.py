"""Listings that are believed: S3's ListObjectsV2, of which every answer is seen to be one.

obstore reads whatever it does not know in an answer as nothing, so that the page of a portal is an empty listing to
it. Here the root of every answer is looked at. It is slower, and is asked only where the fast one may be wrong.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote_plus, urlencode

from zsync.errors import TargetError, TransientError
from zsync.packed import Texts
from zsync.storage.answers import error_for, unreached
from zsync.storage.base import Page, bare_etag, sizes_of
from zsync.storage.certificates import problem_in
from zsync.storage.reach import circumstances, reach
from zsync.storage.spec import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from xml.etree.ElementTree import Element

    from zsync.storage.reach import Reach
    from zsync.storage.spec import StoreSpec

T = TypeVar("T")

PAGE = 1000  # entries of a page that is full
_ASKED_WITH = "zsync_asked_with"
_ROOT = "ListBucketResult"
_MOST_BYTES = 64 * 2**20  # a page of a thousand of the longest keys, each byte of them escaped, is a tenth of it
PATIENCE_S = 60.0  # with a listing that may have no end
_TIMEOUTS_S = (5.0, 60.0)  # to connect, and without a byte


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


def list_strictly(spec: StoreSpec, prefix: str, delimiter: str = "") -> Iterator[Listed]:
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

    Raises
    ------
    TransientError
        An answer is no listing, or did not come whole.
    TargetError
        The service refuses, or its listing has no end.
    """
    lister = _lister(spec, circumstances(spec), os.getpid())
    wanted = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    if delimiter:
        wanted["delimiter"] = delimiter
    seen = set()
    after: dict[str, str] = {}
    while True:
        listed, token = lister.ask({**wanted, **after})
        yield listed
        if token is None:
            return
        if token in seen:
            raise endless(lister.url)
        seen.add(token)
        after = {"continuation-token": token}


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


@functools.lru_cache(maxsize=64)
def _lister(spec: StoreSpec, _circumstances: int, _process: int) -> _Lister:
    return _Lister(spec, reach(spec))


class _Lister:
    """Asks one bucket, signing with botocore's own parts: to import all of it takes four times as long."""

    def __init__(self, spec: StoreSpec, place: Reach) -> None:
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self.url = spec.location.url
        self._place = place
        self._address = _address(spec, place)
        self._signs = spec.credentials != ANONYMOUS
        self._headers = {"x-amz-request-payer": "requester"} if spec.requester_pays else {}
        self._session = URLLib3Session(
            verify=spec.ca_bundle or True,
            proxies=get_environ_proxies(self._address),
            timeout=_TIMEOUTS_S,
            max_pool_connections=512,  # no more than may be used at once: urllib3 warns of each that is one too many
        )

    def ask(self, query: Mapping[str, str]) -> tuple[Listed, str | None]:
        """Return one answer, and the token that the next one is asked with; None after the last."""
        status, headers, body = self._send(query)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            text = body.decode(errors="replace")
            region = (
                headers.get("x-amz-bucket-region") if status == HTTPStatus.MOVED_PERMANENTLY else _first("Region", text)
            )
            raise error_for(status, _first("Code", text), self.url, region=region)
        return _read(_parsed(body, self.url), self.url)

    def _send(self, query: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        import urllib3.exceptions
        from botocore import exceptions
        from botocore.awsrequest import AWSRequest

        address = f"{self._address}?{urlencode(query, quote_via=quote, safe='-_.~')}"
        request = AWSRequest("GET", address, headers=self._headers, stream_output=True)
        if self._signs:
            self._sign(request)
        try:
            answer = self._session.send(request.prepare())
            try:
                body = answer.raw.read(_MOST_BYTES, decode_content=True)
                answer.raw.drain_conn()
            finally:
                answer.raw.release_conn()
        except exceptions.SSLError as error:
            raise problem_in(str(error), self._address) or unreached(self._address) from error
        except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.ProxyConnectionError
                ) as error:  # fmt: skip
            raise unreached(self._address) from error
        except (exceptions.HTTPClientError, urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError("the connection broke", self.url, "try again") from error
        return answer.status_code, answer.headers, body

    def _sign(self, request: Any) -> None:
        from botocore.auth import S3SigV4Auth
        from botocore.credentials import Credentials

        keys = self._place.keys or self._place.provider()
        token = keys.get("session_token") or keys.get("token")
        credentials = Credentials(keys["access_key_id"], keys["secret_access_key"], token)
        S3SigV4Auth(credentials, "s3", self._place.region).add_auth(request)


def _address(spec: StoreSpec, place: Reach) -> str:
    bucket = spec.location.bucket
    endpoint = (place.endpoint_url or f"https://s3.{place.region}.amazonaws.com").rstrip("/")
    if not spec.virtual_hosted(place.endpoint_url):
        return f"{endpoint}/{bucket}"
    scheme, _, host = endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}/"


def _parsed(body: bytes, url: str) -> Element:
    from xml.etree import ElementTree as ET

    try:
        root = ET.fromstring(body)  # noqa: S314 - expat has bounds of its own for entities
    except (ET.ParseError, ValueError, LookupError) as error:
        raise not_a_listing(url) from error
    if _name(root) == "Error":
        raise error_for(200, _text(root, "Code"), url)
    if _name(root) != _ROOT:
        raise not_a_listing(url)
    return root


def _read(root: Element, url: str) -> tuple[Listed, str | None]:
    is_truncated = _text(root, "IsTruncated") == "true"
    token = _text(root, "NextContinuationToken")
    decode = unquote_plus if _text(root, "EncodingType") == "url" else str
    keys, sizes, etags, prefixes = [], [], [], []
    try:
        for child in root:
            if _name(child) == "Contents":
                found = {_name(field): field.text or "" for field in child}
                keys.append(decode(found["Key"]))
                sizes.append(int(found["Size"]))
                etags.append(bare_etag(found.get("ETag") or None))
            elif _name(child) == "CommonPrefixes":
                prefixes.append(decode(next(field.text or "" for field in child if _name(field) == "Prefix")))
    except (KeyError, ValueError, StopIteration) as error:
        raise not_a_listing(url) from error
    if is_truncated and not token:
        raise not_a_listing(url)
    page = Page(Texts(keys), sizes_of(sizes), Texts(etags))
    return Listed(page, tuple(prefixes), is_truncated), token if is_truncated else None


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(root: Element, name: str) -> str | None:
    return next((child.text or "" for child in root if _name(child) == name), None)


def _first(name: str, text: str) -> str | None:
    match = re.search(rf"<{name}>([\w-]+)</{name}>", text)
    return match[1] if match else None
