"""Lets finished models answer: a few are kept loaded, and threads that ask take turns."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.warm_process import TryLimits, WarmProcess
from stacks.problems import UserError

Answer = dict[str, Any]
"""What `trainer.predict` answers to one input: docs/recipes.md has the keys of each kind."""


class Answerer:
    """One model, loaded in a process of its own; questions of several threads take turns.

    A process that dies, or takes too long, is started again for the next question.
    """

    def __init__(
        self, folder: Path, limits: TryLimits | None = None, turns: threading.Semaphore | None = None
    ) -> None:
        """Take a run's `model/` folder; the process starts with the first question, at one of the `turns`."""
        self.folder = folder
        self._limits = limits or TryLimits()
        self._turn, self._turns = threading.Lock(), turns or threading.Semaphore()
        self._process: WarmProcess | None = None
        self._closed = False
        self.asked = time.monotonic()
        """When it was last asked, by the monotonic clock."""

    def describe(self) -> dict[str, Any]:
        """Return what an input consists of and what an answer has; raises as `ask` does."""
        with self._warm() as process:
            return process.description

    def ask(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return the answer to each input: a dict of column to value, a text, a picture's file in base64.

        Raises UserError where the model is none, an input is not what it should be, or takes more than it
        may; ActError where the program fails.
        """
        if len(inputs) > self._limits.inputs:
            most = self._limits.inputs
            raise UserError.of(f"{len(inputs)} inputs are more than {most}", "give less of them at once")
        question = json.dumps({"inputs": list(inputs)}).encode() + b"\n"
        if len(question) > self._limits.question_bytes:
            most = self._limits.question_bytes
            raise UserError.of(f"the input has more than {most / 1e6:.0f} MB", "give a smaller one")
        with self._warm() as process:
            answer = process.ask(question)
        if "error" in answer:
            raise UserError.of(str(answer["error"]), "give another input")
        return list(answer["answers"])

    def close(self) -> None:
        """End the process, once the question that it is at is answered."""
        with self._turn:
            self._closed = True
            self._end()

    @contextmanager
    def _warm(self) -> Iterator[WarmProcess]:
        """Give the process with the model loaded, to one thread at a time.

        Who still holds an answerer that was closed gets an answer, and leaves no process behind.
        """
        seconds = self._limits.wait_seconds
        with _held(self._turn, seconds), _held(self._turns, seconds):
            if self._process is None or not self._process.alive:
                self._end()
                self._process = WarmProcess(self.folder, self._limits)
            try:
                yield self._process
            finally:
                self.asked = time.monotonic()
                if self._closed:
                    self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
        self._process = None


class Answerers:
    """The models that are loaded at a time: the one that was asked longest ago makes room for another.

    As many are at work at a time, loading or answering; whoever comes then waits for a turn, not for ever.
    """

    def __init__(self, most: int = 2, idle_seconds: float = 300.0, limits: TryLimits | None = None) -> None:
        """Keep `most` models, none much longer than `idle_seconds` after its last question."""
        self._most, self._idle_seconds, self._limits = most, idle_seconds, limits
        self._turns = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._open: dict[str, Answerer] = {}
        self._timer: threading.Timer | None = None

    def of(self, key: str, folder: Callable[[], Path]) -> Answerer:
        """Return the answerer of a key; where there is none yet, `folder` brings its model."""
        with self._lock:
            found = self._open.get(key)
        found = found or Answerer(folder(), self._limits, self._turns)
        with self._lock:
            found = self._open.setdefault(key, found)
            oldest = sorted(self._open, key=lambda each: self._open[each].asked)[: -self._most]
            ended = [self._open.pop(each) for each in oldest if each != key]
            self._watch()
        for each in ended:
            each.close()
        return found

    def close_idle(self, seconds: float = 0.0) -> None:
        """End those that nobody has asked for so long."""
        now = time.monotonic()
        with self._lock:
            idle = [key for key, each in self._open.items() if now - each.asked >= seconds]
            ended = [self._open.pop(key) for key in idle]
        for each in ended:
            each.close()

    def close(self) -> None:
        """End all."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
        self.close_idle()

    def _watch(self) -> None:
        """See to it that idle ones end, whether or not somebody asks again."""
        if self._timer is None and self._open:
            self._timer = threading.Timer(self._idle_seconds, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        self.close_idle(self._idle_seconds)
        with self._lock:
            self._timer = None
            self._watch()


@contextmanager
def _held(lock: threading.Lock | threading.Semaphore, seconds: float) -> Iterator[None]:
    """Hold a lock, if it comes free in time."""
    if not lock.acquire(timeout=seconds):
        raise UserError.of("others are asking models now", "try again in a minute")
    try:
        yield
    finally:
        lock.release()
