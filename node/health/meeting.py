"""How the nodes of a job meet before it starts: the first one listens, the others tell it who they are.

One JSON object a line over TCP. Nobody waits longer than JOIN_SECONDS for the others.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import select
import socket
import time
from collections.abc import Mapping
from typing import Any

JOIN_SECONDS = 30.0
_PORTS = range(31000, 32700)
"""Above those of runs (node/placement.py), below Linux's ephemeral ones."""
_RETRY_SECONDS = 0.05
_LONGEST_LINE = 1 << 20

Message = dict[str, Any]


class MeetingError(Exception):
    """The others could not be reached, or went away; the message is one line."""


def meeting_port(job_id: int) -> int:
    """Return the port of a job's meeting: jobs that start at one time on one machine get different ones."""
    return _PORTS[job_id % len(_PORTS)]


class Line:
    """One connection. Each message bears a proof (HMAC-SHA256) that the sender has the key."""

    def __init__(self, connection: socket.socket, key: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self._key = connection, key
        self._rest = b""

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; MeetingError where the other end is gone."""
        body = json.dumps(message).encode()
        try:
            self.connection.sendall(self._proof(body) + b" " + body + b"\n")
        except OSError as error:
            raise MeetingError(f"a node has gone: {error}") from error

    def receive(self, seconds: float) -> Message:
        """Return the next message; MeetingError where none comes in time, or what comes is none."""
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or len(self._rest) > _LONGEST_LINE:
                raise MeetingError(f"no word within {seconds:g} s")
            self.connection.settimeout(left)
            try:
                found = self.connection.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise MeetingError(f"a node has gone: {error}") from error
            if not found:
                raise MeetingError("a node has gone")
            self._rest += found
        line, _, self._rest = self._rest.partition(b"\n")
        proof, _, body = line.partition(b" ")
        if not hmac.compare_digest(proof, self._proof(body)):
            raise MeetingError("somebody spoke who does not belong to the job")
        try:
            message = json.loads(body)
        except ValueError as error:
            raise MeetingError("a node said what cannot be read") from error
        if not isinstance(message, dict):
            raise MeetingError("a node said what cannot be read")
        return message

    def _proof(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).hexdigest().encode()

    def close(self) -> None:
        """End the connection."""
        self.connection.close()


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket on this node's own address, on any port for 0; OSError if it is taken."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((address, port))
        server.listen(1024)
    except OSError:
        server.close()
        raise
    return server


def join(
    address: str, port: int, key: bytes, hello: Mapping[str, Any], seconds: float = JOIN_SECONDS
) -> Line:
    """Connect to the node that listens and say who this one is; MeetingError where it is not reached."""
    until = time.monotonic() + seconds
    while True:
        try:
            left = max(0.1, until - time.monotonic())
            line = Line(socket.create_connection((address, port), timeout=left), key)
        except OSError as error:
            if time.monotonic() + _RETRY_SECONDS > until:
                raise MeetingError(
                    f"{address}:{port} was not reached within {seconds:g} s: {error}"
                ) from error
            time.sleep(_RETRY_SECONDS)
            continue
        line.send(hello)
        return line


def gather(
    server: socket.socket, key: bytes, count: int, seconds: float = JOIN_SECONDS
) -> dict[int, tuple[Line, Message]]:
    """Return the connection and first message of each rank that came in time, until `count` have."""
    until = time.monotonic() + seconds
    found: dict[int, tuple[Line, Message]] = {}
    waiting: list[Line] = []
    while len(found) < count and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([server, *(each.connection for each in waiting)], [], [], left)
        if server in ready:
            with contextlib.suppress(OSError):
                waiting.append(Line(server.accept()[0], key))
        for line in [each for each in waiting if each.connection in ready]:
            waiting.remove(line)
            try:
                hello = line.receive(1.0)
                found[int(hello["rank"])] = line, hello
            except (MeetingError, KeyError, TypeError, ValueError):
                line.close()
    for line in waiting:
        line.close()
    return found
