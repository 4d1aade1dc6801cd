"""A process that has loaded a model and answers one question after the other, within limits."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fleet.errors import ActError
from fleet.trainer_process import failed, too_long, trainer_command, trainer_variables
from stacks.problems import UserError

_MODULE = "trainer.predict"
_MOST_SAID = 64 * 2**20
"""Bytes of one answer line: ten thousand tokens for each of some hundred inputs are far less."""
_GRACE = 5.0
"""Seconds that a process which ends itself has for it."""


@dataclass(frozen=True)
class TryLimits:
    """What one model and its answers may take."""

    memory_bytes: int = 4 * 2**30
    load_seconds: int = 120
    answer_seconds: int = 60
    question_bytes: int = 32 * 2**20
    """A photograph in base64 has some ten million."""
    inputs: int = 100
    wait_seconds: int = 60
    """For a turn."""


class WarmProcess:
    """One model in a process of its own."""

    def __init__(self, folder: Path, limits: TryLimits) -> None:
        """Load a folder's model; raises UserError where it holds none, ActError where the program fails."""
        self._limits = limits
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lasts as long as the process
        memory = ["--most-memory", str(limits.memory_bytes)]
        arguments = [str(folder), "--serve", "--answer-seconds", str(limits.answer_seconds), *memory]
        self._process = subprocess.Popen(
            trainer_command(_MODULE, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=trainer_variables(),
            bufsize=0,
        )
        told = self._hear(limits.load_seconds)
        if "error" in told:
            self.end()
            raise UserError.of(f"the model can't be loaded: {told['error']}", "try another run's model")
        self.description: dict[str, Any] = told["ready"]

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, question: bytes) -> dict[str, Any]:
        """Return what it says to a question."""
        assert self._process.stdin is not None, "it is a pipe"
        try:
            rest = memoryview(question)
            while rest:
                rest = rest[self._process.stdin.write(rest) :]
        except BrokenPipeError:
            raise self._death(self._limits.answer_seconds) from None
        return self._hear(self._limits.answer_seconds)

    def end(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def _hear(self, seconds: int) -> dict[str, Any]:
        """Return its next line; one that says nothing for so long is ended, with an error."""
        assert self._process.stdout is not None, "it is a pipe"
        heard, pipe = bytearray(), self._process.stdout.fileno()
        waiting = select.poll()  # unlike select, it knows of more than 1,024 open files
        waiting.register(pipe, select.POLLIN)
        until = time.monotonic() + seconds + _GRACE
        while not heard.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                self.end()
                raise too_long(seconds)
            piece = os.read(pipe, 2**20)
            heard += piece
            if not piece or len(heard) > _MOST_SAID:
                raise self._death(seconds)
        told: dict[str, Any] = json.loads(heard)
        return told

    def _death(self, seconds: int) -> UserError | ActError:
        """Return why it has ended, and tidy up behind it."""
        try:
            code = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            code = 0
        error = too_long(seconds) if code == -signal.SIGALRM else failed(_MODULE, code, self._errors)
        self.end()
        return error
