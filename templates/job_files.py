"""The script that starts a job on a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class LaunchScript:
    """`launch.sh`: the trainer's launcher (docs/launcher.md), on a recipe or on the user's script.

    It names no run, machine or address: those come from the FLEETFORM_ variables, so that the script that
    `--dry-run` prints is the script that runs.
    """

    template: ClassVar[str] = "job/launch.sh.j2"

    nodes: int
    procs_per_node: int
    recipe: str
    """Name of the trainer's recipe, or "" where a script runs."""
    overrides: tuple[str, ...]
    """`key=value` settings of the recipe."""
    script: str
    """The script's path below the code folder, or "" where a recipe runs."""
    arguments: tuple[str, ...]
    """The script's own arguments."""
