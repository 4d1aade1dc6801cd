"""What a run has from its start on: settings, processes, directory, and who listens and writes."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.configs.settings import RunSettings
from trainer.distributed import World
from trainer.engine.hooks import Hooks
from trainer.engine.recorder import Recorder
from trainer.engine.stop import StopRequest
from trainer.launch.pulse import Pulse
from trainer.numbers.flops import Flops

STARTS = ("TORCHELASTIC_RESTART_COUNT", "FLEETFORM_LAUNCH", "SLURM_RESTART_COUNT")
"""Environment variables that count how often the same command was started before."""
BEGUN_AFRESH = "begun-afresh"
"""Note in the run directory of a run that `fresh` has begun and that is not finished."""


@dataclass
class Surroundings:
    """What a run has from its start on."""

    settings: RunSettings
    world: World
    run_dir: Path
    identity: dict[str, Any]
    """The settings that decide what is learned."""
    pulse: Pulse
    stop: StopRequest
    recorder: Recorder
    afresh: bool
    """Whether what an earlier run left is to go."""
    hooks: Hooks = field(default_factory=Hooks)
    unit: str = "samples"
    units_per_sample: int = 1
    flops: Flops | None = None


def begins_afresh(settings: RunSettings, run_dir: Path, identity: dict[str, Any]) -> bool:
    """Return whether what an earlier run left is to go: where that was asked for, on the first start alone.

    A run that was begun afresh leaves a note until it is finished, so that the same command goes on with it.
    FLEETFORM_LAUNCH counts the launchers that a machine has started for the same command.
    """
    if not settings.fresh or any(os.environ.get(name, "0") != "0" for name in STARTS):
        return False
    note = run_dir / BEGUN_AFRESH
    return not note.is_file() or note.read_text() != digest(identity)


def digest(identity: dict[str, Any]) -> str:
    """Return the SHA-256 of settings as canonical JSON."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
