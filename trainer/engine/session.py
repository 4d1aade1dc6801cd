"""A run between its first and its last step: resume, what follows each step, the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer.distributed import PHASE_SECONDS, STEP_SECONDS
from trainer.engine.collector import Collector
from trainer.engine.failures import DivergedError
from trainer.engine.feed import Feed
from trainer.engine.places import extras_of_all, give_back
from trainer.engine.saving import Saving, checkpointer_of
from trainer.engine.seeds import DERIVED
from trainer.engine.stepper import Stepper, StepResult
from trainer.engine.surroundings import Surroundings
from trainer.engine.update import Update
from trainer.state import Progress, State

if TYPE_CHECKING:
    from trainer.engine.placing import Placing

COLLECT_EVERY = 1000
"""Steps after which garbage is collected where nothing else pauses the run: on all processes at once."""
SETTLED = 3
"""Steps after which all that is compiled has been."""


class Session:
    """The steps of one model, optimizer and data."""

    def __init__(self, around: Surroundings, placing: Placing, feed: Feed, state: State) -> None:
        self.around, self.feed, self.state = around, feed, state
        self._placing, self._optimizer = placing, placing.optimizer
        self._collector = Collector()
        self.checkpointer = checkpointer_of(around)
        self.step = self.samples = 0
        self.total: int | None = None
        self.stopping = False
        self.begun_at = 0
        self._count = 0
        self._prepared = self._released = False
        self.newest_saved = 0
        """The step to go on from, at the end."""
        self._began = self._waited = self._seconds = self._blocked = 0.0

    def resume(self, total: int | None) -> None:
        """Go on from the newest checkpoint, if there is one; raises ConfigError where it is another run's."""
        around, begin = self.around, time.perf_counter()
        around.pulse.phase("restoring")
        around.recorder.ledger.event("setup_done")
        if around.afresh:
            self.checkpointer.clear()
        stateless = not self._optimizer.state
        if stateless:
            self.state.make_moments()
        found = self.checkpointer.resume(self.state)
        done = found or Progress()
        if found is None and stateless:
            self.state.forget_moments()
        elif found is not None:
            give_back(self.state, found.extras, around.world)
            around.recorder.restored(self.checkpointer.source, found.step, time.perf_counter() - begin)
            with around.recorder.data_wait():
                self.feed.seek(found.step, found.data)
        self.step, self.samples, self.total = done.step, done.samples, total
        self.begun_at = done.step
        around.recorder.first_step_time = done.first_step_time
        self._prepare(done)

    def _prepare(self, done: Progress) -> None:
        around = self.around
        if self.total is None or done.step < self.total:
            around.recorder.drop_summary()  # of a run whose last checkpoint is gone
        around.recorder.begin(
            done.step,
            done.train_seconds,
            unit=around.unit,
            units_per_sample=around.units_per_sample,
            flops=around.flops,
            precision=self._placing.precision,
        )
        update = Update(self._optimizer, self.state.model, around.world, around.settings.gradient_clip)
        self.saving = Saving(self.checkpointer, around, done, saved=self._saved)
        self.stepper = Stepper(
            self._placing.placed,
            around.world,
            update,
            numbers=self._numbers,
            before_update=self.checkpointer.before_update,
        )
        if done.step:
            around.hooks.call("resume", done.step)
        around.pulse.phase("training")
        self._waited = self.feed.wait_seconds
        self._began = time.perf_counter()

    def _numbers(self) -> tuple[float, ...]:
        """Return what this process tells the others in this step: STOP and what follows it."""
        stop = float(self.around.stop.asked)
        return (stop, float(self.saving.written()), self._seconds, *self.saving.seconds())

    def advance(self) -> None:
        """Count the step that has just moved the weights."""
        self.step += 1
        self._count = self.feed.samples(self.step)
        self.samples += self._count

    def after_step(self) -> None:
        """Do what is due after a step; raises DivergedError on every process."""
        around, step = self.around, self.step
        if step == self.begun_at + 1:
            self._after_first_step()
        result = self.stepper.newest()
        if result is not None:
            self._refuse_diverged(result)
        self.saving.commit_when_written(result)
        if self.saving.last != step and self.saving.due(step, result):
            self.save()
        elif step % COLLECT_EVERY == 0:
            self._collector.pause()
        now, waited = time.perf_counter(), self.feed.wait_seconds
        self._seconds = now - self._began
        around.recorder.step(step, self._seconds, self._count, waited - self._waited, self._blocked)
        self._began, self._waited, self._blocked = now, waited, 0.0
        if result is not None:
            self._note(result)
            self.saving.snapshot(step, result, self.progress)
        around.pulse.beat(step)
        for function in around.hooks.each_step:
            function(step)
        every = around.settings.eval_every
        if every and step % every == 0 and step != self.total and around.hooks.has("eval"):
            self.evaluate()

    def save(self) -> float:
        """Save the state after the step just done; return the seconds that training stood still."""
        self._prepare_saving()
        late = self.stepper.flush()
        if late is not None:  # what is saved must be known to be sound
            self._refuse_diverged(late)
            self._note(late)
        blocked = self.saving.save(self.progress(), self.around.pulse.deadline())
        self._blocked += blocked
        self._collector.pause()
        return blocked

    def _prepare_saving(self) -> None:
        """Get the memory for saves, once: after the first step, when the optimizer has all of its moments."""
        if not self._prepared:
            self._prepared = True
            self.checkpointer.prepare(self.state)

    def _after_first_step(self) -> None:
        self._prepare_saving()
        self._collector.rest()
        wait = self.feed.wait_seconds - self._waited
        self.around.recorder.first_step(self.step, time.perf_counter() - self._began, wait)
        self.around.world.wait_at_most(STEP_SECONDS)

    def _note(self, result: StepResult) -> None:
        """Write down what came of a step."""
        self.stopping = self.stopping or result.stop
        every = self.around.settings.log_every
        due = result.step % every == 0 or result.step in (self.begun_at + 1, self.total)
        samples = self.samples if result.step == self.step else self.samples - self._count
        if self.around.recorder.result(result, samples or None, due=due):
            self.around.hooks.call("log", result.step)
        if result.step == self.begun_at + SETTLED:
            self._placing.compiling.keep()

    def _refuse_diverged(self, result: StepResult) -> None:
        if not result.is_number():
            norm = result.gradient_norm
            raise DivergedError(
                f"step {result.step}: the loss is {result.loss}, the norm of its gradient {norm}: stopped"
            )

    def evaluate(self) -> None:
        """Call the hooks for evaluation; what they return goes into the next metrics line."""
        with self.phase("evaluating"):
            for values in self.around.hooks.call("eval", self.step):
                self.around.recorder.add(values or {})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Account for what happens inside as that phase, not as training."""
        around, recorder = self.around, self.around.recorder
        recorder.flush()
        kind = "evaluation" if name == "evaluating" else "checkpoint_wait"
        recorder.ledger.event(f"{kind}_started")
        before = around.pulse.phase(name)
        around.world.wait_at_most(PHASE_SECONDS)
        begin = time.time()
        try:
            with recorder.paused():
                yield
        finally:
            recorder.ledger.event(kind, begin=begin, end=time.time())
            recorder.pause_over()
            around.world.wait_at_most(STEP_SECONDS)
            around.pulse.phase(before)
            self._began = time.perf_counter()

    def end(self) -> None:
        """Save the last state, if that is not done, and wait until it counts."""
        around = self.around
        last = self.stepper.flush()
        if last is not None:
            self._refuse_diverged(last)
            self._note(last)
        if self.stopping and not self.finished:
            around.hooks.call("preempt", self.step)
        with self.phase("saving"):
            if self.step > self.begun_at and self.saving.last != self.step:
                self.save()
            newest = self.saving.settle_last(self.step, self.save, around.pulse.deadline)
            self.newest_saved = max(newest, self.begun_at)

    def release(self) -> None:
        """Give back what only the steps needed; at any time, more than once."""
        if not self._released:
            self._released = True
            self.feed.close()
            self.checkpointer.close()
            self._collector.resume()

    @property
    def finished(self) -> bool:
        """Whether every step is done."""
        return self.total is not None and self.step >= self.total

    def progress(self) -> Progress:
        """Return how far the run is."""
        return Progress(
            step=self.step,
            samples=self.samples,
            train_seconds=self.around.recorder.seconds(),
            first_step_time=self.around.recorder.first_step_time,
            data=self.feed.cursor(),
            random={"seed": self.around.settings.seed, "derived_from": list(DERIVED)},
            extras=extras_of_all(self.state, self.around.world),
        )

    def _saved(self, step: int) -> None:
        costs = self.checkpointer.costs
        self.around.recorder.saved(step, costs)
        self.around.hooks.call("save", step)
