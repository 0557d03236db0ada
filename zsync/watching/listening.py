"""The endpoints: /healthz, /info, /metrics and /reload, over HTTP."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import socketserver
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

from zsync.errors import ConfigError
from zsync.watching.metrics import exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsync.watching.status import Board

log = logging.getLogger(__name__)

_JSON = "application/json"
_TIMEOUT_S = 10.0  # a client that says nothing for so long is let go


class Listener:
    """Answers on one address, in threads of its own, until it is closed.

    Parameters
    ----------
    address
        Such as ``127.0.0.1:8090``; port 0 takes a free one.
    board
        What is told.
    reload
        Called when somebody asks for the configuration to be read again.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """

    def __init__(self, address: str, board: Board, reload: Callable[[], None]) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")

        class Handler(_Handler):
            pass

        Handler.board, Handler.reloads, Handler.is_local = board, [reload], _is_loopback(host)
        try:
            self._server = _Server((host, int(port)), Handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen there ({error.strerror})", address, "choose another watch.listen, or off"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="zsync-http", daemon=True)
        self._thread.start()
        log.info("listening on http://%s", self.address)

    @property
    def address(self) -> str:
        """The address, with the port that it turned out to be."""
        host, port = self._server.server_address[:2]
        name = host if isinstance(host, str) else host.decode()
        return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that hangs must not keep the service from ending

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the DNS for the host's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as socketserver calls it
        log.debug("a client went away", exc_info=True)  # noqa: LOG014 - socketserver calls it while it handles one


class _Handler(BaseHTTPRequestHandler):
    board: ClassVar[Board]
    reloads: ClassVar[list[Callable[[], None]]]
    is_local: ClassVar[bool]
    timeout = _TIMEOUT_S
    server_version = "zsync"
    sys_version = ""

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        path = self.path.partition("?")[0]
        if path == "/healthz":
            failing = self.board.failing
            status = HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK
            self._answer_json(status, {"status": "failing" if failing else "ok", "failing": failing})
        elif path == "/info":
            self._answer_json(HTTPStatus.OK, self.board.to_dict())
        elif path == "/metrics":
            content_type, body = exposition(self.board)
            self._answer(HTTPStatus.OK, content_type, body)
        elif path == "/reload":
            self._answer_json(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "POST it"}, Allow="POST")
        else:
            self._answer_json(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /info, /metrics and /reload"})

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def do_POST(self) -> None:
        if not self._is_ours():
            return
        path = self.path.partition("?")[0]
        if path == "/reload":
            if self.headers.get("Origin") is not None:  # no page of a browser has business here
                self._answer_json(HTTPStatus.FORBIDDEN, {"error": "not from a browser"})
                return
            for reload in self.reloads:
                reload()
            self._answer_json(HTTPStatus.ACCEPTED, {"status": "reading the configuration again"})
        elif path in ("/healthz", "/info", "/metrics"):
            self._answer_json(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET it"}, Allow="GET, HEAD")
        else:
            self._answer_json(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /info, /metrics and /reload"})

    def _is_ours(self) -> bool:
        """Refuse, on a loopback address, names of other hosts: pages of browsers come with these (DNS rebinding)."""
        host = self.headers.get("Host", "").strip()
        name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
        if not self.is_local or _is_loopback(name):
            return True
        self._answer_json(HTTPStatus.FORBIDDEN, {"error": "this is not the host that you are looking for"})
        return False

    def _answer_json(self, status: HTTPStatus, document: dict[str, Any], **headers: str) -> None:
        self._answer(status, _JSON, json.dumps(document, indent=1).encode() + b"\n", **headers)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": content_type, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the standard library calls it
        log.debug("http: %s", " ".join((format % args).split()))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
