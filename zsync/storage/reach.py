"""What a spec, the environment and the AWS configuration come to: credentials, endpoint, region."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.config.values import credential, endpoint, region
from zsync.errors import ConfigError, CredentialsError
from zsync.storage.regions import endpoint_in, region_found
from zsync.storage.spec import ANONYMOUS, CHAIN, checked, from_environment, kept_keys
from zsync.system import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.storage.spec import StoreSpec

_CORRECT = "correct the AWS profile, or what else the credentials come from"

# What decides which credentials the AWS chain holds, beside its files.
_CHAIN_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip


_MOST_OF_FILE = 2**24  # bytes of an AWS configuration


def circumstances(spec: StoreSpec) -> int:
    """Return what changes when a user corrects credentials while the process lives on, as in a notebook."""
    if spec.location.scheme != "s3":
        return 0
    if spec.credentials != CHAIN:
        return hash(region_found(spec))
    return hash((region_found(spec), *(os.environ.get(name) for name in _CHAIN_VARIABLES), *map(_stamp, _aws_files())))


def _aws_files() -> tuple[str, str]:
    """Return where the AWS configuration and the credentials are kept."""
    return (
        os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config"),  # noqa: PTH111 - as below
        os.path.expanduser(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"),  # noqa: PTH111
    )


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for every object that is read; a Path costs more than the answer
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _profile_may_name_endpoint() -> bool:
    """Whether it is worth importing botocore (0.3 s) to look for an endpoint in the AWS configuration."""
    for path in _aws_files():
        with contextlib.suppress(OSError):
            if b"endpoint_url" in read_regular(path, _MOST_OF_FILE):
                return True
    return False


def _refuse_pipes() -> None:
    """Raise if the AWS configuration is a pipe: whoever opens one waits until somebody writes into it."""
    for path in _aws_files():
        if Path(path).is_fifo():
            raise ConfigError("the AWS configuration is a pipe", path, "write it to a file")


@dataclass(frozen=True, slots=True)
class Reach:
    """How to reach a bucket.

    Attributes
    ----------
    keys
        Fixed credentials, if there are any.
    provider
        Gives credentials of the AWS chain, and renews them; None if there are fixed ones, or none are wanted.
    endpoint_url
        None for AWS itself.
    region
        The region to sign for.
    """

    keys: dict[str, str] | None
    provider: Any
    endpoint_url: str | None
    region: str


def reach(spec: StoreSpec) -> Reach:
    """Return how to reach the bucket of a spec, in the region that it was found in.

    Raises
    ------
    CredentialsError
        The AWS chain holds no credentials, or they were given explicitly in another process.
    """
    place = _reach(spec)
    found = region_found(spec)
    if found is None:
        return place
    return replace(place, region=found, endpoint_url=endpoint_in(place.endpoint_url, found))


def _reach(spec: StoreSpec) -> Reach:
    """Return how to reach the bucket of a spec, by what is said.

    Raises
    ------
    CredentialsError
        The AWS chain holds no credentials, or they were given explicitly in another process.
    """
    keys = _keys_at_hand(spec)
    settled = keys is not None or spec.credentials == ANONYMOUS
    if settled and (spec.endpoint_url or (spec.region and not _profile_may_name_endpoint())):
        return Reach(keys, None, spec.endpoint_url, spec.region or "us-east-1")
    import botocore.exceptions
    import botocore.session

    _refuse_pipes()
    try:
        session = botocore.session.Session(profile=spec.profile)
        provider = None if settled else Provider(session, spec.location.url)
        endpoint_url = spec.endpoint_url or _configured(endpoint, _configured_endpoint(session), "endpoint_url")
        named = spec.region or _configured(region, session.get_config_variable("region"), "region") or "us-east-1"
    except botocore.exceptions.BotoCoreError as error:
        raise CredentialsError(" ".join(str(error).split()), spec.location.url, "check the AWS profile") from error
    return Reach(keys, provider, endpoint_url, named)


def _configured(check: Callable[[str], str], value: str | None, name: str) -> str | None:
    """Return what the AWS configuration says, if it is fit to be sent."""
    return checked(check, value, name, "correct the AWS configuration") if value else None


def _configured_endpoint(session: Any) -> str | None:
    """Return the endpoint that the AWS configuration names for S3: for the service, or for all of them."""
    from botocore.configprovider import ConfiguredEndpointProvider

    found = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "s3").provide()
    return None if found is None else str(found)


def _keys_at_hand(spec: StoreSpec) -> dict[str, str] | None:
    """Return explicit credentials, or those of the environment, without asking botocore (0.3 s to import)."""
    if (given := kept_keys(spec)) is not None:
        return given
    names = {"access_key_id": "AWS_ACCESS_KEY_ID", "secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    if spec.credentials == ANONYMOUS or spec.profile or not all(os.environ.get(name) for name in names.values()):
        return None
    names |= {"session_token": "AWS_SESSION_TOKEN"}
    found = {field: from_environment(credential, name) for field, name in names.items()}
    return {field: value for field, value in found.items() if value is not None}


class Provider:
    """Credentials of the AWS chain (profile, SSO, web identity, container, instance role), refreshed by botocore."""

    def __init__(self, session: Any, url: str) -> None:
        self._credentials = session.get_credentials()
        if self._credentials is None:
            raise CredentialsError(
                "no AWS credentials were found", url, "set a profile, AWS_ACCESS_KEY_ID, or `anonymous: true`"
            )
        if type(self._credentials).__name__ == "Credentials":  # written down somewhere: nothing has to be fetched
            self()

    def __call__(self) -> dict[str, Any]:
        """Return credentials as obstore wants them."""
        frozen = self._credentials.get_frozen_credentials()
        expires = getattr(self._credentials, "_expiry_time", None)
        return {
            "access_key_id": checked(credential, frozen.access_key, "access key", _CORRECT),
            "secret_access_key": checked(credential, frozen.secret_key, "secret key", _CORRECT),
            "token": frozen.token and checked(credential, frozen.token, "session token", _CORRECT),
            # A credential that may be renewed is asked for again at least every ten minutes.
            "expires_at": None if expires is None else min(expires.astimezone(dt.UTC), _soon()),
        }


def _soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10)
