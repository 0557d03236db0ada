"""Certificates: those of a bundle as both clients take them, and what is wrong with that of a service."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import re
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zsync.errors import CertificateError, ConfigError
from zsync.system import read_regular, why

if TYPE_CHECKING:
    from zsync.storage.spec import StoreSpec

_MOST_OF_BUNDLE = 2**26  # bytes
_BLOCK = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL)
_ODD = re.compile(rb"BEGIN (?:X509|TRUSTED) CERTIFICATE")
_HOSTS = ("DNS", "IP Address")  # other kinds of names are no text
_LONG = 0x80  # a length of ASN.1 of more than one byte

# What OpenSSL and rustls say, in our words.
_PROBLEMS = (
    (r"has expired|\bExpired", "it has expired", "have it renewed, or set this machine's clock"),
    (r"not yet valid|NotValidYet", "it is not valid yet", "set this machine's clock"),
    (r"[Hh]ostname mismatch|IP address mismatch|doesn't match|NotValidForName", "it is for another name",
     "check `endpoint_url`"),
    (r"self.signed|local issuer|UnknownIssuer|unable to get", "nobody who is trusted here has issued it",
     "name its authority by `ca_bundle` or AWS_CA_BUNDLE"),
    (r"[Rr]evoked", "it was revoked", "have it renewed"),
    (r"CaUsedAsEndEntity", "it is that of an authority", "name it by `ca_bundle` or AWS_CA_BUNDLE"),
)  # fmt: skip


def problem_in(text: str, url: str) -> CertificateError | None:
    """Return what is wrong with a certificate, if that is what a client of S3 says."""
    if "CERTIFICATE_VERIFY_FAILED" not in text and "InvalidCertificate" not in text:
        return None
    found = ((said, advice) for pattern, said, advice in _PROBLEMS if re.search(pattern, text))
    said, advice = next(found, ("it is not sound", "see what issued it"))
    return CertificateError(f"the service's certificate is not accepted: {said}", url, advice)


def read_bundle(spec: StoreSpec) -> bytes:
    """Return the certificates of a spec's bundle, by the name that every client knows them by.

    Raises
    ------
    ConfigError
        It cannot be read, or holds no certificate.
    """
    path = spec.ca_bundle or ""
    try:
        data = read_regular(path, _MOST_OF_BUNDLE)
    except OSError as error:
        raise ConfigError(
            f"the CA bundle cannot be read ({why(error)})", path, f"check {spec.ca_bundle_from}"
        ) from error
    blocks = _BLOCK.findall(data)
    if not blocks:
        raise ConfigError("the CA bundle holds no certificate", path, f"check {spec.ca_bundle_from}; it must be PEM")
    if _ODD.search(data) is None:
        return data
    try:
        return "".join(ssl.DER_cert_to_PEM_cert(_certificate(block)) for block in blocks).encode()
    except (ValueError, IndexError) as error:
        raise _unreadable(spec) from error


def check_bundle(spec: StoreSpec, bundle: bytes) -> None:
    """Raise if not all certificates of a bundle can be read; of a system's bundle it takes long to find that out.

    Raises
    ------
    ConfigError
        It is so.
    """
    try:
        _loaded("".join(ssl.DER_cert_to_PEM_cert(_certificate(block)) for block in _BLOCK.findall(bundle)))
    except (ssl.SSLError, ValueError, IndexError) as error:
        raise _unreadable(spec) from error


def _unreadable(spec: StoreSpec) -> ConfigError:
    message = "the CA bundle holds a certificate that cannot be read"
    return ConfigError(message, spec.ca_bundle, f"check {spec.ca_bundle_from}")


def _loaded(bundle: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    return context


def _certificate(block: bytes) -> bytes:
    """Return a certificate without what OpenSSL keeps behind it of whom it trusts for what."""
    data = base64.b64decode(b"".join(block.split()), validate=True)
    if data[1] < _LONG:
        return data[: 2 + data[1]]
    octets = data[1] & ~_LONG
    return data[: 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")]


def is_own_authority(bundle: bytes, url: str | None) -> bool:
    """Return whether a service has issued its certificate to itself, as an authority: rustls takes no such thing."""
    if not url or not url.startswith("https://"):
        return False
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ssl.SSLError, ValueError, IndexError):  # what cannot be read is found out by its client
        ders = map(_certificate, _BLOCK.findall(bundle))
        few = [der for der in ders if any(part in der for part in _parts(host))]  # to decode all takes long
        return any(_is_name(name, host) for der in few for name in _names(der))
    return False


def _parts(host: str) -> tuple[bytes, ...]:
    """Return what a certificate for a host holds, one way or another."""
    with contextlib.suppress(ValueError):
        return (ipaddress.ip_address(host).packed,)
    return host.lower().encode(), f"*.{host.lower().partition('.')[2]}".encode()


def _names(der: bytes) -> list[str]:
    """Return whom a certificate is for, if it is one of an authority."""
    found: list[dict[str, Any]] = _loaded(ssl.DER_cert_to_PEM_cert(der)).get_ca_certs()
    return [name for one in found for kind, name in one.get("subjectAltName", ()) if kind in _HOSTS]


def _is_name(name: str, host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    first, _, rest = name.lower().partition(".")
    return name.lower() == host.lower() or (first == "*" and host.lower().partition(".")[2] == rest)
