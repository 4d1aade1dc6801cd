"""All-reduces between GPUs, by `python -m trainer.allreduce` under the launcher: on a node, between nodes.

Each node first tries its own GPUs alone. That brings torch and NCCL from a new machine's disk, which takes a
minute or two, and what fails there is that node's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_ALONE_BYTES = 1 << 25
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
    own: str = ""
    """Why this node's GPUs do not even sum among themselves."""
    error: str = ""
    """Why the all-reduce did not end, be it this node's fault or not."""

    @property
    def is_well(self) -> bool:
        """Whether nothing has failed so far."""
        return not (self.sent or self.received or self.own or self.error)

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
            own=str(message.get("own") or ""),
            error=str(message.get("error") or ""),
        )

    def to_message(self) -> dict[str, Any]:
        """Return what travels between nodes."""
        return asdict(self)


def measure_alone(turn: Measured, *, python: str, gpus: int, seconds: float) -> Measured:
    """Sum over this node's own GPUs and return `turn` with what came of it; being slow is no failure."""
    with tempfile.TemporaryDirectory(prefix="fleetform-allreduce-") as folder:
        what = ["--sizes", str(_ALONE_BYTES), "--rounds", "1"]
        why, in_time = _run(_command(python, [], gpus, Path(folder), what), Path(folder), seconds)
    return replace(turn, own=why) if in_time else replace(turn, error=why)


def measure(
    turn: Measured,
    *,
    python: str,
    rank: int,
    count: int,
    gpus: int,
    first: tuple[str, int],
    least_gbs: float,
    seconds: float,
) -> Measured:
    """Run this node's part and return `turn` with what came of it.

    `first` is rank 0's address and a free port there; below `least_gbs` the pairs of nodes are measured too.
    """
    among = [
        *("--nnodes", str(count), "--node-rank", str(rank)),
        *("--master-addr", first[0], "--master-port", str(first[1])),
    ]
    with tempfile.TemporaryDirectory(prefix="fleetform-allreduce-") as folder:
        command = _command(python, among, gpus, Path(folder), ["--least-gbs", str(least_gbs)])
        why, _ = _run(command, Path(folder), seconds)
        if why:
            return replace(turn, error=why)
        if rank:
            return turn
        try:
            result = json.loads(_result(Path(folder)).read_text())
            pairs = tuple((int(a), int(b), float(c)) for a, b, c in result["pairs"])
            return replace(turn, gbs=float(result["busbw_gbs"]), pairs=pairs)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            return replace(turn, error=f"the all-reduce left no result: {problem}")


def _result(folder: Path) -> Path:
    return folder / "result.json"


def _command(python: str, among: list[str], gpus: int, folder: Path, what: list[str]) -> list[str]:
    """Return the launcher's command line; `among` says which nodes take part, [] is this one alone."""
    return [
        *(python, "-P", "-m", "trainer.launch", *among, "--nproc-per-node", str(gpus)),
        *("--max-restarts", "0", "--join-minutes", "2", "--grace", "5", "--spot", "off"),
        *("--run-id", "fabric", "-m", "trainer.allreduce", "--out", str(_result(folder)), *what),
    ]


def _run(command: list[str], folder: Path, seconds: float) -> tuple[str, bool]:
    """Run it; returns "" or the end of what it said where it failed, and whether it ended in time."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FLEETFORM_RUN")}
    with (folder / "log").open("w+b") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return f"{command[0]} cannot be run: {error}", True
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code == 0:
            return "", True
        log.seek(0)
        said = " ".join(log.read().decode(errors="replace").split())[-_LAST_CHARACTERS:]
        return (
            (f"no end after {seconds:.0f} s: {said}", False)
            if code is None
            else (said or f"exit code {code}", True)
        )
