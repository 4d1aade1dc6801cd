"""This machine's cores and GPUs, dealt out to the emulated nodes."""

from __future__ import annotations

import os
import subprocess
import threading
from functools import lru_cache


class Cores:
    """Deals out cores so that they are shared evenly: always those with the fewest nodes."""

    def __init__(self, per_node: int, available: frozenset[int] | None = None) -> None:
        cores = available or frozenset(os.sched_getaffinity(0))
        self.per_node = min(per_node, len(cores))
        self._nodes_on = dict.fromkeys(sorted(cores), 0)
        self._lock = threading.Lock()

    @property
    def all(self) -> frozenset[int]:
        """Every core of the machine that the server may use."""
        return frozenset(self._nodes_on)

    def take(self) -> frozenset[int]:
        """Return the cores of a new node."""
        with self._lock:
            chosen = sorted(self._nodes_on, key=lambda core: (self._nodes_on[core], core))[: self.per_node]
            for core in chosen:
                self._nodes_on[core] += 1
            return frozenset(chosen)

    def give_back(self, cores: frozenset[int]) -> None:
        """Take the cores of a node that is gone."""
        with self._lock:
            for core in cores:
                self._nodes_on[core] -= 1


class Gpus:
    """Deals out GPUs, each to one node at a time."""

    def __init__(self, available: tuple[str, ...] | None = None) -> None:
        self._free = list(local_gpus() if available is None else available)
        self._count = len(self._free)
        self._lock = threading.Lock()

    def take(self, wanted: int, sharers: int = 1) -> tuple[str, ...]:
        """Return up to `wanted` GPUs that no node has, as CUDA numbers them; fewer where they run out.

        `sharers` is the number of nodes that are to work together: each gets as many as the others, if need
        be none, because a job that finds a GPU on one of its nodes alone cannot run.
        """
        with self._lock:
            number = min(wanted, self._count // max(1, sharers))
            taken, self._free = tuple(self._free[:number]), self._free[number:]
            return taken

    def give_back(self, gpus: tuple[str, ...]) -> None:
        """Take the GPUs of a node that is gone."""
        with self._lock:
            self._free = sorted([*self._free, *gpus], key=int)


@lru_cache(maxsize=1)
def local_gpus() -> tuple[str, ...]:
    """Return the numbers of this machine's NVIDIA GPUs; none where `nvidia-smi` is missing or fails."""
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(
        str(number) for number, line in enumerate(listing.stdout.splitlines()) if line.startswith("GPU ")
    )
