"""Whether a job whose launcher was killed is started again: it restarts ranks, and we restart it."""

from __future__ import annotations

import json
import time
from pathlib import Path

MOST = 3
"""How often it is started again while it makes no progress."""
LONG_SECONDS = 600.0
"""A launcher that has lived for so long counts as progress where no steps are told."""
_LAST_BYTES = 8192


class Relaunches:
    """The budget of one node's part; steps renew it, or a long life.

    Steps are those in metrics.jsonl, which rank 0's node has, and of the checkpoints, which each node has.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self.total = 0
        """How often the launcher was started again."""
        self._left = MOST
        self._begun()

    def _begun(self) -> None:
        self._step, self._since = last_step(self._run_dir), time.monotonic()

    def allows(self, *, killed: bool) -> bool:
        """Return whether a launcher that ended so is started again, and count it.

        Only one that SIGKILL has ended: so the kernel does when memory is short. Anything else, also the exit
        code 137 after its ranks were killed too often, the launcher has decided itself.
        """
        if not killed:
            return False
        if last_step(self._run_dir) > self._step or time.monotonic() - self._since >= LONG_SECONDS:
            self._left = MOST
        if self._left == 0:
            return False
        self._left -= 1
        self.total += 1
        self._begun()
        return True


def last_step(run_dir: Path) -> int:
    """Return the last step that the run directory tells of; -1 where there is none."""
    return max(_metrics_step(run_dir / "metrics.jsonl"), _checkpoint_step(run_dir / "checkpoints"))


def _checkpoint_step(checkpoints: Path) -> int:
    steps = [path.name.removeprefix("step-") for path in checkpoints.glob("step-*")]
    return max((int(step) for step in steps if step.isdecimal()), default=-1)


def _metrics_step(metrics: Path) -> int:
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
