"""When ranks count as hung, and which of them is the reason: from their pulses and their stacks."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.launch.pulse import Reading

SHORTEST_SECONDS = 60.0
MEDIAN_STEPS = 20
"""A step may take so many times the median one, or SHORTEST_SECONDS where that is more."""
PATIENT_SECONDS = 900.0
"""For all that is no step: start, compilation, restoring, saving, evaluation."""
BUSY_PHASES = ("restoring", "saving", "evaluating")
"""What one rank may do alone while the others wait for it in a step."""
_STEADY_STEPS = 10
"""Steps of an attempt after which their length is known; torch.compile may compile anew during the first."""
_REMEMBERED_STEPS = 64


@dataclass(frozen=True)
class Stuck:
    """A rank has gone too long without a step."""

    local_rank: int
    step: int
    phase: str
    seconds: float
    limit: float
    """Seconds that it is allowed."""
    final: bool
    """Whether that is all that it gets wherever it stands: somebody chose the limit, or it is the longest."""

    @classmethod
    def from_message(cls, table: Mapping[str, Any]) -> Stuck:
        """Read it from what travels between launchers; KeyError, TypeError or ValueError if malformed."""
        return cls(
            local_rank=int(table["local_rank"]),
            step=int(table["step"]),
            phase=str(table["phase"])[:20],
            seconds=float(table["seconds"]),
            limit=float(table["limit"]),
            final=bool(table["final"]),
        )


class HangWatch:
    """Follows the pulses of one attempt's ranks on one node."""

    def __init__(self, limit_seconds: float | None, now: float) -> None:
        """`limit_seconds` overrides what the ranks ask for; None leaves it to them, or to the steps."""
        self._limit, self._begun = limit_seconds, now
        self._first: dict[int, int] = {}
        self._last: dict[int, tuple[int, float]] = {}
        self._durations: deque[float] = deque(maxlen=_REMEMBERED_STEPS)

    def look(self, readings: Mapping[int, Reading], now: float) -> Stuck | None:
        """Return the rank furthest behind of those that stand still beyond their limit.

        None while one of them evaluates, saves or restores: the others may wait for it.
        """
        late = []
        for local_rank, reading in readings.items():
            if not reading.beat:
                continue
            self._learn(local_rank, reading)
            silent = now - max(reading.beat, self._begun)
            limit = self.limit_seconds(local_rank, reading)
            if silent > limit:
                final = bool(self._limit or reading.hang_after) or silent > PATIENT_SECONDS
                late.append(Stuck(local_rank, reading.step, reading.phase, silent, limit, final))
            elif reading.phase in BUSY_PHASES:
                return None
        return max(late, key=lambda stuck: (-stuck.step, stuck.seconds), default=None)

    def limit_seconds(self, local_rank: int, reading: Reading) -> float:
        """Return how long the rank may stand still where it is now."""
        done = reading.step - self._first.get(local_rank, reading.step)
        chosen = self._limit or reading.hang_after
        if reading.phase != "training" or done < (1 if chosen else _STEADY_STEPS):
            return max(PATIENT_SECONDS, chosen)
        if chosen:
            return chosen
        median = statistics.median(self._durations) if self._durations else 0.0
        return max(SHORTEST_SECONDS, MEDIAN_STEPS * median)

    def _learn(self, local_rank: int, reading: Reading) -> None:
        self._first.setdefault(local_rank, reading.step)
        step, beat = self._last.get(local_rank, (reading.step, reading.beat))
        if reading.step < step:  # another training begins
            self._first[local_rank] = reading.step
        if reading.step > step:
            self._durations.append((reading.beat - beat) / (reading.step - step))
        self._last[local_rank] = (reading.step, reading.beat)


@dataclass(frozen=True)
class Standing:
    """Where a rank stood when all of them hung."""

    rank: int
    step: int
    waits: bool | None
    """Whether it waits for others; None where it could not even say: it is stopped, or deep in the kernel."""
    frame: str
    """Where in the program, as `function (file.py:line)`; "" where that is not known."""
    phase: str = "training"
    own: bool = False
    """Whether the program's own code runs, and not the trainer's."""


def excused(standings: Sequence[Standing]) -> bool:
    """Return whether nobody hangs yet: one rank evaluates or saves, or all compute something of their own.

    What a program does between two steps, such as a validation, is not told from a hang by its pulse; by the
    others, who would wait for a rank that hangs, it is.
    """
    if any(each.phase in BUSY_PHASES for each in standings):
        return True
    return bool(standings) and all(each.own and each.waits is False for each in standings)


def guilty(standings: Sequence[Standing]) -> list[Standing]:
    """Return the ranks that the others wait for: those behind, or in no collective; [] if unclear."""
    if not standings:
        return []
    lowest = min(each.step for each in standings)
    behind = [each for each in standings if each.step == lowest]
    if len(behind) < len(standings):
        return behind
    busy = [each for each in standings if not each.waits]
    return busy if len(busy) < len(standings) else []
