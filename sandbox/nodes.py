"""The emulated nodes: one folder and one set of processes per running instance."""

from __future__ import annotations

from sandbox.place import Place
from sandbox.processes import SANDBOX_VARIABLE, end_marked


class Nodes:
    """Every emulated node of one embedded cloud."""

    def __init__(self, place: Place, *, cores_per_node: int) -> None:
        self.place = place
        self.cores_per_node = cores_per_node
        self.endpoint = ""

    def clean_up(self) -> None:
        """End what a crashed server's nodes left behind."""
        end_marked(SANDBOX_VARIABLE, str(self.place.folder), grace_s=0)

    def close(self) -> None:
        """End all nodes."""
        end_marked(SANDBOX_VARIABLE, str(self.place.folder), grace_s=1)
