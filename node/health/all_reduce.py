"""An all-reduce between the GPUs of several nodes, by `python -m trainer.allreduce` under the launcher."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_SECONDS = 180.0
"""For imports of torch on all nodes, NCCL's start and the measurement."""
_LAST_CHARACTERS = 300


@dataclass(frozen=True)
class Measured:
    """What one node has found."""

    sent: str
    """"" or why it could not send around the ring."""
    received: str
    seconds: float
    """Of the exchange around the ring."""
    gbs: float | None = None
    """Bus bandwidth of the all-reduce in GB/s, told by rank 0 alone."""
    pairs: tuple[tuple[int, int, float], ...] = ()
    """Bus bandwidth between two nodes in GB/s, measured where that of all was too low."""
    error: str = ""
    """Why the all-reduce did not end."""

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Measured:
        """Read it from what travels between nodes; KeyError, TypeError or ValueError if malformed."""
        gbs = message.get("gbs")
        return cls(
            sent=str(message["sent"]),
            received=str(message["received"]),
            seconds=float(message["seconds"]),
            gbs=None if gbs is None else float(gbs),
            pairs=tuple((int(a), int(b), float(c)) for a, b, c in message.get("pairs") or ()),
            error=str(message.get("error") or ""),
        )

    def to_message(self) -> dict[str, Any]:
        """Return what travels between nodes."""
        return {
            "sent": self.sent,
            "received": self.received,
            "seconds": self.seconds,
            "gbs": self.gbs,
            "pairs": [list(pair) for pair in self.pairs],
            "error": self.error,
        }


def measure(
    turn: Measured, *, python: str, rank: int, count: int, gpus: int, first: tuple[str, int], least_gbs: float
) -> Measured:
    """Run this node's part and return `turn` with what came of it.

    `first` is rank 0's address and a free port there; below `least_gbs` the pairs of nodes are measured too.
    """
    with tempfile.TemporaryDirectory(prefix="fleetform-allreduce-") as folder:
        out = Path(folder, "result.json")
        command = [
            *(python, "-P", "-m", "trainer.launch", "--nnodes", str(count), "--node-rank", str(rank)),
            *("--master-addr", first[0], "--master-port", str(first[1]), "--nproc-per-node", str(gpus)),
            *("--max-restarts", "0", "--join-minutes", "1", "--grace", "5", "--spot", "off"),
            *("--run-id", "fabric", "-m", "trainer.allreduce", "--out", str(out)),
            *("--least-gbs", str(least_gbs)),
        ]
        error = _run(command, Path(folder))
        if error:
            return replace(turn, error=error)
        if rank:
            return turn
        try:
            result = json.loads(out.read_text())
            pairs = tuple((int(a), int(b), float(c)) for a, b, c in result["pairs"])
            return replace(turn, gbs=float(result["busbw_gbs"]), pairs=pairs)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            return replace(turn, error=f"the all-reduce left no result: {problem}")


def _run(command: list[str], folder: Path) -> str:
    """Run it and return "", or the end of what it said where it failed or took too long."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLEETFORM_RUN")}
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            code: int | None = process.wait(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if code == 0:
            return ""
        log.seek(0)
        said = " ".join(log.read().decode(errors="replace").split())[-_LAST_CHARACTERS:]
        return f"no end after {_SECONDS:g} s: {said}" if code is None else said or f"exit code {code}"
