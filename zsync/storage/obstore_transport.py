"""The fast transport: obstore, a Rust client for S3."""

from __future__ import annotations

import functools
import html
import re
from collections import Counter
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.exceptions import PreconditionError as ObstorePreconditionError

from zsync.errors import (
    CredentialsError,
    MalformedKeyError,
    NotSupportedError,
    PreconditionError,
    RegionError,
    TargetError,
    UnansweredError,
    ZsyncError,
)
from zsync.packed import Texts
from zsync.storage.answers import error_for, unreached
from zsync.storage.base import (
    PAGE,
    PIECE,
    Answer,
    Capabilities,
    Fetched,
    Headers,
    ObjectStore,
    Over,
    Page,
    Stored,
    bare_etag,
    keep_replaced,
    refuse_larger,
    refuse_short,
    sizes_of,
)
from zsync.storage.certificates import problem_in
from zsync.storage.conditional import believed, on_condition
from zsync.storage.copying import copy_seen
from zsync.storage.listing import endless, in_time
from zsync.storage.multipart import put_in_parts
from zsync.storage.permissions import action_of
from zsync.storage.removal import delete_one, remove_seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from obstore import GetResult
    from obstore.store import S3Store

    from zsync.keys import Key
    from zsync.storage.base import Seen, UploadRecord
    from zsync.storage.calls import S3Calls
    from zsync.storage.listing import Listed
    from zsync.storage.signed import SignedRequests

_LARGE = 2**20  # bytes; a body that may take long to send
_ENDLESS = 3  # pages that begin with the same key; two may be, where a service repeats one
_COLUMNS = (attrgetter("keys"), attrgetter("sizes"), attrgetter("etags"))


class ObstoreTransport(ObjectStore):
    """One S3 bucket through obstore.

    Parameters
    ----------
    calls
        Requests that obstore does not know.
    open_patient
        Opens the same store without a read timeout: while a body is sent nothing arrives, so that on a slow link a
        large one would never get through.
    list_strictly
        Lists below a prefix, with a delimiter or without, all or what follows a key, and believes no answer that is not
        a listing. obstore reads one that is something else as a page without entries, and as the last: so where it
        shows none, or as many as pages that are full have, it is asked again in this way.
    requests
        Opens what makes signed requests to the bucket.
    """

    def __init__(
        self,
        store: S3Store,
        calls: S3Calls,
        *,
        etag_is_md5: bool,
        open_patient: Callable[[], S3Store],
        list_strictly: Callable[..., Iterator[Listed]],
        requests: Callable[[], SignedRequests],
    ) -> None:
        self._store = store
        self._calls = calls
        self._open_patient = open_patient
        self._list_strictly = list_strictly
        self._requests = requests
        self._base_url = calls.root.url.rstrip("/")
        self._capabilities = Capabilities(
            "obstore", conditional_put=True, headers=True, etag_is_md5=etag_is_md5, shows_keys=False
        )

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
        # Kept until the end: only then is it known whether they are all.
        try:
            pages: tuple[Page, ...] = in_time(lambda: tuple(self._pages(prefix)), lambda: ())
        except MalformedKeyError:  # obstore shows nothing of a bucket that holds one
            pages = ()
        if _may_be_cut_short(sum(len(page.keys) for page in pages)):
            pages = tuple(self.list_exactly(prefix))
        yield from pages

    def _pages(self, prefix: str, after: str | None = None) -> Iterator[Page]:
        begun: Counter[str] = Counter()
        with translated(self.url(prefix)), _shown(self.url(prefix)):
            # obstore takes a prefix by path segments: "a/b" does not match "a/bc".
            for batch in obstore.list(self._store, prefix or None, offset=after, return_arrow=True, chunk_size=PAGE):
                page = _page(batch)
                begun.update(page.keys[:1])
                if begun[page.keys[0]] == _ENDLESS:
                    raise endless(self.url(prefix))
                yield page

    def list_few(self, prefix: str) -> Page | None:
        """Return everything below `prefix` if it comes with one answer."""
        try:
            page = in_time(lambda: next(self._pages(prefix), Page()), Page)
        except MalformedKeyError:
            page = Page()
        if page.keys:
            return None if _may_be_cut_short(len(page.keys)) else page
        first = next(self._list_strictly(prefix, ""))
        return None if first.is_truncated else first.page

    def list_after(self, prefix: str, key: str | None) -> Answer | None:
        """Return what follows a key: one answer."""
        try:
            page = in_time(lambda: next(self._pages(prefix, key), Page()), Page)
        except MalformedKeyError:
            return None
        if page.keys:
            return Answer(page, is_last=len(page.keys) < PAGE)
        first = next(self._list_strictly(prefix, "", key))
        return Answer(first.page, is_last=not first.is_truncated)

    def list_exactly(self, prefix: str) -> Iterator[Page]:
        """Yield everything below `prefix`, with keys as they are."""
        return (listed.page for listed in self._list_strictly(prefix, ""))

    def list_level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        """Return the objects and the prefixes directly below `prefix`."""
        try:
            page, prefixes = in_time(lambda: self._level(prefix), lambda: (Page(), ()))
        except MalformedKeyError:
            page, prefixes = Page(), ()
        if not _may_be_cut_short(len(page.keys) + len(prefixes)):
            return page, prefixes
        answers = tuple(self._list_strictly(prefix, "/"))
        return _joined(listed.page for listed in answers), [name for listed in answers for name in listed.prefixes]

    def _level(self, prefix: str) -> tuple[Page, Sequence[str]]:
        with translated(self.url(prefix)), _shown(self.url(prefix)):
            level = obstore.list_with_delimiter(self._store, prefix or None, return_arrow=True)
        return _page(level["objects"]), [f"{name.rstrip('/')}/" for name in level["common_prefixes"]]

    def get(self, key: Key, *, most: int | None = None) -> Fetched:
        """Read an object whole."""
        with translated(self.url(key)):
            answer = obstore.get(self._store, key)
            refuse_larger(answer.meta["size"], most, self.url(key))
            seen = _stored(answer.meta)
            return Fetched(bytes(answer.bytes()), seen.etag, seen.version, seen.modified_s)

    def fetch(self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None) -> bytes:
        """Read a part of an object, as it was seen."""
        with translated(self.url(key)):
            data = bytes(self._asked(key, start, length, etag, version).bytes())
        refuse_short(len(data), length, self.url(key))
        return data

    def pieces(
        self, key: Key, start: int, length: int, *, etag: str | None, version: str | None = None
    ) -> Iterator[bytes]:
        """Yield a part of an object as it arrives, as it was seen."""
        came = 0
        with translated(self.url(key)):
            for piece in self._asked(key, start, length, etag, version).stream(min_chunk_size=PIECE):
                came += len(piece)
                yield bytes(piece)
        refuse_short(came, length, self.url(key))

    def _asked(self, key: Key, start: int, length: int, etag: str | None, version: str | None) -> GetResult:
        """Return the answer to a request for a part of an object, before its bytes have come."""
        options: dict[str, Any] = {"range": (start, start + length)}
        if version is not None:
            options["version"] = version
        elif etag is not None:
            options["if_match"] = f'"{etag}"'
        answer = obstore.get(self._store, key, options=options)  # type: ignore[arg-type]
        came = bare_etag(answer.meta["e_tag"])
        if None not in (etag, came) and came != etag:
            raise PreconditionError("the object is not as it was seen", self.url(key))
        return answer

    def head(self, key: Key) -> Stored:
        """Ask for an object's ETag and version."""
        with translated(self.url(key)):
            return _stored(obstore.head(self._store, key))

    def put(self, key: Key, data: bytes, headers: Headers, *, over: Over | None = None) -> Stored:
        """Write an object in one part."""
        if over is not None:
            keep_replaced(self, key, over)
        return on_condition(self, key, over, lambda condition: self._put(key, data, headers, condition))

    def _put(self, key: Key, data: bytes, headers: Headers, over: Over | None) -> Stored:
        store = self._patient if len(data) > _LARGE else self._store
        with translated(self.url(key)):
            answer = obstore.put(store, key, data, use_multipart=False, mode=_mode(over), **_options(headers))
        return believed(self, key, data, _stored(answer))

    def put_parts(
        self,
        key: Key,
        parts: Iterable[bytes],
        headers: Headers,
        part_size: int,
        *,
        over: Over | None = None,
        record: UploadRecord | None = None,
    ) -> Stored:
        """Write an object in parts."""
        del part_size  # the parts come as large as they are to be
        return put_in_parts(self._calls, self, key, parts, headers, over, record)

    def put_if(self, key: Key, data: bytes, headers: Headers, etag: str | None) -> Stored:
        """Write an object only if it is absent, or still has `etag`."""
        return on_condition(self, key, Over(etag), lambda condition: self._put(key, data, headers, condition))

    def copy(self, source: Key, target: Key) -> None:
        """Copy an object inside the bucket, on the server."""
        with translated(self.url(source)):
            obstore.copy(self._store, source, target)

    def copy_seen(self, source: Seen, target: Key, headers: Headers, over: Over) -> Stored:
        """Copy an object inside the bucket, on condition of both ends."""
        return copy_seen(self._requests(), self._calls, self, source, target, headers, over)

    def delete(self, keys: Sequence[Key]) -> None:
        """Delete objects, a thousand a request; or one, where the service deletes no more at once."""
        try:
            self._delete(keys)
        except NotSupportedError:
            for key in keys:
                delete_one(self._calls, key)

    def _delete(self, keys: Sequence[Key]) -> None:
        with translated(self.url(keys[0] if keys else "")):
            try:
                obstore.delete(self._store, list(keys))
            except BaseError as error:
                raise (_refused_key(str(error), self.url) or error) from error

    def remove(self, items: Sequence[tuple[Key, Over]]) -> Mapping[str, TargetError]:
        """Delete objects that must be as they were seen."""
        return remove_seen(self._calls, self, items)


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
    modified = answer.get("last_modified")  # not told by the answer to a write
    return Stored(bare_etag(answer.get("e_tag")), answer.get("version"), modified and modified.timestamp())


def _mode(over: Over | None) -> Any:
    if over is None:
        return "overwrite"
    return "create" if over.seen is None else {"e_tag": f'"{over.seen}"'}


def _may_be_cut_short(entries: int) -> bool:
    """Whether a listing ends where a page that is full does: one that follows may have been no listing.

    Pages that are not the last have `PAGE` entries, with the services that we know.
    """
    return entries % PAGE == 0


def _page(listed: Any) -> Page:
    # A level may be one long page; and of others all are kept until the last one is there.
    keys, sizes, etags = Texts[str](), sizes_of(()), Texts[str | None]()
    for start in range(0, listed.num_rows, PAGE):
        some = listed.slice(start, min(PAGE, listed.num_rows - start))
        keys.extend(some["path"].to_pylist())
        sizes.extend(sizes_of(some["size"].to_pylist()))
        etags.extend(map(bare_etag, some["e_tag"].to_pylist()))
    return Page(keys, sizes, etags)


def _joined(pages: Iterable[Page]) -> Page:
    found = list(pages)
    columns = ([value for page in found for value in column(page)] for column in _COLUMNS)
    return Page(*columns)


@contextmanager
def _shown(url: str) -> Iterator[None]:
    """Raise `MalformedKeyError` for a prefix that obstore does not take, as for a key that it does not show."""
    try:
        yield
    except ValueError as error:
        raise MalformedKeyError("this is no prefix that can be listed", url) from error


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
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        # What it says may hold what it was given.
        raise TargetError(
            "the client for S3 broke down over this", url, "check endpoint, region and credentials"
        ) from None


def translate(error: Exception, url: str) -> ZsyncError:
    """Return our error for one of obstore's.

    obstore's classes name some cases; the status and S3's error code are in the text only.
    """
    text = str(error)
    head = text.split("Debug source:", 1)[0]
    code = _first(r"<Code>(\w+)</Code>", head)
    status = int(_first(r"status code: (\d{3})", head) or 0)
    if isinstance(error, AlreadyExistsError | ObstorePreconditionError):
        status = status or 412
    elif isinstance(error, FileNotFoundError):
        status = status or 404
    if status or code:  # S3 may answer 200 to a copy, or to the end of an upload, and then tell of an error
        region = _first(r"<Region>([\w-]+)</Region>", head)
        return error_for(status or 200, code, url, region=region, text=head, action=_action(head))
    return _without_answer(text, url)


def _action(text: str) -> str | None:
    """Return what has to be allowed for the request that an error is about."""
    match = re.search(r"Error performing ([A-Z]+) (\S+) in ", text)
    if match is None:
        return None
    query = dict(parse_qsl(urlsplit(match[2]).query, keep_blank_values=True))
    return action_of(match[1], "" if "list-type" in query else "key", query)


def _refused_key(text: str, url: Callable[[str], str]) -> ZsyncError | None:
    """Return the error for one key of a bulk delete, in an answer whose status is 200.

    obstore tells the first such key; where the answer begins with one, it shows the answer as it is.
    """
    match = re.search(r"DeleteObjects request failed for key (.*): .* \(code: (\w+)\)", text, re.DOTALL)
    if match is not None:
        return error_for(200, match[2], url(match[1]), text=text, action="s3:DeleteObject")
    if "<DeleteResult" not in text:
        return None
    key, code = _first(r"<Key>([^<]*)</Key>", text), _first(r"<Code>(\w+)</Code>", text)
    return error_for(200, code, url(html.unescape(key or "")), text=text, action="s3:DeleteObject")


def _without_answer(text: str, url: str) -> ZsyncError:
    if (malformed := _first(r'(?:Error parsing|invalid path:) Path "([^"]*)"', text)) is not None:
        message = f"the bucket holds a malformed key, which leads elsewhere: {malformed!r}"
        return MalformedKeyError(message, url, "rename it")
    if "invalid list response" in text:  # as XML has no such characters; or it is no listing at all: that is seen next
        return MalformedKeyError("the listing cannot be read", url, "see what the service answers")
    endpoint = _first(r"\w+ (https?://[^/\s]+)", text) or url
    if (problem := problem_in(text, endpoint)) is not None:
        return problem
    if "redirect without LOCATION" in text:
        return RegionError("the bucket is in another region", url, "set `region`")
    if "kind: Connect" in text or re.search(r"Error\(\s*Connect,", text):  # the second: a handshake that does not end
        return unreached(endpoint, int(_first(r"\bcode: (\d+)", text) or 0), text)
    if "HTTP error" in text or "kind: Timeout" in text or "error decoding response" in text:
        return UnansweredError("the connection broke", endpoint, "try again")
    if "credential" in text.lower():
        return CredentialsError("no credentials were found", url, "set a profile, AWS_ACCESS_KEY_ID, or access_key_id")
    return TargetError(" ".join(text.split("Debug source:", 1)[0].split())[:300], url)


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None
