"""The fast transport: obstore, a Rust client for S3."""

from __future__ import annotations

import functools
import html
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.exceptions import PreconditionError as ObstorePreconditionError

from zsync.errors import CredentialsError, TargetError, TransientError, UnansweredError, ZsyncError
from zsync.storage.answers import error_for, unreached
from zsync.storage.base import Capabilities, Fetched, Headers, ObjectStore, Over, Page, Stored, keep_replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from obstore.store import S3Store

_LARGE = 2**20  # bytes; a body that may take long to send


class ObstoreTransport(ObjectStore):
    """One S3 bucket through obstore.

    Parameters
    ----------
    open_patient
        Opens the same store without a read timeout: while a body is sent nothing arrives, so that on a slow link a
        large one would never get through.
    """

    def __init__(
        self, store: S3Store, base_url: str, *, etag_is_md5: bool, open_patient: Callable[[], S3Store]
    ) -> None:
        self._store = store
        self._open_patient = open_patient
        self._base_url = base_url.rstrip("/")
        self._capabilities = Capabilities("obstore", conditional_put=True, headers=True, etag_is_md5=etag_is_md5)

    @property
    def capabilities(self) -> Capabilities:
        """What this transport can do with this service."""
        return self._capabilities

    def url(self, key: str) -> str:
        """Return the URL of a key, for messages."""
        return f"{self._base_url}/{key}"

    @functools.cached_property
    def _patient(self) -> S3Store:
        return self._open_patient()

    def list(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`."""
        with translated(self.url(prefix)):
            # obstore takes a prefix by path segments: "a/b" does not match "a/bc".
            for batch in obstore.list(self._store, prefix or None, return_arrow=True, chunk_size=1000):
                yield _page(batch)

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """Return the objects and the prefixes directly below `prefix`."""
        with translated(self.url(prefix)):
            level = obstore.list_with_delimiter(self._store, prefix or None, return_arrow=True)
        return _page(level["objects"]), [f"{name.rstrip('/')}/" for name in level["common_prefixes"]]

    def get(self, key: str) -> Fetched:
        """Read an object whole."""
        with translated(self.url(key)):
            answer = obstore.get(self._store, key)
            return Fetched(bytes(answer.bytes()), _unquoted(answer.meta["e_tag"]), answer.meta.get("version"))

    def fetch(self, key: str, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of an object, as it was seen."""
        options: dict[str, Any] = {"range": (start, start + length)}
        if version is not None:
            options["version"] = version
        elif etag is not None:
            options["if_match"] = f'"{etag}"'
        with translated(self.url(key)):
            data = bytes(obstore.get(self._store, key, options=options).bytes())  # type: ignore[arg-type]
        return _whole(data, length, self.url(key))

    def head(self, key: str) -> Stored:
        """Ask for an object's ETag and version."""
        with translated(self.url(key)):
            return _stored(obstore.head(self._store, key))

    def put(self, key: str, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write an object in one part."""
        if over is not None:
            keep_replaced(self, key, over)
        store = self._patient if len(data) > _LARGE else self._store
        with translated(self.url(key)):
            return _stored(obstore.put(store, key, data, use_multipart=False, **_options(headers)))

    def put_parts(
        self, key: str, parts: Iterable[bytes], headers: Headers, part_size: int, *, over: Over | None = None
    ) -> Stored:
        """Write an object in parts."""
        if over is not None:
            keep_replaced(self, key, over)
        with translated(self.url(key)):
            return _stored(
                obstore.put(
                    self._patient, key, iter(parts), use_multipart=True, chunk_size=part_size, max_concurrency=4,
                    **_options(headers),
                )
            )  # fmt: skip

    def put_if(self, key: str, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Write an object only if it is absent, or still has `etag`."""
        mode: Any = "create" if etag is None else {"e_tag": f'"{etag}"'}
        with translated(self.url(key)):
            return _stored(obstore.put(self._store, key, data, mode=mode, **_options(headers)))

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the bucket, on the server."""
        with translated(self.url(source)):
            obstore.copy(self._store, source, target)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, a thousand a request."""
        with translated(self.url(keys[0] if keys else "")):
            try:
                obstore.delete(self._store, list(keys))
            except BaseError as error:
                raise (_refused_key(str(error), self.url) or error) from error

    def discard(self, key: str, over: Over) -> None:
        """Delete an object that must be as it was seen, and keep a copy."""
        keep_replaced(self, key, over)
        self.delete([key])


def _whole(data: bytes, length: int, url: str) -> bytes:
    if len(data) != length:
        raise TransientError("only a part of an object came", url, "try again")
    return data


def _options(headers: Headers) -> dict[str, Any]:
    named = {
        "Content-Type": headers.content_type,
        "Cache-Control": headers.cache_control,
        "Storage-Class": headers.storage_class,
    }
    attributes = {name: value for name, value in named.items() if value is not None} | dict(headers.metadata)
    options: dict[str, Any] = {"attributes": attributes}
    if headers.tags:
        options["tags"] = dict(headers.tags)
    return options


def _stored(answer: Any) -> Stored:
    return Stored(_unquoted(answer.get("e_tag")), answer.get("version"))


def _unquoted(etag: str | None) -> str | None:
    return None if etag is None else etag.strip('"')


def _page(listed: Any) -> Page:
    etags = [_unquoted(etag) for etag in listed["e_tag"].to_pylist()]
    return Page(listed["path"].to_pylist(), listed["size"].to_pylist(), etags)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn obstore's errors into ours."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        raise translate(error, url) from error
    except ValueError as error:  # an empty segment, a control character: what obstore will not send
        if "path" not in str(error).lower():
            raise
        raise TargetError("this key cannot be written", url, "rename the file") from error


def translate(error: Exception, url: str) -> ZsyncError:
    """Return our error for one of obstore's.

    obstore's classes name some cases; the status and S3's error code are in the text only.
    """
    text = str(error)
    head = text.split("Debug source:", 1)[0]
    code = _first(r"<Code>(\w+)</Code>", head)
    status = int(_first(r"status code: (\d{3})", head) or 0)
    if isinstance(error, AlreadyExistsError | ObstorePreconditionError):
        status = 412
    elif isinstance(error, FileNotFoundError):
        status = status or 404
    if status or code:  # S3 may answer 200 to a copy, or to the end of an upload, and then tell of an error
        return error_for(status or 200, code, url, region=_first(r"<Region>([\w-]+)</Region>", head))
    return _without_answer(text, url)


def _refused_key(text: str, url: Callable[[str], str]) -> ZsyncError | None:
    """Return the error for one key of a bulk delete, in an answer whose status is 200.

    obstore tells the first such key; where the answer begins with one, it shows the answer as it is.
    """
    match = re.search(r"DeleteObjects request failed for key (.*): .* \(code: (\w+)\)", text, re.DOTALL)
    if match is not None:
        return error_for(200, match[2], url(match[1]))
    if "<DeleteResult" not in text:
        return None
    key, code = _first(r"<Key>([^<]*)</Key>", text), _first(r"<Code>(\w+)</Code>", text)
    return error_for(200, code, url(html.unescape(key or "")))


def _without_answer(text: str, url: str) -> ZsyncError:
    if (malformed := _first(r'(?:Error parsing|invalid path:) Path "([^"]*)"', text)) is not None:
        message = f"the bucket holds a malformed key, which leads elsewhere: {malformed!r}"
        return TargetError(message, url, "rename it; transport: fsspec tells every one")
    endpoint = _first(r"\w+ (https?://[^/\s]+)", text) or url
    if "kind: Connect" in text or re.search(r"Error\(\s*Connect,", text):  # the second: a handshake that does not end
        return unreached(endpoint, int(_first(r"\bcode: (\d+)", text) or 0))
    if "HTTP error" in text or "kind: Timeout" in text or "error decoding response" in text:
        return UnansweredError("the connection broke", endpoint, "try again")
    if "credential" in text.lower():
        return CredentialsError("no credentials were found", url, "set a profile, AWS_ACCESS_KEY_ID, or access_key_id")
    return TargetError(" ".join(text.split("Debug source:", 1)[0].split())[:300], url)


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None
