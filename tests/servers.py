"""The S3 servers that tests run against, all on loopback, all with the same few attributes as `DevServer`."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, Self
from urllib.parse import quote, urlencode

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.session import Session

from zsync.devserver.ports import free_ports

HOST = "127.0.0.1"


class S3Server(Protocol):
    """What tests know of a server."""

    region: str
    access_key: str
    secret_key: str

    @property
    def endpoint_url(self) -> str: ...

    def create_bucket(self, name: str, *, versioning: bool = False) -> None: ...


def s3_client(server: S3Server, *, endpoint_url: str | None = None, attempts: int = 1, **keys: str) -> Any:
    """A botocore client that reads no configuration; `access_key=` and `secret_key=` replace the server's own."""
    with _session_lock:
        return _session().create_client(
            "s3",
            endpoint_url=endpoint_url or server.endpoint_url,
            region_name=server.region,
            aws_access_key_id=keys.get("access_key", server.access_key),
            aws_secret_access_key=keys.get("secret_key", server.secret_key),
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": attempts},
                proxies={},
                s3={"addressing_style": "path"},
            ),
        )


_session_lock = threading.Lock()


def lasting_client(server: S3Server) -> Any:
    """A client for looks at a server that lasts as long as this process; one takes longer to make than to ask."""
    return _lasting_client(server.endpoint_url, server.region, server.access_key, server.secret_key)


@functools.cache
def _lasting_client(endpoint_url: str, region: str, access_key: str, secret_key: str) -> Any:
    server = SimpleNamespace(endpoint_url=endpoint_url, region=region, access_key=access_key, secret_key=secret_key)
    return s3_client(server)


def signed(server: S3Server, method: str, path: str, query: dict[str, str] | None = None) -> bytes:
    """Ask a server for something, and return what it says as it stands."""
    url = f"{server.endpoint_url}/{path}?{urlencode(query or {}, quote_via=quote)}"
    request = AWSRequest(method, url.removesuffix("?"), data=b"")
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region).add_auth(request)
    answer = _connections().send(request.prepare())
    assert answer.status_code in (200, 204), answer.text
    return answer.content


@functools.cache
def _connections() -> URLLib3Session:
    return URLLib3Session(proxies={})


def object_store(server: S3Server, bucket: str, **more: Any) -> Any:
    """Open a bucket with obstore, directly; nothing is left for it to take from the environment."""
    from obstore.store import S3Store

    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "expires_at": None}
    return S3Store(
        bucket,
        aws_endpoint_url_s3=server.endpoint_url,
        region=server.region,
        credential_provider=lambda: keys,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        **more,
    )


@functools.lru_cache(100)
def opened(server: S3Server, bucket: str, prefix: str = "") -> Any:
    """Open what is below a prefix, once: that takes longer than to read one of the stores there."""
    return object_store(server, bucket, prefix=prefix)


@functools.cache
def _session() -> Session:
    """One session for all clients: it takes 0.2 s to read botocore's models, and it keeps them."""
    nowhere = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return Session(session_vars=nowhere)


def tool_env(server: S3Server, **more: str) -> dict[str, str]:
    """Environment variables that point zsync and other tools at a server."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "S3_ENDPOINT_URL": server.endpoint_url,
        **more,
    }


class Buckets:
    """Fresh buckets, each made while the test before it runs: the first write to a bucket of SeaweedFS takes 0.2 s."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._numbers = itertools.count()
        self._salt = secrets.token_hex(3)
        self._worker = ThreadPoolExecutor(1, "buckets")
        self._next = {versioning: self._worker.submit(self._make, versioning) for versioning in (False, True)}

    def take(self, *, versioning: bool = False) -> str:
        ready, self._next[versioning] = self._next[versioning], self._worker.submit(self._make, versioning)
        return ready.result(60)

    def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _make(self, versioning: bool) -> str:
        name = f"{'versioned' if versioning else 'plain'}-{self._salt}-{next(self._numbers):04d}"
        for method, path in (("PUT", name), ("PUT", f"{name}/warm-up"), ("DELETE", f"{name}/warm-up")):
            signed(self._server, method, path)
        if versioning:  # only now, so that the bucket holds no version of the warm-up
            self._server.create_bucket(name, versioning=True)
        return name


class RcloneServer:
    """`rclone serve s3` on a directory: buckets are directories, objects are files. It keeps no versions."""

    region = "us-east-1"
    access_key = "rclone-key"
    secret_key = "rclone-secret"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def create_bucket(self, name: str, *, versioning: bool = False) -> None:
        assert not versioning, "rclone keeps no versions"
        with contextlib.closing(s3_client(self)) as client:
            client.create_bucket(Bucket=name)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        log = self.directory.parent / "rclone.log"
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    *(_tool("rclone"), "serve", "s3", str(self.directory), "--config", os.devnull),
                    *("--addr", f"{HOST}:{self.port}", "--auth-key", f"{self.access_key},{self.secret_key}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        with contextlib.closing(s3_client(self)) as client:
            deadline = time.monotonic() + 30
            while True:
                assert self._process.poll() is None, log.read_text()
                with contextlib.suppress(BotoCoreError, ClientError):
                    client.list_buckets()
                    return self
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)

    def __exit__(self, *error: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class MotoServer:
    """moto's S3 in a thread of this process. It checks no signatures."""

    region = "us-east-1"
    access_key = "moto-key"
    secret_key = "moto-secret"

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
        self.endpoint_url = ""

    def create_bucket(self, name: str, *, versioning: bool = False) -> None:
        with contextlib.closing(s3_client(self)) as client:
            client.create_bucket(Bucket=name)
            if versioning:
                client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def __enter__(self) -> Self:
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint_url = f"http://{host}:{port}"
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop()


def _tool(name: str) -> str:
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    assert found, f"{name} is not installed: pip install '.[test]'"
    return found
