"""Open stores: from a spec to a transport with retries and a pace."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError, TargetError
from zsync.storage.certificates import check_bundle, is_own_authority, read_bundle
from zsync.storage.reach import circumstances, reach
from zsync.storage.spec import ANONYMOUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obstore.store import S3Store

    from zsync.storage.base import ObjectStore
    from zsync.storage.calls import S3Calls
    from zsync.storage.pacing import Pace
    from zsync.storage.retrying import RetryPolicy
    from zsync.storage.signed import Answer
    from zsync.storage.silence import Silence
    from zsync.storage.spec import StoreSpec

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # nothing arrives for so long
REQUEST_TIMEOUT_S = 1800.0  # what a part of 64 MiB takes at 37 KiB/s


def connect(spec: StoreSpec) -> ObjectStore:
    """Return the open store of a spec; the same spec gives the same store, as long as its credentials are the same.

    Raises
    ------
    CredentialsError
        The AWS chain holds no credentials, or they were given explicitly in another process.
    """
    known = _known.get()
    if known is None:
        return _connect(spec, circumstances(spec))
    if spec not in known:
        known[spec] = _connect(spec, circumstances(spec))
    return known[spec]


_known: ContextVar[dict[StoreSpec, ObjectStore] | None] = ContextVar("zsync_known_stores", default=None)


@contextmanager
def connected_once() -> Iterator[None]:
    """Look only once at what the credentials of a spec are: for many small requests that costs as much as they do."""
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


@functools.lru_cache(maxsize=64)
def _connect(spec: StoreSpec, _circumstances: int) -> ObjectStore:
    from zsync.storage.retrying import Retrying

    return Retrying(_open(spec), _policy_of(spec), pace=pace_of(spec), move=functools.partial(_moved, spec))


def _moved(spec: StoreSpec) -> ObjectStore | None:
    """Return a store anew, where the bucket is, if it is not where it was looked for; None if nobody tells."""
    from zsync.storage.regions import note_region
    from zsync.storage.signed import signed_requests

    region = None if spec.location.scheme != "s3" else signed_requests(spec).region()
    if region is None:
        return None
    note_region(spec, region, reach(spec).region)
    return _open(spec)


def _policy_of(spec: StoreSpec) -> RetryPolicy:
    from zsync.storage.retrying import RetryPolicy

    tries = None if spec.retries is None else spec.retries + 1
    return RetryPolicy() if tries is None else RetryPolicy(tries, tries, insists=True)


_is_without_obstore = False  # this process was forked from one that had begun to use it


def _begin_anew() -> None:
    """Let go, in a forked child, of what belongs to threads of the parent: connections, locks, places in queues.

    obstore's threads are one set a process, begun with its first use and gone in a child, where whoever waits for them
    waits forever. A fork cannot be undone, so that there the other transport moves the bytes.
    """
    global _is_without_obstore, _opening  # noqa: PLW0603 - they are the process's
    _is_without_obstore = "obstore" in sys.modules
    _opening = threading.Lock()
    for opened in (_connect, _pace, _open_s3fs):
        opened.cache_clear()
    _known.set(None)


os.register_at_fork(after_in_child=_begin_anew)


def _open(spec: StoreSpec) -> ObjectStore:
    if spec.transport == "obstore":
        if not _is_without_obstore:
            return _open_obstore(spec)
        log.debug("forked from a process that used obstore: fsspec moves the bytes")
    if spec.transport == "file":
        return _open_files(spec)
    return _open_fsspec(spec)


def _open_files(spec: StoreSpec) -> ObjectStore:
    from zsync.storage.file_transport import FileTransport

    return FileTransport(spec.location, spec.below)


def pace_of(spec: StoreSpec) -> Pace:
    """Return the pace of requests to the bucket of a spec: one a bucket, whoever asks it and by which transport."""
    return _pace(spec.location.url, spec.endpoint_url)


@functools.cache
def _pace(bucket: str, endpoint_url: str | None) -> Pace:
    from zsync.storage.pacing import Pace

    return Pace(host=endpoint_url or bucket)


def _explicit(keys: dict[str, str]) -> Callable[[], Any]:
    """Return a provider of fixed credentials: obstore would add a token that it finds in the environment."""
    fixed = {
        "access_key_id": keys["access_key_id"],
        "secret_access_key": keys["secret_access_key"],
        "token": keys.get("session_token"),
        "expires_at": None,
    }
    return lambda: fixed


def _open_obstore(spec: StoreSpec) -> ObjectStore:
    from obstore.store import S3Store

    from zsync.storage.listing import list_strictly
    from zsync.storage.obstore_transport import ObstoreTransport, translated
    from zsync.storage.signed import signed_requests

    place = reach(spec)
    # Whatever is not said here obstore takes from the environment by itself.
    options: dict[str, Any] = {
        "region": place.region,
        "virtual_hosted_style_request": spec.virtual_hosted(place.endpoint_url),
        "skip_signature": spec.credentials == ANONYMOUS,
        "request_payer": spec.requester_pays,
        "conditional_put": "etag",
    }
    if place.endpoint_url:
        options["aws_endpoint_url_s3"] = _endpoint(place.endpoint_url, spec)
    if spec.sse:
        options["server_side_encryption"] = spec.sse
    if spec.sse_kms_key_id:
        options["sse_kms_key_id"] = spec.sse_kms_key_id
    client: dict[str, Any] = {"timeout": f"{REQUEST_TIMEOUT_S}s", "connect_timeout": f"{CONNECT_TIMEOUT_S}s"}
    if (place.endpoint_url or "").startswith("http://"):
        client["allow_http"] = True
    if spec.ca_bundle:
        client["root_certificate"] = bundle = read_bundle(spec)
        if is_own_authority(bundle, place.endpoint_url):
            log.debug("the service is its own authority: fsspec moves the bytes")
            return _open_fsspec(spec)

    def open_store(**more: str) -> S3Store:
        return S3Store(
            spec.location.bucket,
            client_options={**client, **more},  # type: ignore[arg-type]
            # Retrying is one layer of ours for both transports: only there is throttling seen and paced.
            retry_config={"max_retries": 0},
            credential_provider=_explicit(place.keys) if place.keys else place.provider,
            **options,
        )

    try:
        with translated(spec.location.url):
            store = open_store(read_timeout=f"{READ_TIMEOUT_S}s")
    except (ValueError, TargetError):
        if spec.ca_bundle:  # that may be why
            check_bundle(spec, client["root_certificate"])
        raise
    return ObstoreTransport(
        store,
        calls_to(spec),
        etag_is_md5=not (spec.sse or "").startswith("aws:kms"),
        open_patient=open_store,
        list_strictly=functools.partial(list_strictly, spec),
        requests=functools.partial(signed_requests, spec),
    )


def _endpoint(url: str, spec: StoreSpec) -> str:
    """Return the endpoint as obstore wants it: with the bucket in its host name where that style is asked for."""
    if not spec.virtual_hosted(url):
        return url
    scheme, _, host = url.partition("://")
    return f"{scheme}://{spec.location.bucket}.{host}"


def _open_fsspec(spec: StoreSpec) -> ObjectStore:
    import fsspec

    from zsync.storage.fsspec_transport import FsspecTransport

    if spec.location.scheme != "s3":
        try:
            fs = fsspec.filesystem(spec.location.scheme)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"no transport for {spec.location.scheme}://", spec.location.url, str(error)) from error
        return FsspecTransport(fs, spec.location)
    from zsync.storage.signed import signed_requests

    return FsspecTransport(open_s3fs(spec), spec.location, calls_to(spec), functools.partial(signed_requests, spec))


def calls_to(spec: StoreSpec) -> S3Calls:
    """Return what makes requests by name to a bucket of S3."""
    from zsync.storage.calls import S3Calls

    return S3Calls(spec.location, functools.partial(open_s3fs, spec), pace_of(spec), _policy_of(spec))


def asked(spec: StoreSpec, method: str, key: str = "", *, query: Mapping[str, str]) -> Answer:
    """Make a signed request about an object of a bucket of S3, or about the bucket, at its pace, and insist on it.

    Raises
    ------
    TargetError
        The service refuses, or cannot be reached.
    """
    from zsync.storage.retrying import retry
    from zsync.storage.signed import signed_requests

    pace, policy = pace_of(spec), _policy_of(spec)

    def paced() -> Answer:
        with pace.slot(0, insists=policy.insists):
            return signed_requests(spec).ask(method, key, query)

    return retry(paced, policy)


def open_s3fs(spec: StoreSpec) -> Any:
    """Return the file system of s3fs for a spec, without retries of its own; the same spec gives the same one."""
    now = circumstances(spec)
    with _opening:
        return _open_s3fs(spec, now)


_opening = threading.Lock()  # else workers that begin together would each make a client, which takes half a second


@functools.lru_cache(maxsize=64)
def _open_s3fs(spec: StoreSpec, _circumstances: int) -> Any:
    import aiobotocore.session  # type: ignore[import-untyped]
    import botocore.handlers
    import fsspec

    from zsync.storage.listing import see_listings

    options = s3fs_options(spec)
    # A retry that we do not see is one that is not paced.
    options["config_kwargs"]["retries"] = {"total_max_attempts": 1}
    session = aiobotocore.session.AioSession(profile=options.pop("profile", None))
    # No timeout of aiohttp's counts while it waits for the service to ask for the body.
    session.unregister("before-call.s3", botocore.handlers.add_expect_header)
    # Of a listing only the whole comes to us, and that may take long.
    session.register("response-received.s3", functools.partial(_hear, pace_of(spec).silence))
    see_listings(session, spec.location.url)
    fs = fsspec.filesystem("s3", session=session, **options)
    fs.retries = 1
    # Nor does one while a body is sent.
    fs.call_s3 = functools.partial(fs.call_s3, timeout=REQUEST_TIMEOUT_S)
    fs.pipe_file = functools.partial(fs.pipe_file, timeout=REQUEST_TIMEOUT_S)
    return fs


def _hear(silence: Silence, parsed_response: object = None, **_: object) -> None:
    if parsed_response is not None:
        silence.hear()


def s3fs_options(spec: StoreSpec) -> dict[str, Any]:
    """Return the options with which s3fs (and so xarray and zarr) reaches the bucket; they hold the secrets."""
    place = reach(spec)
    keys = place.keys
    options: dict[str, Any] = {
        "anon": spec.credentials == ANONYMOUS,
        "client_kwargs": {"region_name": place.region},
        "config_kwargs": {
            "s3": {"addressing_style": "virtual" if spec.virtual_hosted(place.endpoint_url) else "path"},
            "retries": {"max_attempts": 1},
            "max_pool_connections": 64,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
        },
        "requester_pays": spec.requester_pays,
        "skip_instance_cache": True,
        "use_listings_cache": False,
    }
    if place.endpoint_url:
        options["endpoint_url"] = place.endpoint_url
    if spec.ca_bundle:
        check_bundle(spec, read_bundle(spec))
        options["client_kwargs"]["verify"] = spec.ca_bundle
    if spec.profile:
        options["profile"] = spec.profile
    if keys:
        options |= {
            "key": keys["access_key_id"],
            "secret": keys["secret_access_key"],
            "token": keys.get("session_token"),
        }
    extra = {"ServerSideEncryption": spec.sse, "SSEKMSKeyId": spec.sse_kms_key_id}
    options["s3_additional_kwargs"] = {name: value for name, value in extra.items() if value}
    return options
