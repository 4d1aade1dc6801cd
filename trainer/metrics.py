"""What a run tells about itself: metrics.jsonl while it runs, summary.json when it is done."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TextIO

from trainer.checkpoint import write_durably

SUMMARY = "summary.json"


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_since_process_start() -> float:
    """Return how long ago this process was started, before its interpreter was up (proc(5), field 22)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


class MetricsLog:
    """metrics.jsonl: one JSON object a logged step, in the order of steps, each line there as soon as logged.

    Lines of steps after `steps_done` are those of an attempt that was lost behind its last checkpoint. They
    are taken out, so that a reader always finds one line a step. A silent log writes and prints nothing.
    """

    def __init__(self, path: Path, *, steps_done: int, silent: bool = False) -> None:
        self._file: TextIO | None = None
        if silent:
            return
        kept = [line for line in _whole_lines(path) if line["step"] <= steps_done]
        write_durably(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def log(self, step: int, **values: float) -> None:
        """Append a step's line and print it."""
        if self._file is None:
            return
        self._file.write(json.dumps({"step": step, "time": utc_now(), **values}) + "\n")
        shown = "  ".join(f"{name} {value:.5g}" for name, value in values.items())
        print(f"step {step}  {shown}", flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            self._file.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Return the file's objects up to the first line that a crash left broken."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


class Throughput:
    """Units (samples, tokens) a second between two log lines, and the seconds of all attempts' loops."""

    def __init__(self, seconds_before: float) -> None:
        self._seconds_before = seconds_before
        self._started = self._mark = time.perf_counter()
        self._units = 0

    def add(self, units: int) -> None:
        """Count the units of a step."""
        self._units += units

    def rate(self) -> float:
        """Return the units a second since the last call."""
        now = time.perf_counter()
        rate = self._units / max(now - self._mark, 1e-9)
        self._mark, self._units = now, 0
        return rate

    def seconds(self) -> float:
        """Return the seconds since the loop was started, and those of the attempts before."""
        return self._seconds_before + time.perf_counter() - self._started
