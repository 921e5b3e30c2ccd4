"""Servers on the loopback that are broken in one way each: what a client must survive."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

DRIP_SECONDS = 0.05


def _answer(
    status: HTTPStatus, body: bytes, *headers: str, kind: str = "application/json"
) -> bytes:
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


_ERROR = b'{"errors": [{"message": "no"}]}'
ANSWERS = {
    "html": _answer(HTTPStatus.OK, b"<html><title>Log in to the Wi-Fi</title>", kind="text/html"),
    "garbage": bytes(range(255, 0, -1)) * 8,
    "unauthorized": _answer(HTTPStatus.UNAUTHORIZED, _ERROR),
    "forbidden": _answer(HTTPStatus.FORBIDDEN, _ERROR, "Retry-After: 3600"),
    "too many": _answer(HTTPStatus.TOO_MANY_REQUESTS, _ERROR, "Retry-After: 3600"),
    "error": _answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"Traceback (most recent call last):"),
    "redirect": _answer(HTTPStatus.TEMPORARY_REDIRECT, b"", "Location: /graphql"),
    "empty": _answer(HTTPStatus.OK, b""),
    "list": _answer(HTTPStatus.OK, b"[1, 2, 3]"),
    "null": _answer(HTTPStatus.OK, b'{"data": null}'),
    "other": _answer(HTTPStatus.OK, b'{"data": {"viewer": 3, "project": "x", "models": []}}'),
}
"""What a server of each kind answers to whatever it is asked."""

KINDS = ("dead", "deaf", "dripping", "reset", "tls", *ANSWERS)


class BrokenServer:
    """Answers every connection in its own wrong way, until it is closed."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        port = self._socket.getsockname()[1]
        self.url = f"{'https' if kind == 'tls' else 'http'}://127.0.0.1:{port}"
        if kind == "dead":
            self._socket.close()
        else:
            threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ssl.SSLError):
            if self._kind == "tls":
                connection.sendall(b"\x16\x03\x01" + bytes(64))
                return
            connection.settimeout(0.2)
            with suppress(TimeoutError):
                connection.recv(65536)
            connection.settimeout(None)
            if self._kind == "deaf":
                self._closing.wait()
            elif self._kind == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self._kind == "dripping":
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not self._closing.wait(DRIP_SECONDS):
                    connection.sendall(b".")
            else:
                connection.sendall(ANSWERS[self._kind])


@contextmanager
def broken_server(kind: str) -> Iterator[str]:
    """The address of a server of a kind."""
    server = BrokenServer(kind)
    try:
        yield server.url
    finally:
        server.close()
