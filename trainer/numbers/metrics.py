"""What a run tells about itself: metrics.jsonl while it runs, summary.json when it is done."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from trainer.files.appended import AppendedFile
from trainer.numbers.flops import Utilization
from trainer.numbers.tensorboard_file import EventFile

SUMMARY = "summary.json"
METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
"""Folder of the run directory that holds the event files."""


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_since_process_start() -> float:
    """Return how long ago this process was started, before its interpreter was up (proc(5), field 22)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def process_start_time() -> float:
    """Return when this process was started, in seconds since the epoch."""
    return time.time() - seconds_since_process_start()


def peak_memory_bytes(device_type: str) -> int:
    """Return the most memory that this process has held: of its GPU, else resident in the machine's."""
    if device_type == "cuda":
        return int(sys.modules["torch"].cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts it in KiB


class MetricsLog:
    """metrics.jsonl: one JSON object a logged step, in the order of steps, each line there as soon as logged.

    Lines of steps after `steps_done` are those of an attempt that was lost behind its last checkpoint. They
    are taken out, so that a reader always finds one line a step. The same numbers go to a TensorBoard event
    file in the folder `tensorboard` beside it. A silent log writes and prints nothing. A disk that takes no
    line leaves it out of the file: the log warns once and goes on.
    """

    def __init__(self, path: Path, *, steps_done: int, silent: bool = False) -> None:
        self._file: AppendedFile | None = None
        self._board: EventFile | None = None
        self._silent, self._warned = silent, False
        if silent:
            return
        with self._bearing(METRICS):
            keep_lines(path, steps_done)
            self._file = AppendedFile(path)
        with self._bearing(TENSORBOARD):
            self._board = EventFile(path.parent / TENSORBOARD, purge_step=steps_done + 1)

    def log(self, step: int, **values: Any) -> None:
        """Append a step's line, what is None left out, and print its numbers."""
        if self._silent:
            return
        values = {name: value for name, value in values.items() if value is not None}
        numbers = {name: value for name, value in values.items() if is_number(value)}
        if self._file is not None:
            with self._bearing(METRICS):
                self._file.append(json.dumps({"step": step, "time": utc_now(), **values}).encode() + b"\n")
        if self._board is not None:
            with self._bearing(TENSORBOARD):
                self._board.scalars(step, numbers)
        shown = "  ".join(f"{name} {value:.5g}" for name, value in numbers.items())
        print(f"step {step}  {shown}", flush=True)

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, self._board):
            if file is not None:
                file.close()
        self._file = self._board = None
        self._silent = True

    @contextmanager
    def _bearing(self, name: str) -> Iterator[None]:
        """Bear with a disk that is full or gone: it costs these numbers and not the run. It is told once."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                text = f"warning: {name} cannot be written, the run goes on: {error}"
                print(text, file=sys.stderr, flush=True)
            self._warned = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def is_number(value: object) -> bool:
    """Return whether the value is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def keep_lines(path: Path, steps_done: int) -> None:
    """Cut off a metrics.jsonl behind its lines of so many steps; this takes no room on the disk."""
    if not path.exists():
        return
    kept = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            is_kept = line.endswith(b"\n") and json.loads(line)["step"] <= steps_done
        except ValueError:
            break
        if not is_kept:
            break
        kept += len(line)
    os.truncate(path, kept)


class StepMeter:
    """The speed of the steps between two log lines, and the seconds of all attempts' training.

    `step` costs under a microsecond; everything else happens where a line is logged.
    """

    def __init__(
        self, *, unit: str, units_per_sample: int, utilization: Utilization, device_type: str,
        seconds_before: float = 0.0,
    ) -> None:  # fmt: skip
        self._unit, self._units_per_sample = unit, units_per_sample
        self._utilization, self._device_type = utilization, device_type
        self._seconds_before = seconds_before
        self._samples = self._steps = 0
        self._data_wait = 0.0
        self._started = self._mark = time.perf_counter()
        self._paused = 0.0

    def step(self, samples: int, data_wait_s: float = 0.0) -> None:
        """Count a step: its samples on all processes, the seconds that this one waited for them."""
        self._samples += samples
        self._steps += 1
        self._data_wait += data_wait_s

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of the speed what happens meanwhile: an evaluation. It still counts as training time."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - begin

    def values(self) -> dict[str, float | None]:
        """Return the numbers of a log line since the line before; `mfu` is None where it is not known.

        Else `<unit>_per_s`, `step_seconds` and `data_wait_seconds` (means of a step), `memory_bytes` (peak).
        """
        now = time.perf_counter()
        seconds = max(now - self._mark - self._paused, 1e-9)
        steps = max(self._steps, 1)
        values = {
            f"{self._unit}_per_s": self._samples * self._units_per_sample / seconds,
            "step_seconds": seconds / steps,
            "data_wait_seconds": self._data_wait / steps,
            "mfu": self._utilization.of(self._samples / seconds),
            "memory_bytes": peak_memory_bytes(self._device_type),
        }
        self._mark, self._samples, self._steps, self._data_wait, self._paused = now, 0, 0, 0.0, 0.0
        return values

    def seconds(self) -> float:
        """Return the seconds since the training of this process began, and those of the attempts before."""
        return self._seconds_before + time.perf_counter() - self._started
