"""An HTTP server for tests that says byte for byte what a test scripts, and remembers what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

PATIENCE = 20.0
"""Seconds after which something that a test waits for has not happened."""


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int


@dataclass
class Reply:
    """What the server says: a head and pieces of a body, each sent on its own."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] | None = None
    """A chunked body instead of `body`."""
    cut: bool = False
    """Close the connection instead of ending the chunked body."""
    hold: bool = False
    """Wait after the last piece until the client goes away."""
    drop: bool = False
    """Close the connection without a word."""


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """A JSON document; header names may be written with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(
        status, json.dumps(value).encode(), {"content-type": "application/json", "x-request-id": "req-1", **named}
    )


def events(*data: object, done: bool = True, cut: bool = False, hold: bool = False) -> Reply:
    """A stream of events."""
    pieces = [f"data: {json.dumps(value)}\n\n".encode() for value in data]
    if done:
        pieces.append(b"data: [DONE]\n\n")
    headers = {"content-type": "text/event-stream", "x-request-id": "req-1"}
    return Reply(headers=headers, pieces=pieces, cut=cut, hold=hold)


class Stub:
    """The server; gives its replies in order, and repeats the last one."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.client_left = threading.Event()
        self.connections = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                stub._serve(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        with self._lock:
            self.connections += 1
            connection = self.connections
        try:
            while (asked := _read(handler, connection)) is not None:
                with self._lock:
                    self.asked.append(asked)
                    reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                if not self._say(handler, reply):
                    return
        except OSError:
            self.client_left.set()

    def _say(self, handler: socketserver.StreamRequestHandler, reply: Reply) -> bool:
        """Whether the connection stays open."""
        if reply.drop:
            return False
        headers = dict(reply.headers)
        chunked = reply.pieces is not None
        headers["transfer-encoding" if chunked else "content-length"] = "chunked" if chunked else str(len(reply.body))
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        handler.wfile.write(head.encode() + b"\r\n" + reply.body)
        for piece in reply.pieces or []:
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if reply.hold:
            self._until_client_leaves(handler)
            return False
        if chunked and not reply.cut:
            handler.wfile.write(b"0\r\n\r\n")
        return not reply.cut

    def _until_client_leaves(self, handler: socketserver.StreamRequestHandler) -> None:
        handler.connection.settimeout(PATIENCE)
        if not handler.rfile.read(1):
            self.client_left.set()


def _read(handler: socketserver.StreamRequestHandler, connection: int) -> Asked | None:
    line = handler.rfile.readline().decode().split()
    if not line:
        return None
    headers: dict[str, str] = {}
    while (header := handler.rfile.readline().decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    return Asked(line[0], line[1], headers, json.loads(body) if body else None, connection)
