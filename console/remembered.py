"""A value that is looked up by one thread at a time, while all others get the one from before."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
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
        self._looking: Future[Value] | None = None

    def get(self) -> Value:
        """Return the value. One that is too old is returned all the same, and looked up again beside."""
        looking, known = self._ask()
        return self._result(looking) if known is None else known[0]

    def within(self, seconds: float) -> Value | None:
        """Return the same, None where the first look takes longer: it goes on, for who asks again later.

        What it fails with is raised by whoever waits for it then, or else by the next call.
        """
        looking, known = self._ask()
        if known is not None:
            return known[0]
        assert looking is not None, "nothing is known: somebody looks"
        wait([looking], seconds)
        return self._result(looking) if looking.done() else None

    def forget(self) -> None:
        """Let who asks next wait for a look; one that is under way is not begun again."""
        with self._lock:
            self._found = None

    def _ask(self) -> tuple[Future[Value] | None, tuple[Value, float] | None]:
        """Return the look that is under way, where one is, and the value, where it is young enough."""
        with self._lock:
            known, now = self._found, time.monotonic()
            if known is not None and now - known[1] > self._at_most:
                known = self._found = None
            if self._looking is None and (known is None or now - known[1] > self._seconds):
                self._looking = Future()
                run = threading.Thread(
                    target=self._run, args=(self._looking,), name="remembered", daemon=True
                )
                run.start()
            return self._looking, known

    def _result(self, looking: Future[Value] | None) -> Value:
        assert looking is not None, "nothing is known: somebody looks"
        try:
            return looking.result()
        except BaseException:
            if looking.done():  # it failed: the next call looks again
                self._let_go(looking)
            raise

    def _let_go(self, looking: Future[Value]) -> None:
        with self._lock:
            if self._looking is looking:
                self._looking = None

    def _run(self, looking: Future[Value]) -> None:
        try:
            value = self._look()
        except BaseException as error:
            if self._found is not None:
                _LOG.exception("what was remembered could not be looked up again")
                self._let_go(looking)
            looking.set_exception(error)
            return
        with self._lock:
            self._found, self._looking = (value, time.monotonic()), None
        looking.set_result(value)
