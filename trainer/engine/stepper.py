"""One optimizer step from micro-batches: backward passes, the exchange, the update, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.distributed import World
from trainer.engine.exchange import (
    LOSS,
    SAVE_SECONDS,
    SNAPSHOT_SECONDS,
    STEP_SECONDS,
    STOP,
    TERMS,
    WIDTH,
    WRITTEN,
    Exchange,
)
from trainer.engine.parallel import Placed
from trainer.engine.step_shares import StepShares
from trainer.engine.update import Update


@dataclass(frozen=True, slots=True)
class StepResult:
    """What all processes together know of a step; the same numbers on each."""

    step: int
    loss: float
    """Mean over the step's terms."""
    gradient_norm: float
    """Norm of that mean's gradient, before clipping."""
    learning_rate: float
    terms: float
    stop: bool
    """Whether any process was told to stop."""
    all_written: bool
    """Whether each process's part of the checkpoint under way is on its disk."""
    step_seconds: float
    """Mean of the processes' seconds of the step before."""
    save_seconds: float
    """Mean of the seconds that the last checkpoint has cost each of them."""
    snapshot_seconds: float
    """Mean of their seconds for the last snapshot in memory."""

    def is_number(self) -> bool:
        """Return whether the loss and the gradient's norm are numbers."""
        return math.isfinite(self.loss) and math.isfinite(self.gradient_norm)


class Stepper:
    """Does the steps of one model and optimizer.

    On a CPU a step's numbers are read at once. On a GPU nothing waits for them: those of step n are read in
    step n + 1, from a copy that is long there by then.
    """

    def __init__(
        self,
        placed: Placed,
        world: World,
        update: Update,
        *,
        numbers: Callable[[], tuple[float, ...]],
        before_update: Callable[[], None],
    ) -> None:
        """`numbers` gives what this process adds to the exchange: STOP and those behind it."""
        self.update = update
        self._placed, self._world = placed, world
        self._numbers, self._before_update = numbers, before_update
        self._exchange = Exchange(world, placed.carrier)
        self.shares = StepShares(placed.replica, world.device)
        self._seeds: dict[tuple[float, torch.dtype], Tensor] = {}
        self._step = self._left = 0
        self._terms = 0.0
        self._asked = True
        self._updated = False
        self._pinned = (
            [torch.zeros(WIDTH + 1, pin_memory=True) for _ in range(2)] if update.reads_late else []
        )
        self._unread: tuple[int, float, Any] | None = None
        self._read: StepResult | None = None

    @property
    def updated(self) -> bool:
        """Whether the step that was begun has moved the weights."""
        return self._updated

    def begin(self, step: int, micro_batches: int) -> None:
        """Begin a step of so many micro-batches."""
        self._step, self._left, self._terms, self._updated = step, micro_batches + 1, 0.0, False
        self._exchange.begin()

    def next_micro_batch(self) -> None:
        """Begin the next micro-batch; gradients are summed over the processes in the last one only."""
        self._left -= 1
        self._asked = False
        self._placed.sum_next(self._left == 1)
        self.shares.begin_batch()

    def backward(self, loss: Tensor, terms: float) -> None:
        """Add the gradient of a micro-batch's loss, the mean over its terms."""
        if self._asked:
            raise RuntimeError("run.backward: one call a batch of run.steps; add the losses of a batch first")
        self._asked = True
        terms = float(terms)
        if loss.dtype in (torch.bfloat16, torch.float16):
            loss = loss.float()  # its sum over the step, at least, is to be exact
        if terms == 0:
            loss = self._placed.nothing(loss)
        self._terms += terms
        self._exchange.add_loss(loss, terms)
        seed = self._seed(terms, loss)
        if self._left > 1:
            loss.backward(seed)  # type: ignore[no-untyped-call]
        else:
            self._exchange.backward(loss, seed, (self._terms, *self._numbers()))
        self.shares.end_batch()
        if self._left == 1:
            self.shares.end_step()

    def step(self) -> bool:
        """Move the weights, where this was the step's last micro-batch; return whether it was."""
        if self._left > 1:
            return False
        if not self._asked or self._updated:
            raise RuntimeError("run.step: call it once a batch of run.steps, after run.backward")
        self._before_update()
        rate = float(self.update.optimizer.param_groups[0]["lr"])
        if self.update.reads_late:
            norm = self.update.on_device(self._exchange.sums())
            self._read = self._take()
            self._hand_over(norm, rate)
        else:
            sums = self._exchange.read()
            self._read = self._result(self._step, sums, self.update.on_host(sums), rate)
        self._updated = True
        return True

    def newest(self) -> StepResult | None:
        """Return the newest result that has been read, once."""
        result, self._read = self._read, None
        return result

    def flush(self) -> StepResult | None:
        """Wait for the result that is still on its way, if there is one, and return it."""
        return self._take()

    def _seed(self, terms: float, loss: Tensor) -> Tensor:
        """Return the gradient of the loss that makes it weigh its terms."""
        key = (terms, loss.dtype)
        if (seed := self._seeds.get(key)) is None:
            if len(self._seeds) > 1000:
                self._seeds.clear()
            seed = self._seeds[key] = torch.full((), terms, dtype=loss.dtype, device=loss.device)
        return seed

    def _hand_over(self, norm: Tensor, rate: float) -> None:
        pinned = self._pinned[self._step % 2]
        pinned[:WIDTH].copy_(self._exchange.sums(), non_blocking=True)
        pinned[WIDTH].copy_(norm, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        self._unread = (self._step, rate, event)

    def _take(self) -> StepResult | None:
        if self._unread is None:
            return None
        step, rate, event = self._unread
        self._unread = None
        event.synchronize()
        *sums, norm = self._pinned[step % 2].tolist()
        return self._result(step, sums, norm, rate)

    def _result(self, step: int, sums: list[float], norm: float, rate: float) -> StepResult:
        world_size = self._world.world_size
        return StepResult(
            step=step,
            loss=sums[LOSS] / sums[TERMS] if sums[TERMS] else float("nan"),
            gradient_norm=norm,
            learning_rate=rate,
            terms=sums[TERMS],
            stop=sums[STOP] > 0,
            all_written=sums[WRITTEN] >= world_size - 0.5,
            step_seconds=sums[STEP_SECONDS] / world_size,
            save_seconds=sums[SAVE_SECONDS] / world_size,
            snapshot_seconds=sums[SNAPSHOT_SECONDS] / world_size,
        )
