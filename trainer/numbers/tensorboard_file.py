"""TensorBoard event files, written without TensorBoard: a node has torch and numpy alone.

The format: records framed as in TFRecord (length, its checksum, the data, its checksum), each an `Event`
message (tensorflow/core/util/event.proto) of which only the fields for numbers are written here.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from trainer.files.appended import AppendedFile

FILE_VERSION = "brain.Event:2"
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""
_CRC32C = 0x82F63B78
"""Castagnoli's polynomial (RFC 3720, B.4), its bits reversed."""
_MASK_DELTA = 0xA282EAD8
"""What TFRecord adds to a rotated checksum, so that a checksum of checksums stays useful."""
_SESSION_START = 1
_numbers = itertools.count()


class EventFile:
    """One event file in a log folder; every attempt of a run writes one of its own.

    `purge_step` tells TensorBoard to forget what earlier files say of that step and later ones. Where the
    disk is full or gone it raises OSError and leaves a file of whole records.
    """

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        # TensorBoard takes the files in the order of their names, which begin with the time.
        unique = (
            f"{int(now):010d}.{int(now % 1 * 1e6):06d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        )
        self.path = folder / f"events.out.tfevents.{unique}"
        self._file = AppendedFile(self.path)
        self._write(now, 0, _text(3, FILE_VERSION))
        self._write(now, purge_step, _message(7, _number(1, _SESSION_START)))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Append the numbers of a step, by name."""
        entries = b"".join(_message(1, _text(1, name) + _float(2, value)) for name, value in values.items())
        self._write(time.time(), step, _message(5, entries))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, moment: float, step: int, what: bytes) -> None:
        event = _double(1, moment) + _number(2, step) + what
        length = struct.pack("<Q", len(event))
        self._file.append(length + _checksum(length) + event + _checksum(event))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of the data: RFC 3720, B.4; four bytes at a time."""
    first, second, third, fourth = _TABLES
    value, words = 0xFFFFFFFF, len(data) // 4
    for word in struct.unpack_from(f"<{words}I", data):
        value ^= word
        value = (
            fourth[value & 0xFF] ^ third[value >> 8 & 0xFF] ^ second[value >> 16 & 0xFF] ^ first[value >> 24]
        )
    for byte in data[4 * words :]:
        value = (value >> 8) ^ first[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _tables() -> tuple[list[int], ...]:
    """Return what each byte adds to the checksum where 0 to 3 bytes follow it in its word."""
    first = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_CRC32C if value & 1 else 0)
        first.append(value)
    tables = [first]
    while len(tables) < 4:
        tables.append([(value >> 8) ^ first[value & 0xFF] for value in tables[-1]])
    return tuple(tables)


_TABLES = _tables()


def _checksum(data: bytes) -> bytes:
    value = crc32c(data)
    rotated = ((value >> 15) | (value << 17)) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + _MASK_DELTA) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    assert value >= 0, "no negative number is written"
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    try:
        return _key(field, _FIXED32) + struct.pack("<f", value)
    except OverflowError:  # beyond what 32 bits hold
        return _key(field, _FIXED32) + struct.pack("<f", math.copysign(math.inf, value))


def _message(field: int, content: bytes) -> bytes:
    return _key(field, _LENGTH) + _varint(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())
