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

    @property
    def gbit_per_s(self) -> float:
        """What went out while as much came in, in Gbit/s."""
        return SENT_BYTES * 8 / 1e9 / max(self.seconds, 1e-6)


def exchange(server: socket.socket, following: tuple[str, int], seconds: float = STEP_SECONDS) -> Turn:
    """Send SENT_BYTES to the `following` node's address and port while as much arrives at `server`."""
    begun = time.monotonic()
    received: list[str] = []

    def take() -> None:
        received.append(_receive(server, seconds))

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    sent = _send(following, seconds)
    taking.join(seconds + 1.0)
    return Turn(sent, received[0] if received else "it did not end", time.monotonic() - begun)


def _send(address: tuple[str, int], seconds: float) -> str:
    until = time.monotonic() + seconds
    chunk = bytes(_CHUNK)
    try:
        with socket.create_connection(address, timeout=seconds) as connection:
            for _ in range(SENT_BYTES // _CHUNK):
                connection.settimeout(max(0.01, until - time.monotonic()))
                connection.sendall(chunk)
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def _receive(server: socket.socket, seconds: float) -> str:
    until, count = time.monotonic() + seconds, 0
    server.settimeout(seconds)
    try:
        connection, _ = server.accept()
        with connection:
            while count < SENT_BYTES:
                connection.settimeout(max(0.01, until - time.monotonic()))
                found = connection.recv(_CHUNK)
                if not found:
                    return f"it ended after {count} of {SENT_BYTES} bytes"
                count += len(found)
    except OSError as error:
        return str(error) or type(error).__name__
    return ""


def broken(turns: Mapping[int, Turn | None]) -> dict[int, str]:
    """Return the ranks to blame with the reason; None is a node that told of no turn.

    A node with trouble in both directions is to blame; where one link alone is broken, the node that it leads
    to, for nobody else can tell.
    """
    count = len(turns)
    bad = {
        rank: "it told nothing" if turn is None else f"neither sends ({turn.sent}) nor receives"
        for rank, turn in turns.items()
        if turn is None or (turn.sent and turn.received)
    }
    for rank, turn in sorted(turns.items()):
        following = (rank + 1) % count
        if turn is not None and turn.sent and not {rank, following} & set(bad):
            bad[following] = f"is not reached by the node before it: {turn.sent}"
    return bad
