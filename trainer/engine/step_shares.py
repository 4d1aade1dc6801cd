"""How a step's time divides into computing and waiting for the other processes, measured while it trains.

From that follows what the same job would take on one process: see node/speedup.py. Nothing is run for it, and
nothing is waited for.

On a CPU, computing is the time from a micro-batch's forward pass to the end of its backward pass in which
the training thread runs on a processor: while it waits for gloo, whose work threads of its own do, it sleeps.
Where processes compete for processors nothing is told, for each of them would run faster alone. On a GPU it
is what DistributedDataParallel's own timers (CUDA events) give for forward and backward computation; DDP
takes them in its first ten iterations and in every hundredth.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

WARM_UP_STEPS = 5
"""Steps that are not counted: the first ones allocate, compile and choose kernels."""
EVERY = 4
"""On a CPU one step of so many is looked at, for a look costs 5 us."""
MOST_QUEUEING = 0.05
"""Largest share of its steps that the thread may have waited for a processor."""
_KEPT = 4096
_NS = 1e9


class StepShares:
    """The shares of one process's steps."""

    def __init__(self, replica: nn.Module, device: torch.device) -> None:
        """`replica` is what is called in the forward pass: DDP's module where there are several processes."""
        self._on_gpu = device.type == "cuda"
        self._replica = replica if hasattr(replica, "_get_ddp_logging_data") else None
        self._computed: deque[float] = deque(maxlen=_KEPT)
        self._others: deque[float] = deque(maxlen=_KEPT)
        self._clock: Callable[[], float] = time.thread_time
        self._queue = queue_clock()
        self._queued = self._elapsed = self._queue_begun = self._wall_begun = 0.0
        self._looked_at = False
        self._begun = self._sum = self._step_begun = 0.0
        self._micro_batches = self._seen = self._iteration = 0

    def begin_batch(self) -> None:
        """Note that the data of a micro-batch is there and its forward pass is about to begin."""
        if self._micro_batches == 0 and not self._on_gpu and self._seen >= WARM_UP_STEPS:
            before, self._looked_at = self._looked_at, self._seen % EVERY == 0
            if before:  # the step before was looked at, and ends where this one begins
                self._others.append(self._clock() - self._step_begun - self._computed[-1])
                self._queued += self._queue() - self._queue_begun
                self._elapsed += time.perf_counter() - self._wall_begun
            if self._looked_at:
                self._queue_begun, self._wall_begun = self._queue(), time.perf_counter()
                self._step_begun = self._clock()
        if self._looked_at:
            self._begun = self._clock()

    def end_batch(self) -> None:
        """Note that a micro-batch's backward pass has ended."""
        if self._looked_at:
            self._sum += self._clock() - self._begun
        self._micro_batches += 1

    def end_step(self) -> None:
        """Note that a step's last backward pass has ended."""
        self._seen += 1
        if self._on_gpu:
            self._read_timers()
        elif self._looked_at:
            self._computed.append(self._sum)
        self._sum, self._micro_batches = 0.0, 0

    def values(self, step_seconds: float) -> dict[str, Any]:
        """Return `compute_seconds` and `other_seconds` of a step; empty where they could not be measured.

        Where processes competed for processors, `no_projection` says so in their place. Both are medians:
        forward and backward computation, and what each process does alone whatever their number is (update,
        data). What is missing to `step_seconds` was waiting for other processes.
        """
        if not self._computed:
            return {}
        if not self._on_gpu and (crowd := self._crowd()):
            return {"no_projection": crowd}
        computed = statistics.median(self._computed)
        if self._on_gpu:  # what is kept there is the wait that no computation hides
            other = step_seconds - computed - statistics.median(self._others)
        else:
            other = statistics.median(self._others) if self._others else 0.0
        return {"compute_seconds": computed, "other_seconds": max(0.0, other)}

    def _crowd(self) -> str:
        """Return how processes competed for processors; "" where they did not."""
        processes, processors = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), len(os.sched_getaffinity(0))
        threads = torch.get_num_threads()
        if processes * threads > processors:
            return f"{processes} processes of {threads} threads share {processors} processors"
        share = self._queued / self._elapsed if self._elapsed else 0.0
        if share > MOST_QUEUEING:
            return f"steps waited for a processor {100 * share:.0f}% of their time"
        return ""

    def _read_timers(self) -> None:
        """Take what DDP's timers say of the newest iteration that they were read in, once."""
        if self._replica is None or not (self._seen <= 12 or self._seen % 100 <= 1):
            return
        found: dict[str, Any] = self._replica._get_ddp_logging_data()  # type: ignore[operator]
        iteration, forward = found.get("iteration", 0), found.get("forward_compute_time", 0)
        if iteration == self._iteration or not forward or self._seen <= WARM_UP_STEPS:
            return
        self._iteration = iteration
        backward, sent = found.get("backward_compute_time", 0), found.get("backward_comm_time", 0)
        hidden = found.get("backward_compute_comm_overlap_time", 0)
        self._computed.append(float(forward + backward) / _NS * self._micro_batches)
        self._others.append(max(0.0, float(sent - hidden)) / _NS)


def queue_clock() -> Callable[[], float]:
    """Return a clock of the calling thread's seconds of waiting for a processor (proc(5), schedstat).

    It stands still where the kernel does not tell.
    """
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return lambda: 0.0

    def seconds() -> float:
        return int(os.pread(file, 96, 0).split()[1]) / _NS

    return seconds
