"""Whether a job whose launcher was killed is started again: it restarts ranks, and we restart it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

MOST = 3
"""How often it is started again while it makes no progress."""
LONG_SECONDS = 600.0
"""A launcher that has lived for so long counts as progress where no steps are told."""
_KILLED = 128 + signal.SIGKILL
_LAST_BYTES = 8192


class Relaunches:
    """The budget of one node's part; steps in metrics.jsonl renew it, or a long life."""

    def __init__(self, run_dir: Path) -> None:
        self._metrics = run_dir / "metrics.jsonl"
        self.total = 0
        """How often the launcher was started again."""
        self._left = MOST
        self._begun()

    def _begun(self) -> None:
        self._step, self._since = last_step(self._metrics), time.monotonic()

    def allows(self, exit_code: int) -> bool:
        """Return whether a launcher that ended so is started again, and count it.

        Only SIGKILL: it is what the kernel ends a process with when memory is short. Anything else the
        launcher has decided itself.
        """
        if exit_code != _KILLED:
            return False
        if last_step(self._metrics) > self._step or time.monotonic() - self._since >= LONG_SECONDS:
            self._left = MOST
        if self._left == 0:
            return False
        self._left -= 1
        self.total += 1
        self._begun()
        return True


def last_step(metrics: Path) -> int:
    """Return the step of the last whole line of a metrics.jsonl; -1 where there is none."""
    try:
        with metrics.open("rb") as file:
            file.seek(max(0, metrics.stat().st_size - _LAST_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return -1
    for line in reversed(lines):
        try:
            return int(json.loads(line)["step"])
        except (ValueError, KeyError, TypeError):  # half a line, or a script's own
            continue
    return -1
