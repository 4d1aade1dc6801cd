"""The page of shared memory through which a rank tells the launcher that it lives, and where it stands.

A header of one slot, then one slot for each local rank. All numbers are little-endian and aligned to eight
bytes, so that each is written and read as a whole. Nothing here waits or calls the kernel: a beat costs less
than a microsecond.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from dataclasses import dataclass

VARIABLE = "FLEETFORM_PULSE_FD"
"""Environment variable with the page's file descriptor."""
PHASES = ("starting", "restoring", "training", "saving", "evaluating", "finishing")
SLOT_BYTES = 512
_CAUSE_AT = 64
_CAUSE_BYTES = SLOT_BYTES - _CAUSE_AT - 1
# Words of eight bytes in a slot. The header holds the deadline alone, in its first word.
_STEP, _BEAT, _PHASE, _HANG_AFTER, _CAUSE_TIME, _MICRO_BATCH, _FALLS = range(7)
assert sys.byteorder == "little", "the page is written in the machine's own order"


@dataclass(frozen=True)
class Reading:
    """What a rank last said of itself."""

    step: int
    """Optimizer steps done."""
    beat: float
    """CLOCK_MONOTONIC of its last sign of life; 0 where it has given none."""
    phase: str
    hang_after: float
    """Seconds without a step after which it wants to be taken for hung; 0 leaves it to the launcher."""
    cause: str
    """Why it is about to end, "" while it is not."""
    cause_time: float
    """CLOCK_MONOTONIC of `cause`."""
    micro_batch: int
    """Samples of a micro-batch that the ranks have agreed on, 0 before they have."""
    falls: int
    """How often the step has fallen: a script may train several times, one after the other."""


class _Page:
    """The mapped page."""

    def __init__(self, fd: int, num_ranks: int) -> None:
        self._memory = mmap.mmap(fd, SLOT_BYTES * (1 + num_ranks))
        self.words = memoryview(self._memory).cast("Q")
        self.numbers = memoryview(self._memory).cast("d")
        self.bytes = memoryview(self._memory)


class Pulse:
    """A rank's end of the page; without a launcher, a pulse that does nothing."""

    def __init__(self, page: _Page | None, local_rank: int) -> None:
        self._page = page
        self._at = (1 + local_rank) * SLOT_BYTES // 8
        self._phase = PHASES[0]

    @classmethod
    def open(cls) -> Pulse:
        """Return this process's pulse, from $FLEETFORM_PULSE_FD and $LOCAL_RANK."""
        fd, local_rank = os.environ.get(VARIABLE), int(os.environ.get("LOCAL_RANK", "0"))
        return cls(None if fd is None else _Page(int(fd), local_rank + 1), local_rank)

    @property
    def listened_to(self) -> bool:
        """Whether a launcher reads it."""
        return self._page is not None

    def beat(self, step: int) -> None:
        """Say that `step` optimizer steps are done."""
        if self._page is not None:
            if step < self._page.words[self._at + _STEP]:
                self._page.words[self._at + _FALLS] += 1
            self._page.words[self._at + _STEP] = step
            self._page.numbers[self._at + _BEAT] = time.monotonic()

    def phase(self, name: str) -> str:
        """Say what it does from now on: one of PHASES. Returns what it did before."""
        before, self._phase = self._phase, name
        if self._page is not None:
            self._page.words[self._at + _PHASE] = PHASES.index(name)
            self._page.numbers[self._at + _BEAT] = time.monotonic()
        return before

    def hang_after(self, seconds: float | None) -> None:
        """Set how long a step may take before the processes count as hung; None lets the launcher choose."""
        if self._page is not None:
            self._page.numbers[self._at + _HANG_AFTER] = seconds or 0.0

    def micro_batch(self, samples: int) -> None:
        """Say which micro-batch the ranks have agreed on."""
        if self._page is not None:
            self._page.words[self._at + _MICRO_BATCH] = samples

    def cause(self, text: str) -> None:
        """Say why this process is about to end; the first cause stays. Longer ones are cut."""
        if self._page is None or self._page.numbers[self._at + _CAUSE_TIME]:
            return
        data = text.encode(errors="replace")[:_CAUSE_BYTES]
        start = self._at * 8 + _CAUSE_AT
        self._page.bytes[start : start + len(data) + 1] = data + b"\0"
        self._page.numbers[self._at + _CAUSE_TIME] = time.monotonic()

    def deadline(self) -> float | None:
        """Return the seconds left to stop in, below 0 when they are over; None where nobody has asked."""
        until = 0.0 if self._page is None else self._page.numbers[0]
        return until - time.monotonic() if until else None


class PulsePage:
    """The launcher's end: makes the page and reads it."""

    def __init__(self, num_ranks: int) -> None:
        self.fd = os.memfd_create("fleetform-pulse", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, SLOT_BYTES * (1 + num_ranks))
        self._page, self._num_ranks = _Page(self.fd, num_ranks), num_ranks

    def clear(self) -> None:
        """Forget what the ranks of an earlier attempt have said."""
        self._page.bytes[:] = bytes(SLOT_BYTES * (1 + self._num_ranks))

    def set_deadline(self, seconds: float) -> None:
        """Tell the ranks that they have so many seconds left to stop in."""
        self._page.numbers[0] = time.monotonic() + seconds

    def read(self, local_rank: int) -> Reading:
        """Return what a rank last said; what a broken one wrote is read without a fault."""
        at = (1 + local_rank) * SLOT_BYTES // 8
        words, numbers = self._page.words, self._page.numbers
        start = at * 8 + _CAUSE_AT
        text = bytes(self._page.bytes[start : start + _CAUSE_BYTES]).partition(b"\0")[0]
        said = bool(numbers[at + _CAUSE_TIME])
        return Reading(
            step=words[at + _STEP],
            beat=numbers[at + _BEAT],
            phase=PHASES[min(words[at + _PHASE], len(PHASES) - 1)],
            hang_after=numbers[at + _HANG_AFTER],
            cause=text.decode(errors="replace") if said else "",
            cause_time=numbers[at + _CAUSE_TIME],
            micro_batch=words[at + _MICRO_BATCH],
            falls=words[at + _FALLS],
        )
