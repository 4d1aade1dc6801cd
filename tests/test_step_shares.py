"""How a step's time divides into computing and waiting: what is counted, and what is not."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from trainer.engine.step_shares import EVERY, WARM_UP_STEPS, StepShares, queue_clock  # noqa: E402

pytestmark = pytest.mark.torch


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def do_step(shares: StepShares, clock: Clock, computing: float, micro_batches: int, other: float) -> None:
    for _ in range(micro_batches):
        shares.begin_batch()
        clock.now += computing / micro_batches
        shares.end_batch()
    shares.end_step()
    clock.now += other


def test_forward_and_backward_of_all_micro_batches_are_computing_and_the_rest_is_other() -> None:
    shares, clock = StepShares(nn.Linear(1, 1), torch.device("cpu")), Clock()
    shares._clock, shares._queue, shares._crowd = clock, lambda: 0.0, lambda: ""  # type: ignore[method-assign]
    assert shares.values(1.0) == {}
    for _ in range(WARM_UP_STEPS):
        do_step(shares, clock, 100.0, 1, 50.0)  # not counted
    for _ in range(3 * EVERY):
        do_step(shares, clock, 0.4, 2, 0.1)
    assert shares.values(9.9) == {"compute_seconds": pytest.approx(0.4), "other_seconds": pytest.approx(0.1)}


def shares_of_steps(queueing: float) -> dict[str, Any]:
    """Return what steps tell that wait for a processor for so much of their time."""
    shares, clock = StepShares(nn.Linear(1, 1), torch.device("cpu")), Clock()
    shares._clock, shares._queue = clock, lambda: queueing * time.perf_counter()
    for _ in range(WARM_UP_STEPS + 3 * EVERY):
        do_step(shares, clock, 0.4, 1, 0.1)
    return shares.values(1.0)


def test_processes_that_compete_for_processors_are_projected_from_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert shares_of_steps(0.04)["compute_seconds"] == pytest.approx(0.4)
    assert shares_of_steps(0.08) == {"no_projection": "steps waited for a processor 8% of their time"}
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert shares_of_steps(0.0) == {"no_projection": "2 processes of 1 threads share 1 processors"}


def test_the_queue_s_clock_tells_how_long_the_thread_waited_for_its_processor() -> None:
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        if (rival := os.fork()) == 0:
            begun = time.monotonic()
            while time.monotonic() - begun < 10:
                pass
            os._exit(0)
        clock, worked = queue_clock(), time.thread_time()
        begin = clock()
        while time.thread_time() - worked < 0.1:
            pass
        assert clock() - begin > 0.01
        os.kill(rival, 9)
        os.waitpid(rival, 0)
    finally:
        os.sched_setaffinity(0, mine)


class Replica(nn.Module):
    """Has DDP's timers, in nanoseconds, as DistributedDataParallel gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.iteration = 0

    def _get_ddp_logging_data(self) -> dict[str, Any]:
        ms = 10**6
        return {
            "iteration": self.iteration,
            "forward_compute_time": 10 * ms,
            "backward_compute_time": 20 * ms,
            "backward_comm_time": 16 * ms,
            "backward_compute_comm_overlap_time": 12 * ms,
        }


def test_on_a_gpu_ddp_s_own_timers_tell_and_what_no_computation_hides_is_waiting() -> None:
    replica = Replica()
    shares = StepShares(replica, torch.device("cuda"))
    for step in range(1, 31):
        replica.iteration = min(step, 10)  # DDP takes them in the first ten iterations
        shares.begin_batch()
        shares.end_batch()
        shares.end_step()
    found = shares.values(0.037)
    assert found == {"compute_seconds": pytest.approx(0.030), "other_seconds": pytest.approx(0.003)}


def test_without_ddp_on_a_gpu_nothing_is_claimed() -> None:
    shares = StepShares(nn.Linear(1, 1), torch.device("cuda"))
    for _ in range(20):
        shares.begin_batch()
        shares.end_batch()
        shares.end_step()
    assert shares.values(0.03) == {}
