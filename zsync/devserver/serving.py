"""A server that runs until it is told to end: `zsync dev-server`."""

from __future__ import annotations

import contextlib
import shlex
import signal
import sys
import threading
from typing import TYPE_CHECKING

from zsync.devserver.server import DevServer
from zsync.errors import TargetError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator


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
