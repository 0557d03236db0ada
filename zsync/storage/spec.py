"""How a store is reached: a value without secrets.

A `StoreSpec` is what travels in task graphs. Credentials that were given explicitly stay in this process, in a vault;
the spec holds the name of their place. Credentials of the AWS chain are found again wherever the spec arrives.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zsync.config.values import endpoint, region
from zsync.errors import ConfigError, CredentialsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zsync.config import Location, Storage

CHAIN = "chain"
ANONYMOUS = "anonymous"

# As boto3 and aws-cli have it, then requests, then OpenSSL: the same for both transports.
_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")

_vault: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """How to reach one bucket (or file system); holds no secret.

    Attributes
    ----------
    below
        Of files: the directory that the product is. It, and its state beside it, are all that is reached.
    """

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
    retries: int | None = None
    below: str = ""

    @property
    def ca_bundle_from(self) -> str:
        """What names the bundle, for messages."""
        return next((name for name in _BUNDLES if os.environ.get(name) == self.ca_bundle), "`ca_bundle`")

    def virtual_hosted(self, endpoint_url: str | None) -> bool:
        """Return whether the bucket is part of the host name: AWS's way; others, and names with dots, go by path."""
        if self.path_style is not None:
            return not self.path_style
        # The certificates of a service are for one label before its name.
        return endpoint_url is None and "." not in self.location.bucket


def spec_for(location: Location, storage: Storage, transport: str = "auto") -> StoreSpec:
    """Return how to reach the bucket of a location.

    Parameters
    ----------
    location
        Any location in the bucket.
    storage
        The user's settings; what they leave open comes from the environment, as with every AWS tool.
    transport
        ``auto`` is obstore for ``s3://`` and fsspec for every other URL; files have a transport of their own.

    Raises
    ------
    ConfigError
        obstore was asked for a URL that is not ``s3://``.
    """
    if transport == "auto":
        transport = "obstore" if location.scheme == "s3" else "fsspec"
    if transport == "obstore" and location.scheme != "s3":
        raise ConfigError("transport obstore is for s3:// targets", location.url, "use transport: fsspec")
    if location.scheme == "file":
        transport = "file"
    root = replace(location, path="")
    if location.scheme != "s3":
        return StoreSpec(root, transport, below=location.path if location.scheme == "file" else "")
    return StoreSpec(
        location=root,
        transport=transport,
        credentials=_credentials_name(storage),
        profile=storage.profile,
        endpoint_url=storage.endpoint_url or from_environment(endpoint, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        region=storage.region or from_environment(region, "AWS_REGION", "AWS_DEFAULT_REGION"),
        path_style=storage.path_style,
        ca_bundle=storage.ca_bundle or next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None),
        sse=storage.sse,
        sse_kms_key_id=storage.sse_kms_key_id,
        requester_pays=storage.requester_pays,
        retries=storage.retries,
    )


def from_environment(check: Callable[[str], str], *names: str) -> str | None:
    """Return what the first of some variables that is set says, if it is fit to be sent; None if none is set.

    Raises
    ------
    ConfigError
        It is not; the text names the variable, and never shows what it says.
    """
    for name in names:
        if value := os.environ.get(name):
            return checked(check, value, name, "correct the variable")
    return None


def checked(check: Callable[[str], str], value: str, where: str, advice: str) -> str:
    """Return a value that a client of S3 takes: what it does not take ends in a panic there.

    Raises
    ------
    ConfigError
        It is another one.
    """
    try:
        return check(value)
    except ValueError as error:
        problem = str(error)
    raise ConfigError(problem, where, advice)


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


def put_away(name: str, keys: Mapping[str, str]) -> bool:
    """Keep credentials in this process's vault, in a place that another process named; whether they are new here."""
    if name in _vault:
        return False
    _vault[name] = dict(keys)
    return True


def leave(name: str) -> None:
    """Forget what is kept in a place."""
    _vault.pop(name, None)


def kept_keys(spec: StoreSpec) -> dict[str, str] | None:
    """Return the credentials that were given explicitly for a spec; None if none were.

    Raises
    ------
    CredentialsError
        They were given in another process.
    """
    if not spec.credentials.startswith("vault:"):
        return None
    if spec.credentials not in _vault:
        raise CredentialsError(
            "credentials given explicitly stay in the process that they were given to",
            spec.location.url,
            "use a profile or environment variables on the workers",
        )
    return _vault[spec.credentials]
