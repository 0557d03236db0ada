"""Requests to a bucket of S3, signed with botocore's own parts: to import all of it takes four times as long.

Nothing is paced or tried again here: the layer above does that.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from zsync.errors import TransientError
from zsync.storage.answers import error_for, said_of, unreached
from zsync.storage.certificates import problem_in
from zsync.storage.permissions import action_of
from zsync.storage.reach import circumstances, reach
from zsync.storage.spec import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    from zsync.keys import Key
    from zsync.storage.reach import Reach
    from zsync.storage.spec import StoreSpec

_MOST_BYTES = 64 * 2**20  # a page of a thousand of the longest keys, each byte of them escaped, is a tenth of it
_TIMEOUTS_S = (5.0, 60.0)  # to connect, and without a byte
_UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered.

    Attributes
    ----------
    headers
        By name, in lower case.
    """

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class SignedRequests:
    """Asks one bucket."""

    def __init__(self, spec: StoreSpec, place: Reach) -> None:
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self._location = spec.location
        self._place = place
        self._address = _address(spec, place)
        self._signs = spec.credentials != ANONYMOUS
        self._headers = {"x-amz-request-payer": "requester"} if spec.requester_pays else {}
        encryption = {
            "x-amz-server-side-encryption": spec.sse,
            "x-amz-server-side-encryption-aws-kms-key-id": spec.sse_kms_key_id,
        }
        self._encryption = {name: value for name, value in encryption.items() if value is not None}
        self._session = URLLib3Session(
            verify=spec.ca_bundle or True,
            proxies=get_environ_proxies(self._address),
            timeout=_TIMEOUTS_S,
            max_pool_connections=512,  # no more than may be used at once: urllib3 warns of each that is one too many
        )

    def ask(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request about an object, or about the bucket.

        Parameters
        ----------
        headers
            Its own, in ASCII, besides those of all requests.

        Raises
        ------
        TransientError
            The answer did not come whole.
        TargetError
            The service refuses, or cannot be reached.
        """
        status, answered, body = self._send(method, key, query or {}, headers or {})
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            text = body.decode(errors="replace")
            code, url = _first("Code", text), self._location.child(key).url
            action = action_of(method, key, query or {})
            raise error_for(status, code, url, region=self._elsewhere(answered, text), text=text, action=action)
        return Answer({name.lower(): value for name, value in answered.items()}, body)

    def region(self) -> str | None:
        """Ask in which region the bucket is; None if it is where it was looked for, or nobody tells."""
        status, answered, body = self._send("GET", "", {"list-type": "2", "max-keys": "1"}, {})
        return None if status == HTTPStatus.OK else self._elsewhere(answered, body.decode(errors="replace"))

    def _elsewhere(self, answered: Mapping[str, str], text: str) -> str | None:
        """Return the region that an answer names, if it is not the one that was asked."""
        named = answered.get("x-amz-bucket-region") or _first("Region", text)
        return None if named == self._place.region else named

    def copy(self, source: Key, target: Key, version: str | None, headers: Mapping[str, str]) -> Answer:
        """Copy an object inside the bucket, or a version of it; what more is asked for are headers."""
        place = quote(f"{self._location.bucket}/{source}", safe=f"/{_UNRESERVED}")
        named = place if version is None else f"{place}?versionId={quote(version, safe=_UNRESERVED)}"
        return self.ask("PUT", target, headers={"x-amz-copy-source": named, **self._encryption, **headers})

    def _send(
        self, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        import urllib3.exceptions
        from botocore import exceptions
        from botocore.awsrequest import AWSRequest

        address = self._address
        if key:
            address = f"{address.rstrip('/')}/{quote(key, safe=f'/{_UNRESERVED}')}"
        if query:
            address = f"{address}?{urlencode(query, quote_via=quote, safe=_UNRESERVED)}"
        request = AWSRequest(method, address, headers={**self._headers, **headers}, stream_output=True)
        if self._signs:
            self._sign(request)
        url = self._location.url
        try:
            answer = self._session.send(request.prepare())
            try:
                body = answer.raw.read(_MOST_BYTES, decode_content=True)
                answer.raw.drain_conn()
            finally:
                answer.raw.release_conn()
        except exceptions.SSLError as error:
            raise problem_in(str(error), self._address) or unreached(self._address, None, str(error)) from error
        except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError, exceptions.ProxyConnectionError
                ) as error:  # fmt: skip
            raise unreached(self._address, None, said_of(error)) from error
        except (exceptions.HTTPClientError, urllib3.exceptions.HTTPError, OSError) as error:
            raise TransientError("the connection broke", url, "try again") from error
        return answer.status_code, answer.headers, body

    def _sign(self, request: Any) -> None:
        from botocore.auth import S3SigV4Auth
        from botocore.credentials import Credentials

        keys = self._place.keys or self._place.provider()
        token = keys.get("session_token") or keys.get("token")
        credentials = Credentials(keys["access_key_id"], keys["secret_access_key"], token)
        S3SigV4Auth(credentials, "s3", self._place.region).add_auth(request)


def signed_requests(spec: StoreSpec) -> SignedRequests:
    """Return what asks a bucket; the same spec gives the same one."""
    return _opened(spec, circumstances(spec), os.getpid())


@functools.lru_cache(maxsize=64)
def _opened(spec: StoreSpec, _circumstances: int, _process: int) -> SignedRequests:
    return SignedRequests(spec, reach(spec))


def _address(spec: StoreSpec, place: Reach) -> str:
    bucket = spec.location.bucket
    endpoint = (place.endpoint_url or f"https://s3.{place.region}.amazonaws.com").rstrip("/")
    if not spec.virtual_hosted(place.endpoint_url):
        return f"{endpoint}/{bucket}"
    scheme, _, host = endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}/"


def documented(body: bytes, url: str) -> Element:
    """Return the document that an answer is.

    Raises
    ------
    TransientError
        It is none.
    TargetError
        It tells of an error.
    """
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        root = fromstring(body)  # noqa: S314 - expat has bounds of its own for entities
    except (ParseError, ValueError, LookupError) as error:
        raise TransientError("the answer cannot be read", url, "is a proxy or portal in between?") from error
    if name_of(root) == "Error":
        raise error_for(200, text_of(root, "Code"), url)
    return root


def name_of(element: Element) -> str:
    """Return the name of an element, without its namespace."""
    return element.tag.rpartition("}")[2]


def text_of(element: Element, name: str) -> str | None:
    """Return the text of the first child of a name; None if there is none."""
    return next((child.text or "" for child in element if name_of(child) == name), None)


def _first(name: str, text: str) -> str | None:
    match = re.search(rf"<{name}>([\w-]+)</{name}>", text)
    return match[1] if match else None
