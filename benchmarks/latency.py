"""A TCP proxy that is far away: each byte takes half a round trip, a new connection a whole one more.

``python benchmarks/latency.py PORT RTT_MS`` prints the port that it listens on, then, for each line that it reads, how
many requests and connections there were since the line before.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_REQUEST_LINE = b" HTTP/1.1\r\n"


@dataclass
class Counts:
    """What came through."""

    requests: int = 0
    connections: int = 0
    up: int = 0  # bytes towards the server


class Leg(asyncio.Protocol):
    """One end of a connection; what comes in goes out at the other end, later."""

    def __init__(self, delay_s: float, counts: Counts | None = None) -> None:
        self._delay_s, self._counts = delay_s, counts
        self._loop = asyncio.get_running_loop()
        self._under_way: deque[tuple[float, bytes | None]] = deque()
        self.transport: asyncio.Transport | None = None
        self.other: Leg | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._counts is not None:
            self._counts.requests += data.count(_REQUEST_LINE)
            self._counts.up += len(data)
        self._later(data)

    def eof_received(self) -> bool:
        self._later(None)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self._later(None)

    def _later(self, data: bytes | None) -> None:
        self._under_way.append((self._loop.time() + self._delay_s, data))
        self.deliver()

    def deliver(self) -> None:
        """Hand over what has arrived; call again when the next will have."""
        if self.other is None or self.other.transport is None:
            return
        while self._under_way and self._under_way[0][0] <= self._loop.time():
            _, data = self._under_way.popleft()
            if data is None:
                self.other.transport.close()
            else:
                self.other.transport.write(data)
        if self._under_way:
            self._loop.call_at(self._under_way[0][0], self.deliver)


async def serve(upstream: int, rtt_s: float) -> None:
    counts, loop = Counts(), asyncio.get_running_loop()
    dials: set[asyncio.Task[None]] = set()

    async def dial(near: Leg) -> None:
        await asyncio.sleep(rtt_s)
        far = Leg(rtt_s / 2)
        try:
            await loop.create_connection(lambda: far, "127.0.0.1", upstream)
        except OSError:
            if near.transport is not None:
                near.transport.abort()
            return
        near.other, far.other = far, near
        near.deliver()

    def accept() -> Leg:
        counts.connections += 1
        near = Leg(rtt_s / 2, counts)
        task = loop.create_task(dial(near))
        dials.add(task)
        task.add_done_callback(dials.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        print(counts.requests, counts.connections, counts.up, flush=True)
        counts.requests = counts.connections = counts.up = 0


class Far:
    """The proxy in a process of its own; a context.

    Parameters
    ----------
    upstream
        The port of the server, on this machine.
    rtt_ms
        What a round trip takes, in milliseconds.
    """

    def __init__(self, upstream: int, rtt_ms: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(upstream), str(rtt_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.endpoint_url = f"http://127.0.0.1:{int(self._answer())}"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def counts(self) -> Counts:
        """Return what came through since this was asked last."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Counts(*map(int, self._answer().split()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._process.terminate()
        self._process.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
