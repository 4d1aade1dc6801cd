"""A value that is looked up by one thread at a time, while all others get the one from before."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")
_LOG = logging.getLogger(__name__)


class Remembered(Generic[Value]):
    """What `look` returns, at most `seconds` old while somebody asks often; nobody waits but the first.

    Where nobody has asked for `at_most` seconds, who asks next waits for a look as the first one did.
    """

    def __init__(self, look: Callable[[], Value], seconds: float, at_most: float = math.inf) -> None:
        """Remember nothing yet; `look` is called when somebody asks."""
        self._look, self._seconds, self._at_most = look, seconds, at_most
        self._lock = threading.Lock()
        self._found: tuple[Value, float] | None = None
        self._looking = False

    def get(self) -> Value:
        """Return the value. One that is too old is returned all the same, and looked up again beside."""
        with self._lock:
            if self._found is None or time.monotonic() - self._found[1] > self._at_most:
                self._found = (self._look(), time.monotonic())
            value, at = self._found
            start = not self._looking and time.monotonic() - at > self._seconds
            self._looking = self._looking or start
        if start:
            threading.Thread(target=self._refresh, name="remembered", daemon=True).start()
        return value

    def _refresh(self) -> None:
        try:
            value = self._look()
        except Exception:
            _LOG.exception("what was remembered could not be looked up again")
            with self._lock:
                self._looking = False
            return
        with self._lock:
            self._found, self._looking = (value, time.monotonic()), False
