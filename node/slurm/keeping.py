"""What the clerk looks after beside runs: machines and their names, Slurm's configuration, held runs."""

from __future__ import annotations

import sys
import threading
import time

from node.cluster.refresh import refresh
from node.elastic.backoff import held
from node.elastic.keeper import tick

_REFRESH_SECONDS = 60.0
_PAUSE_SECONDS = 5.0


def held_back() -> dict[str, str]:
    """Return why runs are held back for want of machines, by run."""
    return {run_id: each.message for run_id, each in held().items()}


def keep(over: threading.Event) -> None:
    """Beside the rounds: keep the cluster to what the environment and the cloud say, until `over` is set."""
    refreshed, pause = float("-inf"), 1.0
    while not over.wait(pause):
        pause = _PAUSE_SECONDS
        try:
            if time.monotonic() - refreshed > _REFRESH_SECONDS:
                refreshed = time.monotonic()
                refresh()
            pause = tick()
        except Exception as error:  # whatever is wrong around the cluster, runs must be told of
            print(f"the cluster was not looked after: {error!r}", file=sys.stderr, flush=True)
