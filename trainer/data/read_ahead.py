"""A thread that computes the next few results of an iterator while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class ReadAhead(Generic[Result]):
    """The results of an iterator, in order, up to `depth` of them computed before they are asked for."""

    def __init__(self, results: Iterator[Result], depth: int) -> None:
        self._results = results
        self._depth = depth
        self._ready: deque[Result] = deque()
        self._error: BaseException | None = None
        self._ended = self._stopped = False
        self._changed = Condition()
        # A daemon: an interpreter that ends does not wait for it, and it holds nothing that must be freed.
        self._thread = Thread(target=self._run, name="data-read-ahead", daemon=True)
        self._thread.start()

    def next(self) -> Result:
        """Return the next result; what the iterator raised is raised here, StopIteration at its end."""
        with self._changed:
            while not self._ready and not self._ended:
                self._changed.wait()
            if self._ready:
                self._changed.notify()
                return self._ready.popleft()
        raise self._error or StopIteration

    def stop(self) -> None:
        """Let the thread end after what it computes now, and wait for that."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            for result in self._results:
                with self._changed:
                    self._ready.append(result)
                    self._changed.notify()
                    while len(self._ready) >= self._depth and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        return
        except BaseException as error:  # whatever it is, the thread that asks for the result has to see it
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()
