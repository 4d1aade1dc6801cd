"""Messages between the launchers of a job: one JSON object a line over TCP, after a hello."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]
LONGEST_LINE = 1 << 20
PING_SECONDS = 2.0
SILENT_SECONDS = 20.0
"""A launcher that has said nothing for so long is taken for lost: its machine may be gone without a word."""
_HELLO_SECONDS = 5.0
_RETRY_SECONDS = 0.25


class Line:
    """One connection, both ways."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self._lock = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SILENT_SECONDS)

    def send(self, message: Message) -> None:
        """Send it; a connection that is broken is closed, and its reader says so."""
        try:
            with self._lock:
                self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.close()

    def receive(self) -> Message | None:
        """Return the next message; None where the connection has ended, is silent, or says something else."""
        try:
            data = self._file.readline(LONGEST_LINE)
            message = json.loads(data) if data.endswith(b"\n") else None
        except (OSError, ValueError, RecursionError):
            return None
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """End it; the other end and the thread that reads notice."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._connection.close()


class Server:
    """Machine 0's end: takes the other machines' launchers in."""

    def __init__(self, hello: Message, nnodes: int, put: Callable[[str, Any], None]) -> None:
        """`hello` is what a launcher of this job says, its `node` aside.

        Events, from other threads: `joined` (node, line), `message` (node, line, message), `lost` (node,
        line).
        """
        self._hello, self._nnodes, self._put = hello, nnodes, put

    def listen(self, port: int, patience: float) -> None:
        """Listen on that port of every address; OSError where it stays taken for so long."""
        until = time.monotonic() + patience
        while True:
            try:
                # Both families where the machine has IPv6. SO_REUSEADDR: one started anew gets it.
                both = socket.has_dualstack_ipv6()
                family = socket.AF_INET6 if both else socket.AF_INET
                server = socket.create_server(("", port), family=family, dualstack_ipv6=both, backlog=256)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(_RETRY_SECONDS)
        threading.Thread(target=self._accept, args=(server,), daemon=True, name="accept").start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # out of descriptors, or the peer is gone again
                time.sleep(_RETRY_SECONDS)
                continue
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        """Read one connection to its end; a stranger is told nothing."""
        try:
            line = Line(connection)
            connection.settimeout(_HELLO_SECONDS)
            hello = line.receive()
            connection.settimeout(SILENT_SECONDS)
        except OSError:
            return
        if hello is None or hello.get("run_id") != self._hello["run_id"] or hello.get("is") != "hello":
            line.close()
            return
        fault = self._fault(hello)
        if fault:
            line.send({"do": "refuse", "why": fault})
            line.close()
            return
        node = hello["node"]
        self._put("joined", (node, line))
        while (message := line.receive()) is not None:
            if message.get("is") != "ping":
                self._put("message", (node, line, message))
        line.close()
        self._put("lost", (node, line))

    def _fault(self, hello: Message) -> str:
        """Return in what a launcher of the same run differs from this one, "" for nothing."""
        node = hello.get("node")
        if type(node) is not int or not 0 < node < self._nnodes:
            return f"--node-rank: {node!r} is not between 1 and {self._nnodes - 1}"
        for key, expected in self._hello.items():
            if key != "node" and hello.get(key) != expected:
                return f"--{key.replace('_', '-')}: {hello.get(key)!r}, but machine 0 has {expected!r}"
        return ""


class Client:
    """Another machine's end: finds machine 0, and finds it again."""

    def __init__(self, hello: Message, address: tuple[str, int], put: Callable[[str, Any], None]) -> None:
        """Events, from another thread: `linked`, `order` (message), `unlinked`."""
        self._hello, self._address, self._put = hello, address, put
        self._line: Line | None = None
        self._over = False
        self._free = threading.Event()

    def start(self) -> None:
        """Connect, again and again until `close`; each time only once `be_free` says so."""
        threading.Thread(target=self._keep_up, daemon=True, name="link").start()

    def _keep_up(self) -> None:
        while not self._over:
            self._free.wait()
            try:
                connection = socket.create_connection(self._address, timeout=_HELLO_SECONDS)
            except OSError:
                time.sleep(_RETRY_SECONDS)
                continue
            line = Line(connection)
            line.send(self._hello)
            self._line = line
            self._put("linked", None)
            while (message := line.receive()) is not None:
                if message.get("do") != "ping":
                    self._put("order", message)
            line.close()
            self._line = None
            self._free.clear()
            self._put("unlinked", None)
            time.sleep(_RETRY_SECONDS)

    def be_free(self) -> None:
        """Say that no rank of an earlier attempt runs here any more: machine 0 takes that for granted."""
        self._free.set()

    def send(self, message: Message) -> None:
        """Send it where there is a connection; without one nobody waits for it."""
        if self._line is not None:
            self._line.send(message)

    def close(self) -> None:
        """Stop looking for machine 0."""
        self._over = True
        if self._line is not None:
            self._line.close()
