"""The messages of a session's data channel: a header, a digest, a payload; numbered, and acknowledged.

The form is that of AWS's own client, which is open:
https://github.com/aws/session-manager-plugin/tree/mainline/src/message
"""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TYPED, SAID = "input_stream_data", "output_stream_data"
"""What the client sends, and what the agent does."""
ACKNOWLEDGED, CLOSED = "acknowledge", "channel_closed"
OUTPUT, SIZE, HANDSHAKE_ASKED, HANDSHAKE_ANSWERED, HANDSHAKE_DONE, FLAG = 1, 3, 5, 6, 7, 10
"""What a payload is: bytes of the terminal, its size, the three parts of the handshake, a flag."""
TERMINATE = 2
"""The flag by which a client ends the session."""
_HEADER = struct.Struct("!I32sIQqQ16s32sII")
_LENGTH_AT = _HEADER.size - 4
"""What the header calls its own length leaves out the length of the payload, its last field."""
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message."""

    kind: str
    payload: bytes
    about: int = 0
    """What the payload is."""
    sequence: int = 0
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    def pack(self) -> bytes:
        """Return the message as it is sent."""
        halves = self.id.bytes[8:] + self.id.bytes[:8]  # the less significant half goes first
        head = _HEADER.pack(
            _LENGTH_AT,
            self.kind.ljust(32).encode(),
            _VERSION,
            time.time_ns() // 1_000_000,
            self.sequence,
            0,
            halves,
            hashlib.sha256(self.payload).digest(),
            self.about,
            len(self.payload),
        )
        return head + self.payload


def unpack(data: bytes) -> Message:
    """Return a message that came; raises ValueError for what is none."""
    try:
        length, kind, _, _, sequence, _, halves, digest, about, size = _HEADER.unpack_from(data)
    except struct.error as error:
        raise ValueError(f"not a message: {error}") from error
    payload = data[length + 4 :]
    if len(payload) != size or hashlib.sha256(payload).digest() != digest:
        raise ValueError("the payload is not what the header says")
    return Message(
        kind=kind.strip(b"\0 ").decode(errors="replace"),
        payload=payload,
        about=about,
        sequence=sequence,
        id=uuid.UUID(bytes=halves[8:] + halves[:8]),
    )


class Numbers:
    """One side of a channel: what it has sent and nobody has acknowledged, and which message comes next."""

    def __init__(self, kind: str, send: Callable[[bytes], None]) -> None:
        """`kind` is what this side's messages are, `send` sends one."""
        self._kind, self._send = kind, send
        self._next = self._expected = 0
        self._open: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def put(self, about: int, payload: bytes) -> None:
        """Send the next message; it is kept until it is acknowledged."""
        with self._lock:
            message = Message(kind=self._kind, payload=payload, about=about, sequence=self._next).pack()
            self._open[self._next] = message
            self._next += 1
            self._send(message)

    def put_json(self, about: int, payload: Any) -> None:
        """Send the next message, its payload as JSON."""
        self.put(about, json.dumps(payload).encode())

    def send_again(self) -> None:
        """Send what nobody has acknowledged once more: a client that is not ready yet drops what comes."""
        with self._lock:
            for message in list(self._open.values()):
                self._send(message)

    @property
    def all_heard(self) -> bool:
        """Whether all that was sent has been acknowledged."""
        return not self._open

    def heard(self, acknowledgement: Message) -> None:
        """Take note of an acknowledgement."""
        told = json.loads(acknowledgement.payload)
        with self._lock:
            self._open.pop(told.get("AcknowledgedMessageSequenceNumber"), None)

    def take(self, message: Message) -> bool:
        """Acknowledge a message of the other side's; return whether it is the next, and none sent twice."""
        if message.sequence > self._expected:
            return False  # it is sent again after those before it
        about = {
            "AcknowledgedMessageType": message.kind,
            "AcknowledgedMessageId": str(message.id),
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": True,
        }
        self._send(Message(kind=ACKNOWLEDGED, payload=json.dumps(about).encode()).pack())
        is_next = message.sequence == self._expected
        self._expected += is_next
        return is_next
