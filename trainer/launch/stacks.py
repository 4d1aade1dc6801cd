"""What a rank's Python stacks, as faulthandler writes them, say of where it stands."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_OURS = f"{Path(__file__).parents[1]}/"
_LIBRARIES = ("/site-packages/", "/dist-packages/", f"{sysconfig.get_path('stdlib')}/", "<")
_FRAME = re.compile(r'^\s+File "(.+)", line (\d+) in (.+)$')
_TOP_FRAMES = 4
_WAITING = re.compile(r"torch/(distributed/|autograd/(graph|__init__)\.py)")
"""Where a rank stands that waits for the others: in a collective, or in a backward pass that ends in one."""
_WAITING_ITSELF = re.compile(r"torch/nn/parallel/")
"""The same for the innermost frame alone: a model's own forward pass lies inside it, too."""


@dataclass(frozen=True)
class Frame:
    """One call of a stack."""

    path: str
    line: int
    function: str

    @property
    def ours(self) -> bool:
        """Whether it is the trainer's code."""
        return self.path.startswith(_OURS)

    @property
    def library(self) -> bool:
        """Whether it is Python's, torch's or another installed package's."""
        return not self.ours and any(part in self.path for part in _LIBRARIES)

    def __str__(self) -> str:
        return f"{self.function} ({self.path.rpartition('/')[2]}:{self.line})"


def main_stack(dump: Sequence[str]) -> list[Frame] | None:
    """Return the main thread's calls, the innermost first; None where the dump does not hold them."""
    starts = [at for at, line in enumerate(dump) if line.startswith("Current thread")]
    if not starts:
        return None
    frames = []
    for line in dump[starts[-1] + 1 :]:
        found = _FRAME.match(line)
        if not found:
            break
        frames.append(Frame(found.group(1), int(found.group(2)), found.group(3)))
    return frames


def waits_for_others(dump: Sequence[str]) -> bool | None:
    """Return whether the main thread is in a collective; None without a stack."""
    frames = main_stack(dump)
    if frames is None:
        return None
    itself = bool(frames) and bool(_WAITING_ITSELF.search(frames[0].path))
    return itself or any(_WAITING.search(frame.path) for frame in frames[:_TOP_FRAMES])


def code_of_interest(dump: Sequence[str]) -> Frame | None:
    """Return the innermost call that is no library's, else the innermost; None without a stack."""
    frames = main_stack(dump) or []
    return next((frame for frame in frames if not frame.library), frames[0] if frames else None)


def in_own_code(dump: Sequence[str]) -> bool:
    """Return whether the program's own code runs, and not the trainer's; False without a stack."""
    frame = code_of_interest(dump)
    return frame is not None and not frame.ours and not frame.library
