"""What a run writes down on rank 0 while it trains: metrics, the ledger of its time, the summary."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from trainer.distributed import World
from trainer.engine.stepper import StepResult
from trainer.files.durable import write_durably
from trainer.launch.pulse import VARIABLE as PULSE
from trainer.numbers.flops import Flops, Utilization, utilization
from trainer.numbers.goodput import FILE, GoodputLog, StepWindows
from trainer.numbers.metrics import METRICS, SUMMARY, MetricsLog, StepMeter, process_start_time, utc_now

STEP_TIMES = 4096
"""Newest step times of which the median is told."""


class Recorder:
    """Rank 0's pen; on other processes it only keeps time."""

    _seen = False

    def __init__(self, run_dir: Path, world: World, begun: float) -> None:
        """`begun` is when the run's own code began, in seconds since the epoch."""
        self.run_dir, self._world = run_dir, world
        self.ledger = GoodputLog(run_dir / FILE if world.is_main else None)
        # A process may do several runs, one after the other; only the first began with the process.
        self.ledger.event("process_started", time_s=begun if Recorder._seen else process_start_time())
        Recorder._seen = True
        self.ledger.event("imports_done", time_s=begun)
        self.ledger.event("device_ready", device=world.device_name())
        self._windows = StepWindows(self.ledger)
        self._log: MetricsLog | None = None
        self.meter: StepMeter | None = None
        self._utilization = Utilization(None, None, world.world_size, "")
        self._extra: dict[str, Any] = {}
        self._times: list[float] = []
        self._terms = self.blocked_seconds = 0.0
        self.first_step_time: str | None = None
        self._resumed_from = self._logged = 0
        self._unit = ("samples", 1)
        self.closed = False

    def begin(
        self, step: int, train_seconds: float, *, unit: str, units_per_sample: int, flops: Flops | None,
        precision: str,
    ) -> None:  # fmt: skip
        """Open the metrics, without lines of steps after the one that the run goes on from."""
        silent = not self._world.is_main
        self._resumed_from = self._logged = step
        self._log = MetricsLog(self.run_dir / METRICS, steps_done=step, silent=silent)
        self._unit = (unit, units_per_sample)
        name = self._world.device_name()
        self._utilization = utilization(flops, name, precision, self._world.world_size)
        self.meter = StepMeter(
            unit=unit,
            units_per_sample=units_per_sample,
            utilization=self._utilization,
            device_type=self._world.device.type,
            seconds_before=train_seconds,
        )

    def add(self, values: dict[str, Any]) -> None:
        """Put values into the next metrics line."""
        self._extra.update(values)

    def restored(self, source: str | None, step: int, seconds: float) -> None:
        """Note what the run went on from, and how long it took to read."""
        fields: dict[str, Any] = {"from": source, "step": step, "seconds": round(seconds, 6)}
        self.ledger.event("restored", **fields)

    @contextmanager
    def data_wait(self) -> Iterator[None]:
        """Account for what happens inside as waiting for data."""
        begin = time.time()
        yield
        self.ledger.event("data_wait", begin=begin, end=time.time())

    def first_step(self, step: int, seconds: float, wait: float) -> None:
        """Note this process's first step, which also compiles and the like."""
        self.first_step_time = self.first_step_time or utc_now()
        self.ledger.event("first_step", step=step, seconds=round(seconds, 6), data_wait_s=round(wait, 6))
        self._windows.begin()

    def step(self, step: int, seconds: float, samples: int, wait: float, blocked: float) -> None:
        """Count a step that has ended."""
        assert self.meter is not None
        self.meter.step(samples, wait)
        self.blocked_seconds += blocked
        if len(self._times) == STEP_TIMES:
            del self._times[: STEP_TIMES // 2]
        self._times.append(seconds)
        if step > self._resumed_from + 1:
            self._windows.step(step, wait, blocked)

    def result(self, result: StepResult, samples: int | None, *, due: bool) -> bool:
        """Take note of what came of a step; write its line where that is due."""
        self._terms += result.terms
        if not due or result.step <= self._logged:
            return False
        assert self._log is not None and self.meter is not None
        counted = {} if samples is None else {"samples": samples}
        values = counted | {
            "loss": result.loss, "lr": result.learning_rate, "gradient_norm": result.gradient_norm
        }  # fmt: skip
        self._log.log(result.step, **values, **self.meter.values(), **self._extra)
        self._extra.clear()
        self._logged = result.step
        return True

    def saved(self, step: int, costs: Any) -> None:
        """Note a checkpoint that counts, and what it cost."""
        fields = {
            "blocked_s": costs.blocked_seconds, "write_s": costs.write_seconds, "bytes": costs.bytes
        }  # fmt: skip
        self.ledger.event("saved", step=step, **fields)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of the speed."""
        with self.meter.paused() if self.meter is not None else nullcontext():
            yield

    def flush(self) -> None:
        """Write down the steps that the ledger does not tell of yet."""
        self._windows.flush()

    def pause_over(self) -> None:
        """Start the clock of the ledger's next steps: something that is not training has ended."""
        self._windows.begin()

    def seconds(self) -> float:
        """Return the seconds of training over all attempts."""
        return self.meter.seconds() if self.meter is not None else 0.0

    def summary(self, step: int, samples: int | None) -> dict[str, Any]:
        """Return what summary.json says of the run so far."""
        timed = self._times[1:]  # the first one also compiles and the like
        median = statistics.median(timed) if timed else None
        steps = step - self._resumed_from
        rate = None if not median or not samples or not step else samples / step / median
        unit, per_sample = self._unit
        values: dict[str, Any] = {} if samples is None else {"samples": samples}
        values |= {
            "steps": step,
            "resumed_from_step": self._resumed_from,
            "train_seconds": self.seconds(),
            "first_step_time": self.first_step_time,
            "world_size": self._world.world_size,
            "device": self._world.device_name(),
            "threads_per_process": torch.get_num_threads(),
            "torch_version": torch.__version__,
            "step_seconds": median,
            "timed_steps": len(timed),
            "samples_per_s": rate,
            f"{unit}_per_s": None if rate is None else rate * per_sample,
            "terms": self._terms,
            "terms_per_step": self._terms / steps if steps else None,
            "blocked_seconds": self.blocked_seconds,
            "wall_seconds": time.time() - process_start_time(),
            "restarts": int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")),
        }
        return {name: value for name, value in values.items() if value is not None} | {
            "mfu": self._utilization.describe(rate)
        }

    def drop_summary(self) -> None:
        """Delete the summary of a run that has steps left to do."""
        if self._world.is_main:
            (self.run_dir / SUMMARY).unlink(missing_ok=True)

    def write_summary(self, summary: dict[str, Any]) -> bool:
        """Write summary.json, unless that of an attempt with steps to do is there; return whether."""
        path = self.run_dir / SUMMARY
        if not self._world.is_main or (summary["resumed_from_step"] == summary["steps"] and path.exists()):
            return False
        write_durably(path, json.dumps(_finite(summary), indent=1) + "\n")
        return True

    def abandon(self) -> None:
        """Close the files as they are, after a failure: the ledger tells its time from what is there."""
        self.closed = True
        if self._log is not None:
            self._log.close()
        self.ledger.close()

    def close(self, *, finished: bool) -> None:
        """Close the files; where no launcher does so, reckon up the ledger."""
        if self.closed:
            return
        self.closed = True
        self._windows.flush()
        self.ledger.event("finished" if finished else "stopped")
        self.abandon()
        if self._world.is_main and PULSE not in os.environ:
            from trainer.numbers.closing import closing_lines
            from trainer.numbers.goodput_ledger import write_ledger

            if (ledger := write_ledger(self.run_dir)) is not None:
                print(*closing_lines(self.run_dir, ledger), sep="\n", flush=True)


def _finite(value: Any) -> Any:
    """Return the value with numbers that JSON has no form for as None."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
