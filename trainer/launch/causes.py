"""Why an attempt ended: which rank went first, and what became of it, in one line."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXIT_FAILED, EXIT_USER_MISTAKE = 1, 2
EXIT_STOPPED = 75
"""Told to stop, saved: run the same command again."""
EXIT_SMALLER_BATCH = 76
"""Out of memory; run again with the smaller micro-batch that it noted."""
LONGEST_TEXT = 400

_PEER_LOSS = re.compile(
    r"Connection (closed|reset) by (remote )?peer|Broken pipe|Socket closed|Socket Timeout|DistNetworkError"
    r"|ncclRemoteError|ncclSystemError|remote process exited|NCCL communicator was aborted|watchdog"
    r"|Application timeout caused pair closure|Timed out waiting \d+ms for|failed to (recv|send), got 0 bytes"
    r"|Gloo connectFullMesh failed|recvBytes|sendBytes|Connection refused",
    re.IGNORECASE,
)
"""What gloo, NCCL and the store say when it was another rank that ended; collected from their sources."""


@dataclass(frozen=True)
class Death:
    """How one rank ended."""

    rank: int
    node: int
    code: int
    """As subprocess counts: minus the signal's number for a killed one."""
    step: int | None
    """Optimizer steps that it had done; None where it never said."""
    phase: str
    text: str
    """What it said of its end itself, "" for nothing."""
    seconds_ago: float
    """How long before the report it said so, or ended."""
    told: bool
    """Whether it ended because the launcher told it to."""
    falls: int
    """How often its count of steps began anew."""
    short_of_memory: bool
    """Whether the kernel ended processes for want of memory meanwhile."""

    def to_message(self) -> dict[str, Any]:
        """Return it as what travels between launchers."""
        return asdict(self)

    @classmethod
    def from_message(cls, table: Mapping[str, Any]) -> Death:
        """Read it back; KeyError, TypeError or ValueError where the message is malformed."""
        return cls(
            rank=int(table["rank"]),
            node=int(table["node"]),
            code=int(table["code"]),
            step=None if table["step"] is None else int(table["step"]),
            phase=str(table["phase"])[:20],
            text=str(table["text"])[:LONGEST_TEXT],
            seconds_ago=float(table["seconds_ago"]),
            told=bool(table["told"]),
            falls=int(table["falls"]),
            short_of_memory=bool(table["short_of_memory"]),
        )

    @property
    def failed(self) -> bool:
        """Whether it ended in a way that is no success and that nobody asked for."""
        return self.code not in (0, EXIT_STOPPED) and (bool(self.text) or not self.told)

    def describe(self) -> str:
        """Return it in words: `rank 1 (node 0) was ended by SIGKILL in step 68`."""
        who, where = f"rank {self.rank} (node {self.node})", self._where()
        if self.text:
            return f"{who}{where}: {self.text}"
        if self.code < 0:
            memory = ": the kernel ended a process for want of memory" if self.short_of_memory else ""
            return f"{who} was ended by {signal_name(-self.code)}{where}{memory}"
        return f"{who} ended with exit code {self.code}{where}"

    def _where(self) -> str:
        if self.step is None:
            return ""
        return (
            f" in step {self.step + 1}"
            if self.phase == "training"
            else f" {self.phase}, {self.step} steps done"
        )


def lost_a_peer(text: str) -> bool:
    """Return whether a rank says that it ended because another one did."""
    return bool(_PEER_LOSS.search(text))


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9; a number that has no name stays one."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def exit_status(code: int) -> int:
    """Return the exit code that a shell would give for it: 128 and the number for a signal."""
    return code if code >= 0 else 128 - code


def first_cause(deaths: Sequence[Death]) -> Death | None:
    """Return the death that the others followed from; None where no rank failed.

    Those that say that they lost a peer come last; among the rest the earliest.
    """
    failed = [death for death in deaths if death.failed]
    return min(failed, key=lambda death: (lost_a_peer(death.text), -death.seconds_ago), default=None)


def aborted_text(lines: Sequence[str]) -> str:
    """Return what a C++ abort wrote of its reason to standard error, "" where it wrote none."""
    for line in reversed(lines):
        _, found, reason = line.partition("what():")
        if found:
            return reason.strip()[:LONGEST_TEXT]
    return ""
