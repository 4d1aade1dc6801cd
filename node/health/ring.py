"""An exchange around a ring of all nodes: each sends to the next and receives from the one before.

It needs nothing but TCP. Where there are no GPUs it stands for the all-reduce, whose import of torch would
take longer than all that it could find out.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from node.health import meeting

SENT_BYTES = 8 << 20
STEP_SECONDS = 10.0
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Turn:
    """How the exchange went for one node."""

    sent: str
    """"" or what kept it from sending to the next."""
    received: str
    """"" or what kept it from receiving from the one before."""
    seconds: float


@dataclass(frozen=True)
class Place:
    """One node's place in the ring."""

    server: socket.socket
    """Where the node before it connects to."""
    rank: int
    addresses: tuple[tuple[str, int], ...]
    """Address and port of all nodes, in the order of their ranks."""
    key: bytes
    """By which the neighbours know each other: a stranger's connection is nobody's turn."""


def exchange(place: Place, seconds: float = STEP_SECONDS) -> Turn:
    """Send SENT_BYTES to the following node while as much arrives from the one before."""
    begun = time.monotonic()
    received: list[str] = []

    def take() -> None:
        received.append(_receive(place, seconds))

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    sent = _send(place, seconds)
    taking.join(seconds + 1.0)
    return Turn(sent, received[0] if received else "it did not end", time.monotonic() - begun)


def _send(place: Place, seconds: float) -> str:
    until = time.monotonic() + seconds
    chunk = bytes(_CHUNK)
    host, port = place.addresses[(place.rank + 1) % len(place.addresses)]
    try:
        line = meeting.join(host, [port], place.key, {"rank": place.rank}, seconds)
        with line.connection:
            for _ in range(SENT_BYTES // _CHUNK):
                line.connection.settimeout(max(0.01, until - time.monotonic()))
                line.connection.sendall(chunk)
    except (OSError, meeting.MeetingError) as error:
        return str(error) or type(error).__name__
    return ""


def _receive(place: Place, seconds: float) -> str:
    until, count = time.monotonic() + seconds, 0
    before = (place.rank - 1) % len(place.addresses)
    found = meeting.gather(place.server, place.key, {before}, seconds)
    if before not in found:
        return "timed out"
    line, _ = found[before]
    try:
        with line.connection:
            while count < SENT_BYTES:
                line.connection.settimeout(max(0.01, until - time.monotonic()))
                piece = line.connection.recv(_CHUNK)
                if not piece:
                    return f"it ended after {count} of {SENT_BYTES} bytes"
                count += len(piece)
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def broken(turns: Mapping[int, Turn]) -> dict[int, str]:
    """Return the ranks to blame with the reason.

    A node with trouble in both directions is to blame; where one link alone is broken, the node that it leads
    to, for nobody else can tell.
    """
    count = len(turns)
    bad = {
        rank: f"neither sends ({turn.sent}) nor receives"
        for rank, turn in turns.items()
        if turn.sent and turn.received
    }
    for rank, turn in sorted(turns.items()):
        following = (rank + 1) % count
        if turn.sent and not {rank, following} & set(bad):
            bad[following] = f"is not reached by the node before it: {turn.sent}"
    return bad
