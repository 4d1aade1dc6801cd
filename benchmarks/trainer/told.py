"""What a measured program tells of its steps, a line each in a file of its rank: moment, process, step."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Told:
    """One line."""

    moment: float
    """time.monotonic() when the step was done."""
    pid: int
    step: int


class Teller:
    """Writes this process's file."""

    def __init__(self, folder: Path) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self._file = (folder / f"steps-{self.rank}.txt").open("a", buffering=1)

    def step(self, step: int) -> None:
        """Tell that the step is done."""
        self._file.write(f"{time.monotonic()} {os.getpid()} {step}\n")


def all_told(folder: Path, rank: int) -> list[Told]:
    """Return the whole lines of a rank's file, oldest first."""
    path = folder / f"steps-{rank}.txt"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [_parse(line) for line in lines]


def last_told(folder: Path, ranks: int = 2) -> dict[int, Told]:
    """Return the last line of each rank that has told anything."""
    return {rank: told[-1] for rank in range(ranks) if (told := all_told(folder, rank))}


def _parse(line: str) -> Told:
    moment, pid, step = line.split()
    return Told(float(moment), int(pid), int(step))
