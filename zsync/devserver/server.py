"""The server itself: its start, its buckets, its end."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.devserver.ports import GRPC_OFFSET, HOST, free_ports, is_free
from zsync.devserver.process import Weed, executable, last_lines
from zsync.errors import ConfigError, TargetError
from zsync.system import advice_on

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

ACCESS_KEY = "zsync-dev"
SECRET_KEY = "zsync-dev-secret"  # noqa: S105 - the key of a server that only this machine can reach
REGION = "us-east-1"

_SERVICES = ("master", "volume", "filer", "s3", "admin")
_ATTEMPTS = 5
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
_PORT_TAKEN = ("is not available on", "address already in use")


class DevServer:
    """A SeaweedFS S3 server on loopback.

    On Linux it ends with the thread that started it, even if that is killed; elsewhere a killed process leaves it.

    Parameters
    ----------
    directory
        Where to keep the data. A temporary directory, which `stop` removes, if left out.
    port
        Port of the S3 endpoint; 0 for a free one.
    access_key, secret_key
        The only credentials the server knows.
    buckets
        Buckets that exist when the server is up.
    fast
        Twice the rate of small PUTs, but a few seconds to start: for benchmarks.

    Examples
    --------
    ::

        with DevServer() as server:
            subprocess.run(["s5cmd", "ls"], env={**os.environ, **server.env()}, check=True)
    """

    region = REGION

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        port: int = 0,
        access_key: str = ACCESS_KEY,
        secret_key: str = SECRET_KEY,
        buckets: Iterable[str] = ("zsync",),
        fast: bool = False,
    ) -> None:
        self.directory = None if directory is None else Path(directory).absolute()
        self.port = port
        self.access_key = access_key
        self.secret_key = secret_key
        self.buckets = tuple(buckets)
        self.fast = fast
        self._is_temporary = directory is None
        self._wanted_port = port
        self._weed: Weed | None = None
        self._scratch: Path | None = None
        self._grpc_ports: tuple[int, ...] = ()
        self._client: Any = None

    @property
    def endpoint_url(self) -> str:
        """URL of the S3 endpoint, such as ``http://127.0.0.1:8333``."""
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id of the server; None when it is not running."""
        return None if self._weed is None else self._weed.pid

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self.pid is not None

    @property
    def log(self) -> Path | None:
        """The server's log, in its directory."""
        return None if self.directory is None else self.directory / "weed.log"

    def env(self) -> dict[str, str]:
        """Environment variables that point the usual tools at this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "S3_ENDPOINT_URL": self.endpoint_url,  # s5cmd
        }

    def start(self) -> Self:
        """Start the server, and return once buckets can be made, written and read."""
        if self._weed is not None:
            raise ConfigError("the server is running already", self.endpoint_url)
        weed = executable()
        if self._wanted_port not in range(2**16):
            raise ConfigError("this is no port", str(self._wanted_port), "name one up to 65535, or 0 for a free one")
        if self._wanted_port and not is_free(self._wanted_port):
            raise ConfigError("the port is taken", str(self._wanted_port), "name another one, or 0 for a free one")
        self._scratch = Path(tempfile.mkdtemp(prefix="zsync-dev-"))
        if self.directory is None:
            self.directory = self._scratch / "data"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._start_onfree_ports(weed)
        except OSError as error:
            self.stop()
            why = f"the data cannot be kept there ({error.strerror})"
            raise ConfigError(why, str(error.filename or self.directory), advice_on(error)) from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and wait for its end; remove its directory if it was a temporary one."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._end_process()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._is_temporary:
            self.directory = None

    def create_bucket(self, name: str, *, versioning: bool = False) -> None:
        """Make a bucket, unless it is there.

        Parameters
        ----------
        name
            The bucket's name.
        versioning
            Keep every version of its objects.
        """
        client = self._s3()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket=name)
        if versioning:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def last_log_lines(self, count: int = 5) -> str:
        """Return the last lines of the server's log, joined by `` | ``."""
        return last_lines(self.log, count)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_onfree_ports(self, weed: str) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self._launch(weed)
            try:
                self._wait_until_ready()
            except TargetError:
                said = self.last_log_lines(50)
                if attempt == _ATTEMPTS or not any(words in said for words in _PORT_TAKEN):
                    raise
                self._end_process()
            else:
                return

    def _launch(self, weed: str) -> None:
        ports = dict(zip(_SERVICES, free_ports(len(_SERVICES)), strict=True))
        grpc_ports = {service: port + GRPC_OFFSET for service, port in ports.items()}
        if self._wanted_port:
            ports["s3"] = self._wanted_port
        self.port = ports["s3"]
        self._grpc_ports = tuple(grpc_ports.values())
        self._client = None
        if self.log is None or self._scratch is None:
            raise AssertionError("start() has made a directory")
        self._weed = Weed([weed, *self._arguments(ports, grpc_ports)], self._scratch, self.log, self._identity())

    def _arguments(self, ports: dict[str, int], grpc_ports: dict[str, int]) -> list[str]:
        used = [service for service in _SERVICES if not (self.fast and service == "admin")]
        return [
            *(["server", "-s3", "-filer", "-master.volumeSizeLimitMB=1024"] if self.fast else ["mini"]),
            *(f"-{service}.port={ports[service]}" for service in used),
            *(f"-{service}.port.grpc={grpc_ports[service]}" for service in used),
            *([] if self.fast else ["-webdav=false", "-admin.ui=false"]),
            f"-dir={self.directory}",
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-filer.localSocket={self._scratch}/filer.sock",
            f"-s3.localSocket={self._scratch}/s3.sock",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            # S3 does not make a bucket because somebody writes to it.
            "-s3.autoCreateBucket=false",
            # Every bucket takes volumes of its own; by default the free disk space would allow a few dozen buckets.
            "-volume.max=10000",
            "-volume.preStopSeconds=0",
            "-master.telemetry=false",
        ]

    def _identity(self) -> dict[str, str]:
        """Return the only identity that weed knows: it reads it from its environment."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def _wait_until_ready(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        deadline = time.monotonic() + _START_SECONDS
        last: Exception | None = None
        while self.is_running:
            if time.monotonic() > deadline:
                raise TargetError(
                    f"the S3 server is not ready after {_START_SECONDS:.0f} s ({last})",
                    str(self.log),
                    self.last_log_lines(),
                )
            try:
                self._use_every_bucket()
            except (BotoCoreError, ClientError) as error:
                if isinstance(error, ClientError) and error.response["Error"]["Code"] == "InvalidBucketName":
                    raise ConfigError(
                        "the S3 server takes no bucket of this name",
                        ", ".join(self.buckets),
                        "use 3 to 63 lower-case letters, digits and hyphens",
                    ) from error
                last = error
                time.sleep(_POLL_SECONDS)
            else:
                if self.is_running:  # else somebody else's server answered on the port that ours did not get
                    return
        raise TargetError("the S3 server did not start", str(self.log), self.last_log_lines())

    def _use_every_bucket(self) -> None:
        """Write, read and delete an object: the first answers come before the server can do that."""
        client = self._s3()
        for bucket in self.buckets:
            self.create_bucket(bucket)
            key = f"zsync-dev-probe-{secrets.token_hex(4)}"
            client.put_object(Bucket=bucket, Key=key, Body=b"probe")
            client.get_object(Bucket=bucket, Key=key)["Body"].read()
            client.delete_object(Bucket=bucket, Key=key)
        client.list_buckets()

    def _s3(self) -> Any:
        if self._client is None:
            self._client = _client(self.endpoint_url, self.access_key, self.secret_key)
        return self._client

    def _end_process(self) -> None:
        weed, self._weed = self._weed, None
        if weed is None:
            return
        # Nobody will miss data that is about to be removed; a kept directory is given time to be closed.
        weed.end(3 if self._is_temporary else 30)
        for port in self._grpc_ports:
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):  # noqa: S108 - weed's choice
                socket_file.unlink(missing_ok=True)


def _client(endpoint_url: str, access_key: str, secret_key: str) -> Any:
    """Return a botocore client that knows nothing of the user's profiles, proxies and retries."""
    from botocore.config import Config
    from botocore.session import Session

    nowhere = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return Session(session_vars=nowhere).create_client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            connect_timeout=2,
            read_timeout=20,
            retries={"total_max_attempts": 1},
            proxies={},
            s3={"addressing_style": "path"},
        ),
    )
