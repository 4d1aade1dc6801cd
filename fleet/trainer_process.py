"""The door to the trainer's processes that read what strangers bring: their files, and models made of them.

Such a process has a share of memory and time, the caller's languages and folders, and nothing else of the
caller: no credentials, no settings. It runs as the caller's user all the same, and can reach the network.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from fleet.errors import ActError
from stacks.problems import UserError

_SOURCE = Path(__file__).parents[1]
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "SYSTEMROOT")
_PIXELS = "FLEETFORM_MOST_PIXELS"
"""What tells trainer/data/decode.py, also in the processes that a preparation starts."""
_TOOK_TOO_LONG = (-signal.SIGXCPU, -signal.SIGALRM)
_SLOWER_THAN_ITS_CLOCK = 2
"""A process that waits for its disk uses less processor time than goes by: so much more time may go by."""


@dataclass(frozen=True)
class Share:
    """What a process may take of the machine."""

    memory_bytes: int = 4 * 2**30
    seconds: int = 600
    """Of processor time, all its threads together."""
    picture_pixels: int = 0
    """Pixels above which a picture is not decoded, as far as the trainer would; 0 for its own limit."""

    def options(self) -> list[str]:
        """Return the share as the options of the trainer's programs."""
        return ["--most-memory", str(self.memory_bytes), "--most-seconds", str(self.seconds)]


@dataclass(frozen=True)
class Told:
    """What a process has told."""

    answer: dict[str, Any]
    """With `problems` where it could not do what was asked."""

    @property
    def problems(self) -> list[str]:
        """What is wrong with what it was given, one sentence each; none where it did what was asked."""
        return [str(each) for each in self.answer.get("problems", [])]


def ask_trainer(module: str, arguments: Sequence[str], share: Share) -> Told:
    """Run `python -m MODULE` to its end within the share, and return the JSON that it prints.

    Raises UserError where the share does not suffice, ActError where the program itself fails.
    """
    command = trainer_command(module, [*arguments, *share.options()])
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as errors:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=errors,
                env=trainer_variables(share),
                timeout=share.seconds * _SLOWER_THAN_ITS_CLOCK,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise too_long(share.seconds) from None
        said.seek(0)
        told = said.read()
        if done.returncode in _TOOK_TOO_LONG:
            raise too_long(share.seconds)
        if done.returncode in (0, 2) and told:
            return Told(json.loads(told))
        raise failed(module, done.returncode, errors)


def trainer_command(module: str, arguments: Sequence[str]) -> list[str]:
    """Return the command of a program of the trainer's; -P keeps the folder that it starts in out of it."""
    return [sys.executable, "-P", "-m", module, *arguments]


def trainer_variables(share: Share | None = None) -> dict[str, str]:
    """Return the environment of such a process."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if share and share.picture_pixels:
        kept[_PIXELS] = str(share.picture_pixels)
    return {**kept, "PYTHONPATH": str(_SOURCE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def too_long(seconds: float) -> UserError:
    """Return the error of what takes more time than it may."""
    return UserError.of(f"that takes longer than the {seconds:g} s that it may", "give less of it at once")


def failed(module: str, code: int, errors: IO[bytes]) -> ActError:
    """Return the error of a program that ended by itself, with the last that it wrote to standard error."""
    errors.seek(0, os.SEEK_END)
    errors.seek(max(0, errors.tell() - 4096))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return ActError(f"{module} ended with {code}: {lines[-1] if lines else 'it said nothing'}")
