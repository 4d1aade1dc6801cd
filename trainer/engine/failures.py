"""The ends of a run that are told in one line and by an exit code of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from trainer.checkpoints.manifest import UnreadableError
from trainer.configs.settings import ConfigError

EXIT_FAILED = 1
EXIT_USER_MISTAKE = 2
EXIT_PREEMPTED = 75
"""Told to stop, checkpoint saved: run the same command again (EX_TEMPFAIL of sysexits.h)."""
EXIT_OUT_OF_MEMORY = 76
"""The memory did not suffice: run the same command again, it goes on with a smaller micro-batch."""


_CPU_MEMORY = "DefaultCPUAllocator: "
"""How torch's RuntimeError begins where the machine's own memory does not suffice."""


class DivergedError(Exception):
    """The loss or its gradient is no longer a number; going on would only spoil the checkpoints."""


class NotSavedError(Exception):
    """All steps are done and the last state could not be saved."""


class Preempted(SystemExit):
    """Told to stop: the checkpoint is saved, and the process is to end with code 75."""

    def __init__(self, step: int) -> None:
        super().__init__(EXIT_PREEMPTED)
        self.step = step


def told_to_stop(step: int, saved: int) -> str:
    """Return the line that ends a run that was told to stop after a step."""
    if saved == step:
        return f"told to stop: saved after step {step}; run again to go on"
    newest = f"from step {saved}" if saved else "from the beginning"
    return f"told to stop: step {step} is NOT saved; run again to go on {newest}"


def exit_code_of(error: BaseException) -> int | None:
    """Return the exit code of an end that is told in one line; None for any other exception."""
    if isinstance(error, ConfigError):
        return EXIT_USER_MISTAKE
    return EXIT_FAILED if isinstance(error, DivergedError | NotSavedError | UnreadableError) else None


def tell(error: BaseException, *, silent: bool) -> None:
    """Print an error's sentences, one a line; a silent process leaves that to another."""
    for line in () if silent else getattr(error, "problems", None) or (str(error),):
        print(f"error: {line}", file=sys.stderr, flush=True)


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], Any]


class ExceptHook:
    """Ends a script of the user's own by the same codes and lines as `python -m trainer`.

    `out_of_memory` is asked what becomes of an exception that the device's memory has caused; it returns the
    line to print and the exit code. Every other exception goes where it went before.
    """

    def __init__(self, out_of_memory: Callable[[], tuple[str, int]], *, silent: bool) -> None:
        self._out_of_memory = out_of_memory
        self._silent = silent
        self._first: Hook = sys.excepthook
        self._before = self._first
        self._inside = self._removed = False
        sys.excepthook = self

    def on_top(self) -> None:
        """Come before what has been put on top since: torch's own hook would swallow what ends here."""
        if sys.excepthook is not self:
            self._before, sys.excepthook = sys.excepthook, self

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Handle an exception that nothing has caught."""
        if self._inside:  # called by the hook that was on top
            self._first(kind, error, trace)
            return
        self._inside = True
        try:
            self._handle(kind, error, trace)
        finally:
            self._inside = self._removed

    def _handle(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        code = exit_code_of(error)
        if code is not None:
            tell(error, silent=self._silent)
            raise SystemExit(code)
        self._before(kind, error, trace)
        if is_out_of_memory(error):
            line, code = self._out_of_memory()
            print(line, file=sys.stderr, flush=True)
            raise SystemExit(code)

    def remove(self) -> None:
        """Put back the hook that was there before, unless somebody has put another on top."""
        self._inside = self._removed = True  # also for a hook that still calls it
        if sys.excepthook is self:
            sys.excepthook = self._before


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device's memory did not suffice, also where that is the cause of another error."""
    import torch

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError) or _CPU_MEMORY in str(seen):
            return True
        seen = seen.__cause__
    return False
