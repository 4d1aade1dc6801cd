"""The client's side of a session's data channel, over WebSocket on a loopback port (standard library)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import threading
import uuid
from collections.abc import Callable
from http import HTTPStatus
from http.client import parse_headers
from urllib.parse import urlsplit

from sandbox.shells.frames import BINARY, CLOSE, PING, PONG, TEXT, GoneError, accept_key, frame, read_message
from sandbox.shells.messages import (
    ACKNOWLEDGED,
    CLOSED,
    HANDSHAKE_ANSWERED,
    HANDSHAKE_ASKED,
    HANDSHAKE_DONE,
    OUTPUT,
    SAID,
    SIZE,
    TYPED,
    Message,
    Numbers,
    unpack,
)

_CLIENT_VERSION = "1.2.764.0"
"""What it calls itself: the version of AWS's own client whose messages it speaks."""
_CONNECT_SECONDS = 10.0


class Client:
    """One session's connection."""

    def __init__(self, url: str, token: str) -> None:
        """Connect and show the token. Raises GoneError or OSError where that does not go."""
        parts = urlsplit(url)
        if parts.scheme != "ws" or not parts.hostname:
            raise GoneError(f"{parts.scheme}://{parts.hostname} is no embedded cloud's")
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), _CONNECT_SECONDS)
        self._reader = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self._is_left = False
        self._numbers = Numbers(TYPED, lambda message: self._send(BINARY, message))
        self.ready = threading.Event()
        """Set once the shell is there."""
        self._open(parts.netloc, f"{parts.path}?{parts.query}")
        self._socket.settimeout(None)
        shown = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": _CLIENT_VERSION,
            "TokenValue": token,
        }
        self._send(TEXT, json.dumps(shown).encode())

    def type(self, keys: bytes) -> None:
        """Type, once the shell is there; after its end that does nothing."""
        self.ready.wait(_CONNECT_SECONDS)
        with contextlib.suppress(GoneError):
            self._numbers.put(OUTPUT, keys)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the size of the terminal; after the shell's end that does nothing."""
        with contextlib.suppress(GoneError):
            self._numbers.put_json(SIZE, {"cols": columns, "rows": rows})

    def listen(self, said: Callable[[bytes], object]) -> str:
        """Hand on what the shell says until it has ended; return why, "" where that was its own or our doing.

        Raises GoneError where the channel ends before the shell, and it was not closed here.
        """
        try:
            with self._reader:
                return self._listen(said)
        except (GoneError, OSError):
            if self._is_left:
                return ""
            raise

    def _listen(self, said: Callable[[bytes], object]) -> str:
        while True:
            kind, content = read_message(self._reader)
            if kind == CLOSE:
                raise GoneError("the channel was closed")
            if kind == PING:
                self._send(PONG, content)
            if kind != BINARY:
                continue
            message = unpack(content)
            if message.kind == CLOSED:
                return str(json.loads(message.payload).get("Output") or "")
            if message.kind == ACKNOWLEDGED:
                self._numbers.heard(message)
            elif message.kind == SAID and self._numbers.take(message):
                self._take(message, said)

    def close(self) -> None:
        """Close the connection; the session itself goes on until it is ended."""
        self._is_left = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _take(self, message: Message, said: Callable[[bytes], object]) -> None:
        if message.about == OUTPUT:
            said(message.payload)
        elif message.about == HANDSHAKE_ASKED:
            asked = json.loads(message.payload)["RequestedClientActions"]
            done = [{"ActionType": each["ActionType"], "ActionStatus": 1} for each in asked]
            answer = {"ClientVersion": _CLIENT_VERSION, "ProcessedClientActions": done}
            self._numbers.put_json(HANDSHAKE_ANSWERED, answer)
        elif message.about == HANDSHAKE_DONE:
            self.ready.set()

    def _open(self, host: str, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        head = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        status = self._reader.readline().decode(errors="replace").split(" ", 2)[1:2]
        headers = parse_headers(self._reader)
        is_open = status == [str(HTTPStatus.SWITCHING_PROTOCOLS.value)]
        if not is_open or headers.get("Sec-WebSocket-Accept") != accept_key(key):
            raise GoneError(f"the channel does not open (HTTP {''.join(status)})")

    def _send(self, kind: int, content: bytes) -> None:
        with self._lock:
            try:
                self._socket.sendall(frame(kind, content, masked=True))
            except OSError as error:
                raise GoneError(str(error)) from error
