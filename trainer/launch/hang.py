"""When ranks count as hung, and which of them is the reason: from their pulses and their stacks."""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.launch.pulse import Reading

SHORTEST_SECONDS = 60.0
MEDIAN_STEPS = 20
"""A step may take so many times the median one, or SHORTEST_SECONDS where that is more."""
PATIENT_SECONDS = 900.0
"""For all that is no step: start, compilation, restoring, saving, evaluation."""
_STEADY_STEPS = 10
"""Steps of an attempt after which their length is known; torch.compile may compile anew during the first."""
_REMEMBERED_STEPS = 64

_TOP_FRAMES = 4
_FRAME = re.compile(r'^\s+File "(.+)", line \d+ in (.+)$')
_WAITING = re.compile(r"torch/(distributed/|autograd/(graph|__init__)\.py|nn/parallel/)")
"""Where a rank stands that waits for the others: in a collective, or in a backward pass that ends in one."""


@dataclass(frozen=True)
class Stuck:
    """A rank has gone too long without a step."""

    local_rank: int
    step: int
    phase: str
    seconds: float


class HangWatch:
    """Follows the pulses of one attempt's ranks on one node."""

    def __init__(self, limit_seconds: float | None, now: float) -> None:
        """`limit_seconds` overrides what the ranks ask for; None leaves it to them, or to the steps."""
        self._limit, self._begun = limit_seconds, now
        self._first: dict[int, int] = {}
        self._last: dict[int, tuple[int, float]] = {}
        self._durations: deque[float] = deque(maxlen=_REMEMBERED_STEPS)

    def look(self, readings: Mapping[int, Reading], now: float) -> Stuck | None:
        """Return the rank furthest behind of those that stand still beyond their limit."""
        late = []
        for local_rank, reading in readings.items():
            if not reading.beat:
                continue
            self._learn(local_rank, reading)
            silent = now - max(reading.beat, self._begun)
            if silent > self.limit_seconds(local_rank, reading):
                late.append(Stuck(local_rank, reading.step, reading.phase, silent))
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


def waits_for_others(dump: Sequence[str]) -> bool | None:
    """Return whether faulthandler's dump shows the main thread in a collective; None without a dump."""
    starts = [at for at, line in enumerate(dump) if line.startswith("Current thread")]
    if not starts:
        return None
    frames: list[str] = []
    for line in dump[starts[-1] + 1 :]:
        found = _FRAME.match(line)
        if not found:
            break
        frames.append(found.group(1))
    return any(_WAITING.search(path) for path in frames[:_TOP_FRAMES])


def top_frame(dump: Sequence[str]) -> str:
    """Return `function (file.py:line)` of where the dump's main thread stands, "" where there is no dump."""
    starts = [at for at, line in enumerate(dump) if line.startswith("Current thread")]
    if not starts or starts[-1] + 1 >= len(dump):
        return ""
    found = re.match(r'^\s+File "(.+)", line (\d+) in (.+)$', dump[starts[-1] + 1])
    return f"{found.group(3)} ({found.group(1).rpartition('/')[2]}:{found.group(2)})" if found else ""


@dataclass(frozen=True)
class Standing:
    """Where a rank stood when all of them hung."""

    rank: int
    step: int
    waits: bool | None
    """Whether it waits for others; None where it could not even say: it is stopped, or deep in the kernel."""
    frame: str


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
