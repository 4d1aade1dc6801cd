"""WebSocket, as the data channel of a session uses it: whole messages, nothing compressed (standard library).

https://www.rfc-editor.org/rfc/rfc6455
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from io import BufferedIOBase
from itertools import cycle

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""Kinds of frames (section 5.2)."""
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What the answer to an opening handshake is made with (section 1.3)."""
_LAST, _MASKED = 0x80, 0x80
_SHORT, _TWO_BYTES, _EIGHT_BYTES = 125, 126, 127
_MOST = 2**20
"""Bytes of one message; a session's have some thousand at most."""


class GoneError(Exception):
    """The other side has closed the channel, or speaks something else."""


def accept_key(key: str) -> str:
    """Return the `Sec-WebSocket-Accept` that answers a client's `Sec-WebSocket-Key`."""
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def frame(kind: int, content: bytes, *, masked: bool) -> bytes:
    """Return one unfragmented frame; what a client sends is masked, what a server sends is not."""
    size, mask_bit = len(content), _MASKED if masked else 0
    if size <= _SHORT:
        head = struct.pack("!BB", _LAST | kind, mask_bit | size)
    elif size < 2**16:
        head = struct.pack("!BBH", _LAST | kind, mask_bit | _TWO_BYTES, size)
    else:
        head = struct.pack("!BBQ", _LAST | kind, mask_bit | _EIGHT_BYTES, size)
    if not masked:
        return head + content
    key = os.urandom(4)
    return head + key + _mask(content, key)


def read_message(reader: BufferedIOBase) -> tuple[int, bytes]:
    """Return the next message: its kind, and what is in it. A control frame between two parts comes first.

    Raises GoneError where the stream ends or is none of WebSocket's.
    """
    kind, parts = CONTINUED, b""
    while True:
        last, found, content = _read_frame(reader)
        if found >= CLOSE:
            return found, content
        kind, parts = found or kind, parts + content
        if len(parts) > _MOST:
            raise GoneError("a message is too long")
        if last:
            return kind, parts


def _read_frame(reader: BufferedIOBase) -> tuple[bool, int, bytes]:
    first, second = _read(reader, 2)
    size = second & ~_MASKED
    if size == _TWO_BYTES:
        (size,) = struct.unpack("!H", _read(reader, 2))
    elif size == _EIGHT_BYTES:
        (size,) = struct.unpack("!Q", _read(reader, 8))
    if size > _MOST:
        raise GoneError("a frame is too long")
    key = _read(reader, 4) if second & _MASKED else b""
    content = _read(reader, size)
    return bool(first & _LAST), first & 0x0F, _mask(content, key) if key else content


def _read(reader: BufferedIOBase, size: int) -> bytes:
    try:
        content = reader.read(size)
    except (OSError, ValueError) as error:
        raise GoneError(str(error)) from error
    if content is None or len(content) < size:
        raise GoneError("the channel was closed")
    return content


def _mask(content: bytes, key: bytes) -> bytes:
    return bytes(each ^ part for each, part in zip(content, cycle(key), strict=False))
