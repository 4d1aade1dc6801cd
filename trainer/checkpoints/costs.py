"""What saving costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SaveCosts:
    """What the saves of this process have cost, for the interval between them and for the metrics."""

    blocked_seconds: float = 0.0
    """How long the last `save` held this process up."""
    first_blocked_seconds: float = 0.0
    """The same of the first."""
    snapshot_seconds: float = 0.0
    """How long the last copy into memory alone held it up."""
    write_seconds: float = 0.0
    """How long the last save took from its copy to its commit; on rank 0."""
    bytes: int = 0
    """Size of the last checkpoint, all ranks' files; on rank 0."""
    committed_step: int = 0
    """Step of the newest checkpoint that this process has committed; on rank 0."""
    uploaded_step: int = 0
    """Step of the newest that it has committed at the remote; on rank 0."""
    saves: int = 0
    """Checkpoints that it has committed; on rank 0."""
    failures: int = 0
    """Saves and uploads that failed, and training went on without."""

    def note(self, act: str, step: int, seconds: float, num_bytes: int, *, local: bool) -> None:
        """Count a checkpoint that was committed here (`commit`) or at the remote (`publish`).

        Without `local` there is none here, and the one at the remote is the checkpoint.
        """
        self.bytes = num_bytes
        if act == "publish":
            self.uploaded_step = step
        if act == "commit" or not local:
            self.committed_step, self.write_seconds = step, seconds
            self.saves += 1
