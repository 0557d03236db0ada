"""What comes between us and a service: certificates and proxies, told by their name whatever transport is used."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl

import pytest
from anyservice import AnyService
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zsync.config import Location, Storage
from zsync.errors import CertificateError, ConfigError, CredentialsError, NetworkError
from zsync.storage import connect, spec_for
from zsync.storage.certificates import is_own_authority

TRANSPORTS = ["obstore", "fsspec"]


class Issued:
    """A certificate for 127.0.0.1 and its key, as files."""

    def __init__(self, directory, name, by=None, *, days=(-1, 30), ip="127.0.0.1", is_authority=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now, issuer = dt.datetime.now(dt.UTC), by or self
        made = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(issuer.name)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days[0])).not_valid_after(now + dt.timedelta(days[1]))
        )  # fmt: skip
        names = [x509.DirectoryName(self.name), *([x509.IPAddress(ipaddress.ip_address(ip))] if ip else [])]
        made = made.add_extension(x509.SubjectAlternativeName(names), False)
        if is_authority:
            made = made.add_extension(x509.BasicConstraints(True, None), True)
        self.pem = directory / f"{name}.pem"
        self.key_file = directory / f"{name}.key"
        self.pem.write_bytes(made.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.key_file.write_bytes(
            self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
        )  # fmt: skip


class SecureService(AnyService):
    def __init__(self, shown):
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.pem, shown.key_file)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.handle_error = lambda *_: None  # who refuses a certificate hangs up

    @property
    def endpoint_url(self):
        return super().endpoint_url.replace("http:", "https:")


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    authority = Issued(directory, "authority", ip=None, is_authority=True)
    return {
        "authority": authority,
        "good": Issued(directory, "good", authority),
        "expired": Issued(directory, "expired", authority, days=(-20, -10)),
        "early": Issued(directory, "early", authority, days=(10, 20)),
        "other": Issued(directory, "other", authority, ip="127.0.0.9"),
        "own": Issued(directory, "own", is_authority=True),
        "own, no authority": Issued(directory, "own-leaf"),
    }


@pytest.fixture(autouse=True)
def _no_bundle(monkeypatch):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def look(service, transport, bundle=None):
    storage = Storage(**service.storage, retries=0, ca_bundle=bundle and str(bundle))
    return list(connect(spec_for(Location.parse("s3://anything/x"), storage, transport)).list(""))


def bundles(directory, authority, other):
    """What boto3 takes."""
    pem = authority.pem.read_bytes()
    trusted = pem.replace(b"BEGIN CERT", b"BEGIN X509 CERT").replace(b"END CERT", b"END X509 CERT")
    texts = {
        "plain": pem, "with words": "# é\nCertificate:\n  Data:\n".encode() + pem, "CR LF": pem.replace(b"\n", b"\r\n"),
        "the old name": trusted, "of many": other.pem.read_bytes() * 2 + pem,
        "with a key": authority.key_file.read_bytes() + pem,
    }  # fmt: skip
    for name, text in texts.items():
        (directory / name).write_bytes(text)
        yield directory / name


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_k25_bundles_that_boto3_takes(issued, tmp_path, transport, monkeypatch):
    with SecureService(issued["good"]) as service:
        service.objects["a"] = b"a"
        for path in bundles(tmp_path, issued["authority"], issued["own"]):
            assert look(service, transport, path)[0].keys == ["a"], path.name
        for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            with monkeypatch.context() as patch:
                patch.setenv(name, str(issued["authority"].pem))
                assert look(service, transport)
    for name in ("own", "own, no authority"):
        with SecureService(issued[name]) as service:
            service.objects["a"] = b"a"
            assert look(service, transport, issued[name].pem), name


@pytest.mark.parametrize(("text", "says"), [
    (b"", "holds no certificate"), (b"\n", "holds no certificate"), (b"sesame", "holds no certificate"),
    (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
    (b"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n", "cannot be read"),
    (b"-----BEGIN CERTIFICATE-----\n\xe9!!!\n-----END CERTIFICATE-----\n", "cannot be read"),
])  # fmt: skip
def test_k25_bundles_that_are_none(tmp_path, monkeypatch, text, says):
    path = tmp_path / "bundle"
    path.write_bytes(text)
    with AnyService() as service:
        for transport in TRANSPORTS:
            for url in (service.endpoint_url, "https://127.0.0.1:9"):
                storage = Storage(**{**service.storage, "endpoint_url": url}, ca_bundle=str(path))
                with pytest.raises(ConfigError, match=says):
                    connect(spec_for(Location.parse("s3://anything/x"), storage, transport)).head("x")
            with pytest.raises(ConfigError, match=says) as raised:
                look(service, transport, path)
            assert str(path) in str(raised.value)
            monkeypatch.setenv("AWS_CA_BUNDLE", str(path))
            with pytest.raises(ConfigError, match="check AWS_CA_BUNDLE"):
                look(service, transport)
            monkeypatch.delenv("AWS_CA_BUNDLE")


@pytest.mark.parametrize(("shown", "trusted", "says"), [
    ("expired", "authority", "it has expired"), ("early", "authority", "it is not valid yet"),
    ("other", "authority", "it is for another name"), ("good", "own", "nobody who is trusted"),
    ("good", None, "nobody who is trusted"),
    ("own", None, "it is that of an authority|nobody who is trusted"),
])  # fmt: skip
def test_k25_a_certificate_that_is_not_accepted_is_called_so(issued, shown, trusted, says):
    with SecureService(issued[shown]) as service:
        for transport in TRANSPORTS:
            with pytest.raises(CertificateError, match=f"certificate is not accepted: ({says})"):
                look(service, transport, trusted and issued[trusted].pem)


def test_k25_whose_certificate_it_is(issued):
    own = issued["own"].pem.read_bytes()
    assert is_own_authority(own, "https://127.0.0.1:9000")
    assert not is_own_authority(own, "https://127.0.0.2")
    assert not is_own_authority(own, "http://127.0.0.1")
    assert not is_own_authority(own, None)
    assert not is_own_authority(issued["authority"].pem.read_bytes(), "https://127.0.0.1:9000")


# --- proxies ---------------------------------------------------------------------------------------------------------


def a_port_that_nobody_listens_on():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_k12_a_dead_proxy_is_named(monkeypatch, transport, name):
    place = f"127.0.0.1:{a_port_that_nobody_listens_on()}"
    monkeypatch.setenv(name, f"http://ann:sesame@{place}")
    with AnyService() as service:
        service.objects["a"] = b"a"
        if (transport, name) == ("fsspec", "ALL_PROXY"):  # botocore asks nobody for it
            assert look(service, transport)
            return
        with pytest.raises(NetworkError, match="through the proxy") as raised:
            look(service, transport)
        assert place in str(raised.value)
        assert name in str(raised.value)
        assert "sesame" not in str(raised.value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        service.region = "us-west-2"  # a client is made once, by what there is then
        assert look(service, transport)


def test_k12_a_service_that_is_dead_is_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for transport in TRANSPORTS:
        service = AnyService()
        service._server.server_close()
        with pytest.raises(NetworkError, match="check `endpoint_url`"):
            look(service, transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_k12_a_proxy_that_asks_who_one_is(monkeypatch, transport):
    with AnyService() as proxy, AnyService() as service:
        proxy.status = 407
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint_url)
        with pytest.raises(CredentialsError, match="the proxy wants to know"):
            look(service, transport)


# --- names with dots -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bucket", "more", "is_virtual"), [
    ("a.bucket", {}, False), ("a.bucket", {"path_style": False}, True), ("bucket", {}, True),
    ("bucket", {"path_style": True}, False), ("bucket", {"endpoint_url": "http://127.0.0.1:9"}, False),
])  # fmt: skip
def test_k20_names_with_dots_go_by_path(bucket, more, is_virtual):
    spec = spec_for(Location.parse(f"s3://{bucket}/x"), Storage(region="us-west-2", **more))
    assert spec.virtual_hosted(spec.endpoint_url) is is_virtual
