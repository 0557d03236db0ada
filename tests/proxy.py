"""A proxy between zsync and an S3 server that records every request, and makes chosen ones go wrong.

Bytes pass as they are, the Host header too, so signatures stay valid. Everything happens in one thread: while a rule or
a watcher runs, the proxy stands still, and who looks at the server directly sees what a reader sees at that instant.

::

    with Proxy(s3.endpoint_url) as proxy:
        proxy.faults.append(on(Fault.slow_down(), method="PUT", key="*/.zmetadata"))
        ...
        assert [r.key for r in proxy.requests if r.method == "PUT"] == [...]
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

HOST = "127.0.0.1"
_LIMIT = 1 << 20


@dataclass
class Exchange:
    """One request, and what became of it."""

    arrival: int
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    started: float
    size: int = 0
    sha256: str = ""
    fault: Fault | None = None
    upstream_status: int | None = None  # what the server answered
    status: int | None = None  # what the client was told; None if it was told nothing
    ended: float | None = None
    completion: int | None = None

    @property
    def is_write(self) -> bool:
        """Whether it may change what readers see."""
        return self.method in {"PUT", "DELETE", "POST"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a request."""

    kind: Literal["error", "answer", "reset", "lost", "delay", "truncate", "refuse"]
    status: int = 0
    code: str = ""
    seconds: float = 0.0
    until: threading.Event | None = None
    keep: int = 0
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def slow_down(cls) -> Fault:
        """503 SlowDown; the server never hears of the request."""
        return cls("error", 503, "SlowDown")

    @classmethod
    def error(cls, status: int = 500, code: str = "InternalError") -> Fault:
        """An S3 error document; the server never hears of the request."""
        return cls("error", status, code)

    @classmethod
    def answer(cls, status: int, body: str, content_type: str = "application/xml", **headers: str) -> Fault:
        """This answer; the server never hears of the request."""
        return cls("answer", status, body=body.encode(), content_type=content_type, headers=tuple(headers.items()))

    @classmethod
    def reset(cls) -> Fault:
        """The connection is reset before the server hears of the request."""
        return cls("reset")

    @classmethod
    def lost(cls) -> Fault:
        """The server acts, but its answer is lost: the connection is reset."""
        return cls("lost")

    @classmethod
    def delay(cls, seconds: float) -> Fault:
        """The request reaches the server later; others go on meanwhile."""
        return cls("delay", seconds=seconds)

    @classmethod
    def hold(cls, until: threading.Event, seconds: float = 20.0) -> Fault:
        """The request reaches the server once `until` is set, or after so many seconds; others go on meanwhile."""
        return cls("delay", seconds=seconds, until=until)

    @classmethod
    def truncate(cls, keep: int) -> Fault:
        """The answer's headers promise the whole body, but only `keep` bytes of it come before the end."""
        return cls("truncate", keep=keep)

    @classmethod
    def refuse(cls) -> Fault:
        """This request and all after it, and all connections, are refused."""
        return cls("refuse")


Rule = Callable[[Exchange], "Fault | None"]


def on(
    fault: Fault,
    *,
    nth: int = 1,
    times: int | None = 1,
    method: str | None = None,
    key: str = "*",
    query: str | None = None,
) -> Rule:
    """Return a rule: from the `nth` request that matches, `times` of them (None: all) suffer the fault.

    `key` is a shell pattern, `query` the name of a query parameter that must be there (``uploads``, ``list-type``).
    """
    count = itertools.count(1)

    def rule(exchange: Exchange) -> Fault | None:
        if method not in {None, exchange.method} or not fnmatchcase(exchange.key, key):
            return None
        if query is not None and query not in exchange.query:
            return None
        number = next(count)
        return fault if number >= nth and (times is None or number < nth + times) else None

    return rule


class Proxy:
    """The proxy, as a context manager. An exception in a rule or a watcher comes out at its end."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname == HOST, "tests send nothing beyond this machine"
        self.upstream_port = parts.port or 80
        self.requests: list[Exchange] = []
        self.faults: list[Rule] = []
        self.watchers: list[Callable[[Exchange], None]] = []
        self.errors: list[Exception] = []
        self.port = 0
        self._completions = itertools.count()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy", daemon=True)

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def completed(self) -> list[Exchange]:
        """The requests that came to an end, in that order."""
        done = [exchange for exchange in self.requests if exchange.completion is not None]
        return sorted(done, key=lambda exchange: exchange.completion or 0)

    def refuse(self) -> None:
        """Break all connections, and accept no more."""
        self._call(self._refuse())

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._call(self._listen())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10), "the proxy did not start"
        return self

    def __exit__(self, *error: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self.errors and error[0] is None:
            raise self.errors[0]

    def _call(self, work) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._listen()
        self._ready.set()
        await self._stop.wait()
        await self._refuse()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=_LIMIT)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        others = [task for task in self._connections if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await connection.exchange():
                pass
        except (OSError, asyncio.IncompleteReadError, _Reset):
            _reset(writer)
        except asyncio.CancelledError:
            # The proxy ends, or refuses. The task ends here in any case; asyncio's server would log the cancellation.
            _reset(writer)
        except Exception as error:
            self.errors.append(error)
            _reset(writer)
        finally:
            connection.close()
            self._connections.discard(task)

    def begin(self, method: str, target: str, headers: dict[str, str]) -> Exchange:
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        options = dict(parse_qsl(query, keep_blank_values=True))
        exchange = Exchange(len(self.requests), method, bucket, key, options, headers, time.monotonic())
        self.requests.append(exchange)
        return exchange

    def end(self, exchange: Exchange) -> None:
        if exchange.completion is None:
            exchange.ended = time.monotonic()
            exchange.completion = next(self._completions)


class _Reset(Exception):  # noqa: N818 - not an error: the way out of a connection that is to be reset
    pass


@dataclass
class _Message:
    """A request or a response: raw bytes to pass on, and what they mean."""

    first: list[str]
    headers: dict[str, str]
    head: bytes
    raw: bytes = b""
    body: bytes = b""
    closes: bool = False


@dataclass
class _Connection:
    """One connection of a client, and the one to the server that goes with it."""

    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None)

    async def exchange(self) -> bool:
        """Pass one request and its answer; return whether the connection goes on."""
        request = await self._request()
        if request is None:
            return False
        message, exchange = request
        try:
            return await self._answer(message, exchange)
        finally:
            self.proxy.end(exchange)

    async def _request(self) -> tuple[_Message, Exchange] | None:
        try:
            message = await _read_head(self.reader)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        method, target, _ = message.first
        exchange = self.proxy.begin(method, target, message.headers)
        if message.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await _read_body(self.reader, message)
        exchange.size, exchange.sha256 = len(message.body), hashlib.sha256(message.body).hexdigest()
        return message, exchange

    async def _answer(self, message: _Message, exchange: Exchange) -> bool:
        fault = exchange.fault = next((found for rule in self.proxy.faults if (found := rule(exchange))), None)
        kind = None if fault is None else fault.kind
        if fault is not None and kind in {"error", "answer"}:
            exchange.status = fault.status
            await self._tell(exchange, _made_up(exchange, fault))
            return True
        if kind == "refuse":
            await self.proxy._refuse()
        if kind in {"refuse", "reset"}:
            raise _Reset
        if fault is not None and kind == "delay":
            await _pass(fault)
        response = await self._forward(message, exchange)
        for watcher in self.proxy.watchers:
            watcher(exchange)
        if kind == "lost":
            raise _Reset
        exchange.status = exchange.upstream_status
        if fault is not None and kind == "truncate":
            await self._tell(exchange, response.head + response.raw[: fault.keep])
            return False
        await self._tell(exchange, response.head + response.raw)
        return not response.closes and message.headers.get("connection", "").lower() != "close"

    async def _tell(self, exchange: Exchange, answer: bytes) -> None:
        # On record before the client can know, so that a test finds all that it was answered.
        self.proxy.end(exchange)
        self.writer.write(answer)
        await self.writer.drain()

    async def _forward(self, message: _Message, exchange: Exchange) -> _Message:
        if self.upstream is not None and self.upstream[0].at_eof():  # the server gave up an idle connection
            self._close_upstream()
        if self.upstream is None:
            self.upstream = await asyncio.open_connection(HOST, self.proxy.upstream_port, limit=_LIMIT)
        reader, writer = self.upstream
        writer.write(message.head + message.raw)
        await writer.drain()
        response = await _read_head(reader)
        while response.first[1] == "100":
            response = await _read_head(reader)
        exchange.upstream_status = int(response.first[1])
        if message.first[0] != "HEAD" and exchange.upstream_status not in {204, 304}:
            await _read_body(reader, response, is_response=True)
        if response.closes:
            self._close_upstream()
        return response

    def _close_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream[1].close()
            self.upstream = None

    def close(self) -> None:
        self._close_upstream()
        self.writer.close()


async def _read_head(reader: asyncio.StreamReader) -> _Message:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return _Message(first.split(" ", 2), headers, head)


async def _pass(fault: Fault) -> None:
    end = time.monotonic() + fault.seconds
    while (left := end - time.monotonic()) > 0 and not (fault.until is not None and fault.until.is_set()):
        await asyncio.sleep(left if fault.until is None else 0.01)


async def _read_body(reader: asyncio.StreamReader, message: _Message, *, is_response: bool = False) -> None:
    if "chunked" in message.headers.get("transfer-encoding", "").lower():
        message.raw, message.body = await _read_chunked(reader)
    elif "content-length" in message.headers:
        message.raw = message.body = await reader.readexactly(int(message.headers["content-length"]))
    elif is_response:
        message.raw = message.body = await reader.read()
        message.closes = True
    message.closes = message.closes or message.headers.get("connection", "").lower() == "close"


async def _read_chunked(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    raw, body = bytearray(), bytearray()
    while True:
        line = await reader.readuntil(b"\r\n")
        raw += line
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        piece = await reader.readexactly(size + 2)
        raw += piece
        body += piece[:-2]
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":  # trailers
        raw += line
    return bytes(raw + line), bytes(body)


def _made_up(exchange: Exchange, fault: Fault) -> bytes:
    """Return the answer of a fault that answers itself: its own body, or an S3 error document."""
    body, content_type = fault.body, fault.content_type
    if fault.kind == "error":
        content_type = "application/xml"
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{fault.code}</Code>'
            f"<Message>made by the test</Message><Resource>/{exchange.bucket}</Resource>"
            f"<RequestId>proxy-{exchange.arrival}</RequestId></Error>"
        ).encode()
    head = f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\nContent-Type: {content_type}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fault.headers)
    body = b"" if exchange.method == "HEAD" else body
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST rather than FIN: no client takes that for a proper end."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
