"""`Run`: a loop of your own becomes a run that is fast, resumes, stops when told, and keeps account."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainer.configs.settings import ConfigError, RunSettings
from trainer.engine.failures import ExceptHook, NotSavedError, Preempted, told_to_stop
from trainer.engine.feed import feed_of
from trainer.engine.hooks import Hook
from trainer.engine.memory import Fit, after_out_of_memory, agreed_fit
from trainer.engine.placing import Placing
from trainer.engine.seeds import seed_step
from trainer.engine.session import Session
from trainer.engine.start import default_run_dir, join, settings_of, surround
from trainer.engine.surroundings import BEGUN_AFRESH
from trainer.numbers.flops import Flops
from trainer.numbers.metrics import SUMMARY

H = TypeVar("H", bound=Hook)


class Run:
    """One training run of this process and all that were started with it.

    `Run(steps=1000, seed=3, precision="bf16")` takes the fields of RunSettings by name. Without `steps`, the
    data says how many there are. `accumulate` batches of your own loader make a step.
    """

    def __init__(
        self, *, steps: int | None = None, run_dir: str | Path | None = None, accumulate: int = 1,
        settings: RunSettings | None = None, identity: dict[str, Any] | None = None, unit: str = "samples",
        units_per_sample: int = 1, flops: Flops | None = None, **dials: Any,
    ) -> None:  # fmt: skip
        """Join the other processes. Raises ConfigError with all that is wrong with the settings at once.

        `run_dir` is $FLEETFORM_RUN_DIR where it is left out, else `runs/` and the script's name. `identity`
        are further settings that decide what is learned: a checkpoint resumes only under the same. `unit` and
        `units_per_sample` say what the speed is counted in, `flops` what a sample costs.
        """
        begun = time.time()
        self._hook = ExceptHook(self.out_of_memory, silent=os.environ.get("RANK", "0") != "0")
        self.settings = settings_of(settings, dials)
        self._wanted, self._accumulate = steps, accumulate
        self.run_dir = Path(run_dir or os.environ.get("FLEETFORM_RUN_DIR") or default_run_dir())
        pulse, stop, self.world = join(self.settings)
        self._hook.on_top()
        self.device = self.world.device
        self.around = surround(self.settings, self.world, self.run_dir, identity or {}, pulse, stop, begun)
        self.around.unit, self.around.units_per_sample, self.around.flops = unit, units_per_sample, flops
        self.fit: Fit = agreed_fit(self.settings, self.run_dir, self.world)
        self._placing: Placing | None = None
        self._session: Session | None = None
        self._data: Any = None
        self._tracked: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        """What summary.json says, once the run is finished."""
        torch.manual_seed(self.settings.seed)

    # ---------------------------------------------------------------------------------- the parts of a loop

    def setup(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, data: Any = None, *,
        blocks: list[nn.Module] | None = None, save_frozen: bool = True, unused_parameters: bool = False,
    ) -> tuple[nn.Module, torch.optim.Optimizer, Any]:  # fmt: skip
        """Return the three as they train: on the device, on all processes, compiled, where that was chosen.

        `blocks` are the model's repeated blocks where they are not its longest list of alike modules.
        `save_frozen=False` leaves weights that are not trained out of the checkpoints. `unused_parameters`
        says that a step may leave some parameters without a gradient.
        """
        self._placing = Placing(self.around, self.fit, optimizer)
        replica = self._placing.place(model, blocks, save_frozen, unused_parameters)
        self._data = data
        return replica, optimizer, data

    def steps(self, data: Any = None) -> Iterator[Any]:
        """Yield the batches of every step that is left, from where an earlier attempt was.

        Saves where that is due. Told to stop, it saves and raises Preempted (a SystemExit with code 75).
        Raises ConfigError where the run directory's checkpoint is that of another run, and DivergedError
        where the loss or its gradient is no number; the weights are then those of the step before.
        """
        session = self._begin(self._data if data is None else data)
        stepper, feed, seed, world = session.stepper, session.feed, self.settings.seed, self.world
        try:
            while not session.stopping and not session.finished:
                step = session.step + 1
                seed_step(seed, step, world.rank, world.device)
                batches = feed.step(step)
                if batches is None:
                    session.total = session.step
                    break
                stepper.begin(step, len(batches))
                for batch in batches:
                    stepper.next_micro_batch()
                    yield batch
                if not stepper.updated:
                    raise RuntimeError("run.step(optimizer) was not called for the step's last batch")
                session.after_step()
            session.end()
        finally:
            session.release()
            self.around.pulse.phase("finishing")
        if not session.finished:
            self.finish()
            if world.is_main:
                print(told_to_stop(session.step, session.newest_saved), flush=True)
            raise Preempted(session.step)
        if session.newest_saved != session.step:
            newest = f"the newest checkpoint is of step {session.newest_saved}"
            raise NotSavedError(f"step {session.step}: the last state could not be saved; {newest}")
        if self.finish_after_steps and not self.finish() and world.is_main:
            print(f"already trained: {self.run_dir / SUMMARY} is left as it is", flush=True)

    finish_after_steps = True
    """Whether the last step's end is the run's; whoever goes on to evaluate says no and calls `finish`."""

    def backward(self, loss: Tensor, terms: float = 1) -> None:
        """Add the gradient of a batch's loss, which is the mean over `terms` terms (tokens, samples).

        A step's gradient is that of the mean over all terms of its batches on all processes.
        """
        assert self._session is not None, "run.backward belongs into the loop over run.steps"
        self._session.stepper.backward(loss, terms)

    def step(self, optimizer: torch.optim.Optimizer | None = None) -> bool:
        """Clip the gradient and move the weights after a step's last batch; return whether it was."""
        assert self._session is not None, "run.step belongs into the loop over run.steps"
        if updated := self._session.stepper.step():
            self._session.advance()
        return updated

    def save(self) -> float:
        """Save the state after the step that was just done; return the seconds that it held up training.

        By every process, between run.step and the next batch. The writer goes on in the background.
        """
        assert self._session is not None, "run.save belongs into the loop over run.steps"
        return self._session.save()

    @property
    def saving(self) -> bool:
        """Whether a checkpoint is still being written; the same on every process."""
        return self._session is not None and self._session.saving.pending

    @property
    def sending(self) -> bool:
        """Whether this process still writes or uploads its part of a checkpoint."""
        return self._session is not None and self._session.checkpointer.under_way

    # ---------------------------------------------------------------------------------- what else there is

    @property
    def step_number(self) -> int:
        """Optimizer steps done."""
        return self._session.step if self._session is not None else 0

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that was set up."""
        assert self._placing is not None, "run.setup comes first"
        return self._placing.optimizer

    @property
    def resumed_from(self) -> int:
        """Step of the checkpoint that this process went on from, 0 where there was none."""
        return self._session.begun_at if self._session is not None else 0

    def track(self, **objects: Any) -> None:
        """Save and restore what has `state_dict` and `load_state_dict` (a scheduler, an average) by name."""
        for name, each in objects.items():
            if not (hasattr(each, "state_dict") and hasattr(each, "load_state_dict")):
                raise ConfigError([f"run.track: {name} has no state_dict and load_state_dict"])
        self._tracked.update(objects)

    def identify(self, **settings: Any) -> None:
        """Add settings that decide what is learned, before the first step: a checkpoint keeps to them."""
        self.around.identity.update(settings)

    def on(self, moment: str) -> Callable[[H], H]:
        """Return a decorator that has a function called at a moment: see trainer.engine.hooks.MOMENTS."""
        functions = self.around.hooks.at(moment)

        def add(function: H) -> H:
            functions.append(function)
            return function

        return add

    def log(self, **values: Any) -> None:
        """Put values into the next metrics line."""
        self.around.recorder.add(values)

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which time counts as `evaluating` (or `saving`), not as training."""
        if name not in ("evaluating", "saving"):
            raise ConfigError([f"run.phase: there is no phase {name!r}: evaluating, saving"])
        return self._session.phase(name) if self._session is not None else nullcontext()

    def finish(self, **results: Any) -> bool:
        """Write summary.json with `results` in it and close the files; return whether it was written.

        The summary of an attempt that had steps to do is kept by one that had none.
        """
        session, recorder = self._session, self.around.recorder
        finished, written = session is not None and session.finished, False
        if session is not None and not recorder.closed:
            told = recorder.summary(session.step, session.samples or None)
            self.summary = told | session.stepper.shares.values(told.get("step_seconds", 0.0)) | results
            written = finished and recorder.write_summary(self.summary)
        recorder.close(finished=finished)
        if finished and self.world.is_main:
            (self.run_dir / BEGUN_AFRESH).unlink(missing_ok=True)
        self.close()
        return written

    def close(self) -> None:
        """Give back what the process lent: its handlers of SIGTERM and of exceptions, its collector."""
        if self._session is not None:
            self._session.release()
        self.around.recorder.abandon()
        self.around.stop.close()
        self._hook.remove()

    def out_of_memory(self) -> tuple[str, int]:
        """Note what to try at the next start; return the line to print and the exit code."""
        return after_out_of_memory(
            self.fit, self.settings, self.world, self.run_dir, self._data, self.step_number
        )

    def _begin(self, data: Any) -> Session:
        """Resume and return the session of this run's steps."""
        if self._placing is None or data is None:
            raise ConfigError(["run.steps: run.setup(model, optimizer, data) comes first"])
        self._data = data
        seed, fit = self.settings.seed, self.fit.micro_batch
        feed = feed_of(data, self.world, seed, self._accumulate, self._wanted, fit)
        self._placing.state.tracked = self._tracked
        self._session = Session(self.around, self._placing, feed, self._placing.state)
        self._session.resume(self._wanted if self._wanted is not None else feed.num_steps)
        return self._session
