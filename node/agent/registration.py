"""Brings this node back where slurmctld takes it for powered down, or waits for it though it has come.

slurmctld saves its state some seconds late. Killed just after a node has registered, it starts again without
knowing of it, and only a slurmd that says that its machine has started (`-b`) is believed.
"""

from __future__ import annotations

from collections.abc import Callable

from node.slurm.tools import SlurmError, nodes

LOOK_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
"""For slurmd to register after it was started anew."""
_AWAY = frozenset({"POWERED_DOWN", "POWERING_UP"})


class Registration:
    """Looks at the node's state in Slurm; it has to stand for two looks, for a boot passes through it."""

    def __init__(self, name: str, register: Callable[[], None]) -> None:
        """`register` starts slurmd anew."""
        self._name, self._register = name, register
        self._away = False

    def look(self) -> float:
        """Look once and return the seconds until the next look; raises what `register` raises."""
        try:
            flags = frozenset().union(*(each.flags for each in nodes(self._name)))
        except SlurmError:  # a controller that is away is head.py's matter
            return LOOK_SECONDS
        if not flags & _AWAY:
            self._away = False
            return LOOK_SECONDS
        if not self._away:
            self._away = True
            return LOOK_SECONDS
        print(f"Slurm takes {self._name} for {', '.join(sorted(flags & _AWAY))}: slurmd registers again")
        self._away = False
        self._register()
        return _PATIENCE_SECONDS
