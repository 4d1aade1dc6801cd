"""The process beside a rank that writes what the rank has copied: `python -m trainer.checkpoints.writer`.

It needs the standard library alone, so it is there in a tenth of a second and holds no CUDA context, no
process group and no lock of the trainer. It ends with the trainer, however that ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

from trainer.checkpoints.part import Part

_LOWEST_PRIORITY, _USUAL_PRIORITY = 19, 0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Lane:
    """A thread that does one thing after the other and takes the processor only where nobody wants it."""

    def __init__(self, part: Part, answers: Connection, sending: threading.Lock) -> None:
        self._part, self._answers, self._sending = part, answers, sending
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, message: dict[str, Any]) -> None:
        """Have the message carried out after those before it."""
        self._messages.put(message)

    def hurry(self, hurry: bool) -> None:
        """Have the thread scheduled as others are while the trainer waits for it."""
        priority = _USUAL_PRIORITY if hurry else _LOWEST_PRIORITY
        with contextlib.suppress(PermissionError):  # only root may; idle processors are taken anyway
            os.setpriority(os.PRIO_PROCESS, self._thread.native_id or 0, priority)

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)  # of this thread alone
        while True:
            answer = self._part.do(self._messages.get())
            with self._sending:
                self._answers.send_bytes(json.dumps(answer).encode())


def main() -> None:
    """Do what the trainer asks for until it asks no more or is gone."""
    parent, connection, memory = int(sys.argv[1]), Connection(int(sys.argv[2])), int(sys.argv[3])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # meant for the trainer, which saves once more then
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:  # else it was gone before the kernel was asked
        with contextlib.suppress(EOFError, OSError):
            serve(connection, memory)
    os._exit(0)  # in the middle of a write too: what has no manifest does not count


def serve(connection: Connection, memory: int) -> None:
    """Carry out messages: writes and commits in one lane, what goes over the network in another."""
    lanes: dict[str, Lane] = {}
    while True:
        message = json.loads(connection.recv_bytes())
        match message["do"]:
            case "plan":
                part, sending = Part(message, connection.recv_bytes(), memory), threading.Lock()
                lanes = {name: Lane(part, connection, sending) for name in ("disk", "network")}
            case "hurry":
                for lane in lanes.values():
                    lane.hurry(message["hurry"])
            case "write" | "commit" | "discard" | "forget":
                lanes["disk"].put(message)
            case _:
                lanes["network"].put(message)


if __name__ == "__main__":
    main()
