"""How far a run has come, into a manifest and out of it."""

from __future__ import annotations

from typing import Any

import torch

from trainer.checkpoints.manifest import Manifest
from trainer.state import Progress


def manifest_of(
    about: Progress, files: dict[str, dict[str, Any]], settings: dict[str, Any], digest: str, world_size: int
) -> Manifest:
    """Return the manifest of a checkpoint; `digest` is that of the settings."""
    return Manifest(
        step=about.step,
        data_cursor=about.samples,
        random=about.random,
        settings=settings,
        config_digest=digest,
        torch_version=torch.__version__,
        files=files,
        world_size=world_size,
        train_seconds=about.train_seconds,
        first_step_time=about.first_step_time,
        data=about.data,
        extras=about.extras,
    )


def progress_of(manifest: Manifest) -> Progress:
    """Return where a checkpoint goes on."""
    return Progress(
        step=manifest.step,
        samples=manifest.data_cursor,
        train_seconds=manifest.train_seconds,
        first_step_time=manifest.first_step_time,
        data=manifest.data,
        random=manifest.random,
        extras=manifest.extras,
    )
