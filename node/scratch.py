"""A run's own scratch folder: on the node's local disks where it has them, else on its root disk.

Nothing of it is uploaded, and it goes with the run.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from node.config import NodeConfig


def make_scratch(config: NodeConfig, run_id: str) -> Path:
    """Return the run's empty scratch folder, made anew."""
    folder = _scratch_folder(config, run_id)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def remove_scratch(config: NodeConfig, run_id: str) -> None:
    """Delete the run's scratch folder with all that is in it."""
    shutil.rmtree(_scratch_folder(config, run_id), ignore_errors=True)


def _scratch_folder(config: NodeConfig, run_id: str) -> Path:
    """Return where the folder lies: `/scratch` counts where user data has mounted local disks there."""
    disks = config.root / "scratch"
    return (disks if disks.is_mount() else config.work / "scratch") / run_id
