"""What all streams of a console share: one look at each run that is watched, and few threads for it."""

from __future__ import annotations

import threading
from collections import OrderedDict

from anyio import CapacityLimiter

from console.live.shared_files import SharedFiles
from fleet.run_store import RunStore

_RUNS = 32
"""So many runs are remembered; one that is watched again is fetched again, no more."""
_LOOKS = 8
"""How many watchers look at the same time: the threads that answer pages stay free."""


class Hub:
    """The runs that are watched now."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._lock = threading.Lock()
        self._files: OrderedDict[tuple[str, str], SharedFiles] = OrderedDict()
        self.limiter = CapacityLimiter(_LOOKS)

    def files(self, environment: str, run_id: str, store: RunStore) -> SharedFiles:
        """Return the files of a run as all who watch it share them."""
        with self._lock:
            files = self._files.setdefault((environment, run_id), SharedFiles(store))
            self._files.move_to_end((environment, run_id))
            if len(self._files) > _RUNS:
                self._files.popitem(last=False)
            return files
