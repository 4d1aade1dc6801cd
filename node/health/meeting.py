"""How the nodes of a job meet before it starts: the first one listens, the others tell it who they are.

One JSON object a line over TCP. Nobody waits longer than JOIN_SECONDS for the others. Programs of other jobs
may hold a port, or connect to one: neither keeps the nodes from meeting.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import select
import socket
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

JOIN_SECONDS = 30.0
_PORTS = range(31000, 32700)
"""Above those of runs (node/placement.py), below Linux's ephemeral ones."""
_PORT_TRIES, _PORT_STEP = 5, 331
_RETRY_SECONDS = 0.05
_WELCOME_SECONDS = 4.0
"""Until one that takes a connection and says nothing is held for a stranger."""
_LONGEST_LINE = 1 << 20
_LONGEST_HELLO = 1 << 14
_STRANGERS = 128
"""Connections that have not said yet who they are; beyond, the oldest is closed."""

Message = dict[str, Any]


class MeetingError(Exception):
    """The others could not be reached, or went away; the message is one line."""


def meeting_ports(job_id: int) -> list[int]:
    """Return the ports of a job's meeting, the first that is free counts: jobs that start together differ."""
    return [_PORTS[(job_id + turn * _PORT_STEP) % len(_PORTS)] for turn in range(_PORT_TRIES)]


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
            self._read()
        return self._take()

    def look(self) -> Message | None:
        """Return the first message if all of it has come, without waiting; MeetingError as for `receive`."""
        self.connection.setblocking(False)
        self._read()
        if len(self._rest) > _LONGEST_HELLO:
            raise MeetingError("somebody spoke who does not belong to the job")
        return self._take() if b"\n" in self._rest else None

    def _read(self) -> None:
        """Take what has come; nothing where nothing does in the connection's time."""
        try:
            found = self.connection.recv(65536)
        except (TimeoutError, BlockingIOError):
            return
        except OSError as error:
            raise MeetingError(f"a node has gone: {error}") from error
        if not found:
            raise MeetingError("a node has gone")
        self._rest += found

    def _take(self) -> Message:
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


def listen_first(address: str, ports: Sequence[int]) -> socket.socket:
    """Return a listening socket on the first of the ports that is free; OSError if none is."""
    for port in ports[:-1]:
        with contextlib.suppress(OSError):
            return listen(address, port)
    return listen(address, ports[-1])


def join(
    address: str, ports: Sequence[int], key: bytes, hello: Mapping[str, Any], seconds: float = JOIN_SECONDS
) -> Line:
    """Say who this one is to the node that listens on one of the ports, and return the connection.

    MeetingError where nobody answers who has the key.
    """
    until = time.monotonic() + seconds
    why = ""
    for port in itertools.cycle(ports):
        left = until - time.monotonic()
        if left <= 0:
            break
        patience = left if len(ports) == 1 else min(left, _WELCOME_SECONDS)
        try:
            return _introduce(address, port, key, hello, patience)
        except (OSError, MeetingError) as error:
            why = f"port {port}: {error}"
            time.sleep(_RETRY_SECONDS / len(ports))
    raise MeetingError(f"{address} was not reached within {seconds:g} s, {why}")


def _introduce(address: str, port: int, key: bytes, hello: Mapping[str, Any], seconds: float) -> Line:
    """Connect, say who this one is and wait for the welcome."""
    line = Line(socket.create_connection((address, port), timeout=seconds), key)
    try:
        # The port keeps a stranger who got this on another one from passing it on.
        line.send({**hello, "port": port})
        if line.receive(seconds).get("welcome") != hello["rank"]:
            raise MeetingError("somebody answered who does not listen for this node")
    except MeetingError:
        line.close()
        raise
    return line


def gather(
    server: socket.socket, key: bytes, ranks: Set[int], seconds: float = JOIN_SECONDS
) -> dict[int, tuple[Line, Message]]:
    """Return the connection and first message of each of `ranks` that came in time, until all have."""
    until = time.monotonic() + seconds
    port = server.getsockname()[1]
    found: dict[int, tuple[Line, Message]] = {}
    waiting: list[Line] = []
    while len(found) < len(ranks) and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([server, *(each.connection for each in waiting)], [], [], left)
        for line in [each for each in waiting if each.connection in ready]:
            waiting.remove(line)
            try:
                if (hello := line.look()) is None:
                    waiting.append(line)
                    continue
                rank = int(hello["rank"])
                if rank not in ranks or int(hello["port"]) != port:
                    raise MeetingError("it belongs elsewhere")
                line.connection.settimeout(1.0)
                line.send({"welcome": rank})
            except (MeetingError, KeyError, TypeError, ValueError):
                line.close()
                continue
            if rank in found:  # it has tried again, and listens to this one
                found[rank][0].close()
            found[rank] = line, hello
        if server in ready:
            with contextlib.suppress(OSError):
                waiting.append(Line(server.accept()[0], key))
            for line in waiting[:-_STRANGERS]:
                line.close()
            del waiting[:-_STRANGERS]
    for line in waiting:
        line.close()
    return found
