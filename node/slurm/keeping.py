"""What the clerk looks after beside runs: machines and their names, Slurm's configuration, held runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from node.cluster.refresh import refresh
from node.elastic.backoff import held
from node.elastic.keeper import tick

_REFRESH_SECONDS = 60.0
_PAUSE_SECONDS = 5.0

Some = TypeVar("Some")


def held_back() -> dict[str, str]:
    """Return why runs are held back for want of machines, by run."""
    return {run_id: each.message for run_id, each in held().items()}


def keep(over: threading.Event) -> None:
    """Beside the rounds: keep the cluster to what the environment and the cloud say, until `over` is set."""
    refreshed, pause = float("-inf"), 1.0
    refreshing: threading.Thread | None = None
    while not over.wait(pause):
        if time.monotonic() - refreshed > _REFRESH_SECONDS and not (refreshing and refreshing.is_alive()):
            refreshed, first = time.monotonic(), refreshing is None
            # It may wait minutes for slurmctld and the accounting: machines are looked after meanwhile.
            refreshing = threading.Thread(target=_guarded, args=(refresh,), daemon=True)
            refreshing.start()
            if first:  # AWS's clients are made by it, which one thread at a time may
                refreshing.join()
        pause = _guarded(tick) or _PAUSE_SECONDS


def _guarded(act: Callable[[], Some]) -> Some | None:
    """Return what the act returns: whatever is wrong around the cluster, runs must be told of."""
    try:
        return act()
    except Exception as error:
        print(f"the cluster was not looked after: {error!r}", file=sys.stderr, flush=True)
        return None
