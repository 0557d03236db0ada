"""How a store is reached: a value without secrets, and the way from that value to an open store.

A `StoreSpec` is what travels in task graphs. Credentials that were given explicitly stay in this process, in a vault;
the spec holds the name of their place. Credentials of the AWS chain are found again wherever the spec arrives.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError, CredentialsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import S3Store

    from zsync.config import Location, Storage
    from zsync.storage.base import ObjectStore
    from zsync.storage.pacing import Pace

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0  # nothing arrives for so long
REQUEST_TIMEOUT_S = 1800.0  # what a part of 64 MiB takes at 37 KiB/s

# What decides which credentials the AWS chain holds, beside its files.
_CHAIN_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip

CHAIN = "chain"
ANONYMOUS = "anonymous"

_vault: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """How to reach one bucket (or file system); holds no secret."""

    location: Location
    transport: str
    credentials: str = CHAIN
    profile: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool | None = None
    ca_bundle: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    requester_pays: bool = False

    def virtual_hosted(self, endpoint_url: str | None) -> bool:
        """Return whether the bucket is part of the host name: AWS's way; other endpoints are asked by path."""
        return endpoint_url is None if self.path_style is None else not self.path_style


def spec_for(location: Location, storage: Storage, transport: str = "auto") -> StoreSpec:
    """Return how to reach the bucket of a location.

    Parameters
    ----------
    location
        Any location in the bucket.
    storage
        The user's settings; what they leave open comes from the environment, as with every AWS tool.
    transport
        ``auto`` is obstore for ``s3://`` and fsspec for every other URL.

    Raises
    ------
    ConfigError
        obstore was asked for a URL that is not ``s3://``.
    """
    if transport == "auto":
        transport = "obstore" if location.scheme == "s3" else "fsspec"
    if transport == "obstore" and location.scheme != "s3":
        raise ConfigError("transport obstore is for s3:// targets", location.url, "use transport: fsspec")
    root = replace(location, path="")
    if location.scheme != "s3":
        return StoreSpec(root, transport)
    return StoreSpec(
        location=root,
        transport=transport,
        credentials=_credentials_name(storage),
        profile=storage.profile,
        endpoint_url=storage.endpoint_url
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL"),
        region=storage.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        path_style=storage.path_style,
        ca_bundle=storage.ca_bundle or os.environ.get("AWS_CA_BUNDLE"),
        sse=storage.sse,
        sse_kms_key_id=storage.sse_kms_key_id,
        requester_pays=storage.requester_pays,
    )


def _credentials_name(storage: Storage) -> str:
    if storage.anonymous:
        return ANONYMOUS
    if storage.access_key_id is None or storage.secret_access_key is None:
        return CHAIN
    given = {
        "access_key_id": storage.access_key_id.get_secret_value(),
        "secret_access_key": storage.secret_access_key.get_secret_value(),
    }
    if storage.session_token is not None:
        given["session_token"] = storage.session_token.get_secret_value()
    for name, kept in _vault.items():
        if kept == given:
            return name
    name = f"vault:{secrets.token_hex(8)}"
    _vault[name] = given
    return name


def connect(spec: StoreSpec) -> ObjectStore:
    """Return the open store of a spec; the same spec gives the same store, as long as its credentials are the same.

    Raises
    ------
    CredentialsError
        The AWS chain holds no credentials, or they were given explicitly in another process.
    """
    return _connect(spec, _circumstances(spec))


@functools.lru_cache(maxsize=64)
def _connect(spec: StoreSpec, _circumstances: int) -> ObjectStore:
    from zsync.storage.retrying import Retrying

    transport = _open_obstore(spec) if spec.transport == "obstore" else _open_fsspec(spec)
    return Retrying(transport, pace=pace_of(spec))


def pace_of(spec: StoreSpec) -> Pace:
    """Return the pace of requests to the bucket of a spec: one a bucket, whoever asks it and by which transport."""
    return _pace(spec.location.url, spec.endpoint_url)


@functools.cache
def _pace(_bucket: str, _endpoint_url: str | None) -> Pace:
    from zsync.storage.pacing import Pace

    return Pace()


def _circumstances(spec: StoreSpec) -> int:
    """Return what changes when a user corrects credentials while the process lives on, as in a notebook."""
    if spec.credentials != CHAIN:
        return 0
    return hash((*(os.environ.get(name) for name in _CHAIN_VARIABLES), *map(_stamp, _aws_files())))


def _aws_files() -> tuple[Path, Path]:
    """Return where the AWS configuration and the credentials are kept."""
    return (
        Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser(),
        Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser(),
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _profile_may_name_endpoint() -> bool:
    """Whether it is worth importing botocore (0.3 s) to look for an endpoint in the AWS configuration."""
    for path in _aws_files():
        with contextlib.suppress(OSError):
            if b"endpoint_url" in path.read_bytes():
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Reach:
    """What the spec, the environment and the AWS profile come to."""

    keys: dict[str, str] | None
    provider: Any
    endpoint_url: str | None
    region: str


def _reach(spec: StoreSpec) -> _Reach:
    keys = _keys_at_hand(spec)
    settled = keys is not None or spec.credentials == ANONYMOUS
    if settled and (spec.endpoint_url or (spec.region and not _profile_may_name_endpoint())):
        return _Reach(keys, None, spec.endpoint_url, spec.region or "us-east-1")
    import botocore.exceptions
    import botocore.session

    try:
        session = botocore.session.Session(profile=spec.profile)
        provider = None if settled else _Provider(session, spec.location.url)
        endpoint_url = spec.endpoint_url or _configured_endpoint(session)
        region = spec.region or session.get_config_variable("region") or "us-east-1"
    except botocore.exceptions.BotoCoreError as error:
        raise CredentialsError(" ".join(str(error).split()), spec.location.url, "check the AWS profile") from error
    return _Reach(keys, provider, endpoint_url, region)


def _configured_endpoint(session: Any) -> str | None:
    """Return the endpoint that the AWS configuration names for S3: for the service, or for all of them."""
    from botocore.configprovider import ConfiguredEndpointProvider

    found = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "s3").provide()
    return None if found is None else str(found)


def _keys_at_hand(spec: StoreSpec) -> dict[str, str] | None:
    """Return explicit credentials, or those of the environment, without asking botocore (0.3 s to import)."""
    if spec.credentials.startswith("vault:"):
        if spec.credentials not in _vault:
            raise CredentialsError(
                "credentials given explicitly stay in the process that they were given to",
                spec.location.url,
                "use a profile or environment variables on the workers",
            )
        return _vault[spec.credentials]
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    if spec.credentials == ANONYMOUS or spec.profile or not all(os.environ.get(name) for name in names.values()):
        return None
    keys = {field: os.environ[name] for field, name in names.items()}
    if token := os.environ.get("AWS_SESSION_TOKEN"):
        keys["session_token"] = token
    return keys


class _Provider:
    """Credentials of the AWS chain (profile, SSO, web identity, container, instance role), refreshed by botocore."""

    def __init__(self, session: Any, url: str) -> None:
        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise CredentialsError(
                "no AWS credentials were found", url, "set a profile, AWS_ACCESS_KEY_ID, or `anonymous: true`"
            )

    def __call__(self) -> dict[str, Any]:
        frozen = self._credentials.get_frozen_credentials()
        expires = getattr(self._credentials, "_expiry_time", None)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # A credential that may be renewed is asked for again at least every ten minutes.
            "expires_at": None if expires is None else min(expires.astimezone(dt.UTC), _soon()),
        }


def _soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10)


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

    from zsync.storage.obstore_transport import ObstoreTransport

    reach = _reach(spec)
    # Whatever is not said here obstore takes from the environment by itself.
    options: dict[str, Any] = {
        "region": reach.region,
        "virtual_hosted_style_request": spec.virtual_hosted(reach.endpoint_url),
        "skip_signature": spec.credentials == ANONYMOUS,
        "request_payer": spec.requester_pays,
        "conditional_put": "etag",
    }
    if reach.endpoint_url:
        options["aws_endpoint_url_s3"] = _endpoint(reach.endpoint_url, spec)
    if spec.sse:
        options["server_side_encryption"] = spec.sse
    if spec.sse_kms_key_id:
        options["sse_kms_key_id"] = spec.sse_kms_key_id
    client: dict[str, Any] = {"timeout": f"{REQUEST_TIMEOUT_S}s", "connect_timeout": f"{CONNECT_TIMEOUT_S}s"}
    if (reach.endpoint_url or "").startswith("http://"):
        client["allow_http"] = True
    if spec.ca_bundle:
        client["root_certificate"] = _read_bundle(spec.ca_bundle)

    def open_store(**more: str) -> S3Store:
        return S3Store(
            spec.location.bucket,
            client_options={**client, **more},  # type: ignore[arg-type]
            # Retrying is one layer of ours for both transports: only there is throttling seen and paced.
            retry_config={"max_retries": 0},
            credential_provider=_explicit(reach.keys) if reach.keys else reach.provider,
            **options,
        )

    return ObstoreTransport(
        open_store(read_timeout=f"{READ_TIMEOUT_S}s"),
        spec.location.url,
        etag_is_md5=not (spec.sse or "").startswith("aws:kms"),
        open_patient=open_store,
    )


def _endpoint(url: str, spec: StoreSpec) -> str:
    """Return the endpoint as obstore wants it: with the bucket in its host name where that style is asked for."""
    if not spec.virtual_hosted(url):
        return url
    scheme, _, host = url.partition("://")
    return f"{scheme}://{spec.location.bucket}.{host}"


def _read_bundle(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError("the CA bundle cannot be read", path, error.strerror or "check `ca_bundle`") from error


def _open_fsspec(spec: StoreSpec) -> ObjectStore:
    import fsspec

    from zsync.storage.fsspec_transport import FsspecTransport

    if spec.location.scheme != "s3":
        try:
            fs = fsspec.filesystem(spec.location.scheme)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"no transport for {spec.location.scheme}://", spec.location.url, str(error)) from error
        return FsspecTransport(fs, spec.location)
    return FsspecTransport(open_s3fs(spec), spec.location)


def open_s3fs(spec: StoreSpec) -> Any:
    """Return the file system of s3fs for a spec, without retries of its own; the same spec gives the same one."""
    return _open_s3fs(spec, _circumstances(spec))


@functools.lru_cache(maxsize=64)
def _open_s3fs(spec: StoreSpec, _circumstances: int) -> Any:
    import aiobotocore.session  # type: ignore[import-untyped]
    import botocore.handlers
    import fsspec

    options = s3fs_options(spec)
    # A retry that we do not see is one that is not paced.
    options["config_kwargs"]["retries"] = {"total_max_attempts": 1}
    session = aiobotocore.session.AioSession(profile=options.pop("profile", None))
    # No timeout of aiohttp's counts while it waits for the service to ask for the body.
    session.unregister("before-call.s3", botocore.handlers.add_expect_header)
    fs = fsspec.filesystem("s3", session=session, **options)
    fs.retries = 1
    # Nor does one while a body is sent.
    fs.call_s3 = functools.partial(fs.call_s3, timeout=REQUEST_TIMEOUT_S)
    fs.pipe_file = functools.partial(fs.pipe_file, timeout=REQUEST_TIMEOUT_S)
    return fs


def s3fs_options(spec: StoreSpec) -> dict[str, Any]:
    """Return the options with which s3fs (and so xarray and zarr) reaches the bucket; they hold the secrets."""
    reach = _reach(spec)
    keys = reach.keys
    options: dict[str, Any] = {
        "anon": spec.credentials == ANONYMOUS,
        "client_kwargs": {"region_name": reach.region},
        "config_kwargs": {
            "s3": {"addressing_style": "virtual" if spec.virtual_hosted(reach.endpoint_url) else "path"},
            "retries": {"max_attempts": 1},
            "max_pool_connections": 64,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
        },
        "requester_pays": spec.requester_pays,
        "skip_instance_cache": True,
        "use_listings_cache": False,
    }
    if reach.endpoint_url:
        options["endpoint_url"] = reach.endpoint_url
    if spec.ca_bundle:
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
