"""The agent's side of a session's data channel: the handshake, then a shell's input and output."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from io import BufferedIOBase

from sandbox.shells.frames import BINARY, CLOSE, PING, PONG, GoneError, frame, read_message
from sandbox.shells.messages import (
    ACKNOWLEDGED,
    CLOSED,
    FLAG,
    HANDSHAKE_ANSWERED,
    HANDSHAKE_ASKED,
    HANDSHAKE_DONE,
    OUTPUT,
    SAID,
    SIZE,
    TERMINATE,
    TYPED,
    Message,
    Numbers,
    unpack,
)
from sandbox.shells.shell import Shell

AGENT_VERSION = "3.3.0.0"
"""What the agent calls itself; clients ask no more than that it knows the handshake (2.3.672.0)."""
_AGAIN_SECONDS = 0.2
_LAST_WORDS_SECONDS = 2.0
"""How long a client may take to hear what a shell has said last."""
_STANDARD = "Standard_Stream"


class Channel:
    """One connection of a client's to a session."""

    def __init__(
        self,
        session_id: str,
        reader: BufferedIOBase,
        send: Callable[[bytes], None],
        open_shell: Callable[[], Shell],
    ) -> None:
        """`open_shell` starts the session's shell, or returns the one that goes on."""
        self._session_id, self._reader, self._send_bytes = session_id, reader, send
        self._open_shell = open_shell
        self._lock = threading.Lock()
        self._numbers = Numbers(SAID, lambda message: self._send(BINARY, message))
        self._shell: Shell | None = None
        self._closed = threading.Event()
        self._began = time.monotonic_ns()

    def serve(self) -> None:
        """Carry the session until the client has gone or the shell has ended."""
        about = {"SessionType": _STANDARD, "Properties": {}}
        asked = {"ActionType": "SessionType", "ActionParameters": about}
        threading.Thread(target=self._send_again, daemon=True).start()
        try:
            self._numbers.put_json(
                HANDSHAKE_ASKED, {"AgentVersion": AGENT_VERSION, "RequestedClientActions": [asked]}
            )
            while True:
                kind, content = read_message(self._reader)
                if kind == CLOSE:
                    return
                if kind == PING:
                    self._send(PONG, content)
                elif kind == BINARY:
                    self._take(unpack(content))
        except (GoneError, ValueError):
            return
        finally:
            self._closed.set()
            if self._shell is not None:
                self._shell.detach()

    def _take(self, message: Message) -> None:
        if message.kind == ACKNOWLEDGED:
            self._numbers.heard(message)
        elif message.kind == TYPED and self._numbers.take(message):
            self._act(message)

    def _act(self, message: Message) -> None:
        if message.about == HANDSHAKE_ANSWERED:
            took = time.monotonic_ns() - self._began
            self._numbers.put_json(HANDSHAKE_DONE, {"HandshakeTimeToComplete": took, "CustomerMessage": ""})
            self._shell = self._open_shell()
            self._shell.attach(lambda said: self._numbers.put(OUTPUT, said), self._end)
        elif self._shell is None:
            return
        elif message.about == OUTPUT:
            self._shell.type(message.payload)
        elif message.about == SIZE:
            size = json.loads(message.payload)
            self._shell.resize(int(size["cols"]), int(size["rows"]))
        elif message.about == FLAG and int.from_bytes(message.payload, "big") == TERMINATE:
            self._shell.end()

    def _end(self, why: str) -> None:
        """Tell the client that the shell has ended, once it has heard what that said."""
        deadline = time.monotonic() + _LAST_WORDS_SECONDS
        while not self._numbers.all_heard and not self._closed.is_set() and time.monotonic() < deadline:
            time.sleep(_AGAIN_SECONDS / 10)
        about = {
            "MessageType": CLOSED,
            "SessionId": self._session_id,
            "SchemaVersion": 1,
            "CreatedDate": str(time.time_ns() // 1_000_000),
            "Output": why,
        }
        self._send(BINARY, Message(kind=CLOSED, payload=json.dumps(about).encode()).pack())

    def _send_again(self) -> None:
        while not self._closed.wait(_AGAIN_SECONDS):
            self._numbers.send_again()

    def _send(self, kind: int, content: bytes) -> None:
        """Send a frame; that the client has gone shows where its messages are read."""
        with self._lock:
            self._send_bytes(frame(kind, content, masked=False))
