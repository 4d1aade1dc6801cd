"""The machine that is checked: its programs' answers, each asked for once, and what it should have."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from node.health.expected import Expected

ANSWER_SECONDS = 20.0
"""How long a program may take. A GPU that hangs its driver hangs whoever asks about it."""
_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/amazon/efa/bin"
"""Slurm starts a prolog without a search path."""


@dataclass(frozen=True)
class Answer:
    """What a program said."""

    code: int | None
    """Its exit code; None where it is missing or did not end in time."""
    out: str
    error: str
    """The last line of its standard error, or what kept it from running."""
    missing: bool = False
    """Whether there is no such program."""


Ask = Callable[[Sequence[str]], Answer]


def ask(arguments: Sequence[str], seconds: float = ANSWER_SECONDS) -> Answer:
    """Run a program and return its answer, at the latest after `seconds`."""
    given = os.environ.get("PATH")
    environment = {**os.environ, "PATH": f"{given}:{_PROGRAMS}" if given else _PROGRAMS, "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        )
    except FileNotFoundError:
        return Answer(None, "", f"{arguments[0]} is not installed", missing=True)
    except OSError as error:
        return Answer(None, "", f"{arguments[0]}: {error.strerror}")
    try:
        out, error_text = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _abandon(process)
        return Answer(None, "", f"{arguments[0]} did not answer within {seconds:g} s")
    lines = error_text.strip().splitlines() or out.strip().splitlines()[-1:]
    return Answer(process.returncode, out, lines[-1] if lines else "")


def _abandon(process: subprocess.Popen[str]) -> None:
    """Kill a program and wait for it a moment only: the kernel may hold it for ever."""
    process.kill()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)


class Machine:
    """What the checks look at."""

    def __init__(
        self,
        work: Path,
        expected: Expected,
        *,
        emulated: bool,
        ask: Ask = ask,
        system: Path = Path("/"),
        accepted_xids: float = -1.0,
    ) -> None:
        """`work` is the folder of runs; `system` is where `proc` and `sys` lie.

        On an emulated machine, which shares another one's hardware, checks of hardware do not apply.
        `accepted_xids`: seconds of the kernel's clock; what it told until then somebody has looked into.
        """
        self.work, self.expected, self.emulated, self.system = work, expected, emulated, system
        self.accepted_xids = accepted_xids
        self._ask = ask
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="ask")
        self._answers: dict[tuple[str, ...], Future[Answer]] = {}
        self._lock = threading.Lock()

    def begin(self, commands: Iterable[Sequence[str]]) -> None:
        """Start programs whose answers will be needed."""
        for arguments in commands:
            self._future(arguments)

    def answer(self, *arguments: str) -> Answer:
        """Return the program's answer; it runs once, however many ask."""
        return self._future(arguments).result()

    def _future(self, arguments: Sequence[str]) -> Future[Answer]:
        key = tuple(arguments)
        with self._lock:
            if key not in self._answers:
                self._answers[key] = self._pool.submit(self._ask, key)
            return self._answers[key]

    def read(self, path: str) -> str:
        """Return the text of a file below `system`; "" where it is missing or cannot be read."""
        try:
            return (self.system / path.lstrip("/")).read_text(errors="replace")
        except OSError:
            return ""

    def close(self) -> None:
        """Let go of what no check has waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
