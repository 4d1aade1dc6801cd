"""Whether this process has been told to save and go: by SIGTERM, or by the launcher's deadline."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from trainer.launch.pulse import Pulse


class StopRequest:
    """Looked at once a step. A handler of SIGTERM that the user has set is called as well."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._told = False
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():  # elsewhere Python lets nobody listen
            self._before = signal.signal(signal.SIGTERM, self._tell)

    @property
    def asked(self) -> bool:
        """Whether it has been told to stop."""
        return self._told or self._pulse.deadline() is not None

    def close(self) -> None:
        """Listen no longer: SIGTERM does what it did before."""
        if self._before is not None and signal.getsignal(signal.SIGTERM) == self._tell:
            signal.signal(signal.SIGTERM, self._before)

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        if callable(self._before):
            self._before(number, frame)
