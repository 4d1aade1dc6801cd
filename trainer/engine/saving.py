"""When a run is saved: checkpoints by number or by cost, their commit, and snapshots in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from math import inf

from trainer.checkpoints.checkpointer import Checkpointer
from trainer.checkpoints.interval import steps_between_saves, steps_between_snapshots
from trainer.engine.stepper import StepResult
from trainer.engine.surroundings import Surroundings, digest
from trainer.state import Progress

FIRST_SAVE_SECONDS = 30.0
"""Seconds of training after which the first checkpoint is saved, whose cost then says when the next are."""
MEMORY = "FLEETFORM_MEMORY_FD"
"""Environment variable of the memory that outlives this process; without it there is nothing to gain."""


def checkpointer_of(around: Surroundings) -> Checkpointer:
    """Return the run's checkpointer, its writer started."""
    return Checkpointer(
        around.run_dir / "checkpoints",
        around.world,
        keep=around.settings.keep_checkpoints,
        settings=around.identity,
        config_digest=digest(around.identity),
        memory=around.settings.memory_snapshot,
        remote=os.environ.get("FLEETFORM_CHECKPOINTS_URL"),
    )


LAST_SECONDS = 3.0
"""Seconds of a stop's deadline that are kept for ending the process."""


class Saving:
    """Decides for all processes alike: by the step's number and what the exchange has told them all."""

    def __init__(
        self, checkpointer: Checkpointer, around: Surroundings, done: Progress, *,
        saved: Callable[[int], None],
    ) -> None:  # fmt: skip
        """`done` is where the run goes on; `saved` is told of each checkpoint that counts.

        By every process at once.
        """
        self._checkpointer, self._settings, self._world = checkpointer, around.settings, around.world
        self._saved, self._begun_at = saved, done.step
        self.last = done.step
        """The step of the last checkpoint, written or under way."""
        self._interval: float = inf
        self._told = checkpointer.costs.committed_step
        self._pending: int | None = None
        self._mean_step = self._save_seconds = 0.0
        self._snapshot_seconds = 0.0
        self._last_snapshot = done.step
        restarts = float(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        # Every process must come to the same interval: rank 0 alone knows the seconds of earlier attempts.
        self._seconds_before, self._failures = self._world.largest([done.train_seconds, restarts])
        self._snapshots = around.settings.memory_snapshot != "off" and MEMORY in os.environ

    @property
    def pending(self) -> bool:
        """Whether a checkpoint waits for a part of it to be written; the same on every process."""
        return self._pending is not None

    def written(self) -> bool:
        """Return whether this process's part of the checkpoint under way is on its disk, or at the remote."""
        return self._checkpointer.written()

    def seconds(self) -> tuple[float, float]:
        """Return what the last checkpoint and the last snapshot have cost this process."""
        return self._save_seconds, self._snapshot_seconds

    def commit_when_written(self, result: StepResult | None) -> None:
        """Make the checkpoint under way count, where every process's part of it is on its disk."""
        if result is not None and result.all_written and self._checkpointer.commit():
            self._pending = None
        self._tell_committed()

    def due(self, step: int, result: StepResult | None) -> bool:
        """Return whether the state after this step is to be saved."""
        # A result tells how long the step before it took; the first step also compiles and the like.
        if result is not None and result.step_seconds and result.step > self._begun_at + 2:
            known = self._mean_step
            self._mean_step = 0.9 * known + 0.1 * result.step_seconds if known else result.step_seconds
        every = self._settings.checkpoint_every
        if every != "auto":
            return every > 0 and step % every == 0
        if result is not None:
            self._interval = self._between_saves(step, result.save_seconds)
        return self._pending is None and step - self.last >= self._interval

    def save(self, progress: Progress, deadline: float | None = None) -> float:
        """Hand the state over to be written; return the seconds that training stood still.

        `deadline` is the seconds left to stop in, where it has been told to.
        """
        begin = time.perf_counter()
        self._checkpointer.save(progress, inf if deadline is None else max(deadline - LAST_SECONDS, 0.0))
        self._tell_committed()  # it may have waited for the one before
        self._pending = self.last = self._last_snapshot = progress.step
        self._save_seconds = time.perf_counter() - begin
        return self._save_seconds

    def snapshot(self, step: int, result: StepResult | None, progress: Callable[[], Progress]) -> float:
        """Keep the state in memory, as often as that may cost; return the seconds that it took."""
        if not self._snapshots or step - self._last_snapshot < self._snapshot_every(result):
            return 0.0
        begin = time.perf_counter()
        self._checkpointer.remember(progress())
        self._last_snapshot = step
        self._snapshot_seconds = time.perf_counter() - begin
        return self._snapshot_seconds

    def settle(self, seconds: float | None = None) -> int:
        """Wait until the checkpoint under way counts, and is uploaded, for at most so many seconds.

        Return the step of the newest that this attempt has saved; the same on every process.
        """
        self._checkpointer.wait(inf if seconds is None else seconds)
        self._pending = None
        self._tell_committed()
        return int(self._world.largest([self._checkpointer.costs.committed_step])[0])

    def settle_last(self, step: int, save: Callable[[], object], deadline: Callable[[], float | None]) -> int:
        """Wait until the state after the last step counts, saved once more where that failed.

        Return the step of the newest that counts, as `settle` does; `deadline` gives the seconds left.
        """
        for tries_left in (1, 0):
            left = deadline()
            seconds = None if left is None else max(left - LAST_SECONDS, 0.0)
            newest = self.settle(seconds)
            late = self._world.largest([seconds == 0.0])[0]
            if step in (newest, self._begun_at) or not tries_left or late:
                break
            save()
        return newest

    def _tell_committed(self) -> None:
        """Tell of a checkpoint that counts since the last call."""
        step = self._checkpointer.costs.committed_step
        if step != self._told:
            self._told = step
            self._saved(step)

    def _between_saves(self, step: int, save_seconds: float) -> int:
        """Return the steps between saves: of what all processes know alike, for all must choose the same."""
        if not save_seconds:
            return max(1, round(FIRST_SAVE_SECONDS / max(self._mean_step, 1e-6)))
        world_size = self._world.world_size
        return steps_between_saves(
            step_seconds=self._mean_step,
            save_seconds=save_seconds,
            devices=world_size,
            machines=max(1, world_size // int(os.environ.get("LOCAL_WORLD_SIZE", world_size))),
            spot=os.environ.get("FLEETFORM_SPOT") == "1",
            elapsed_seconds=self._seconds_before + (step - self._begun_at) * self._mean_step,
            failures=int(self._failures),
        )

    def _snapshot_every(self, result: StepResult | None) -> int:
        if self._settings.memory_snapshot == "every_step" or result is None or not self._mean_step:
            return 1
        return steps_between_snapshots(step_seconds=self._mean_step, snapshot_seconds=result.snapshot_seconds)
