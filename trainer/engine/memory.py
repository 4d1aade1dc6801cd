"""Memory that does not suffice: a smaller micro-batch, then recomputation, each noted for the next start."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.configs.settings import RunSettings
from trainer.distributed import World
from trainer.engine.failures import EXIT_OUT_OF_MEMORY, EXIT_USER_MISTAKE

NOTE = "micro_batch.json"


@dataclass(frozen=True)
class Fit:
    """What made a run fit into its devices' memory so far."""

    micro_batch: int | None = None
    """Samples that one process takes at once; None for its whole share of a step."""
    recompute: bool = False
    """Whether activation checkpointing had to be turned on."""


def agreed_fit(settings: RunSettings, run_dir: Path, world: World) -> Fit:
    """Return the tightest fit that any process's run directory knows of; settings come first."""
    noted = read_note(run_dir)
    smallest, recompute = world.largest([-(noted.micro_batch or 2**31), float(noted.recompute)])
    found = None if smallest == -(2**31) else int(-smallest)
    if settings.micro_batch != "auto":
        found = settings.micro_batch
    on = settings.activation_checkpointing
    return Fit(found, on == "on" or (on == "auto" and recompute > 0))


def after_out_of_memory(
    fit: Fit, settings: RunSettings, world: World, run_dir: Path, data: Any, step: int
) -> tuple[str, int]:
    """Note what to try at the next start; return the line to print and the exit code."""
    whole = hasattr(data, "units")  # a loader's batches cannot be cut
    share = -(-data.units(step + 1) // world.world_size) if whole else 1
    smaller = tighter(fit, share, settings)
    now = f" with a micro-batch of {min(fit.micro_batch or share, share)}" if whole else ""
    if smaller is None:
        do = "take a smaller model, sharding=fsdp or a device with more memory"
        if whole and settings.micro_batch not in ("auto", 1):
            do = "set micro_batch=auto, or a smaller one"
        elif not whole:
            do = "let your loader give smaller batches, and Run(accumulate=...) more of them a step"
        return f"error: out of memory{now}: {do}", EXIT_USER_MISTAKE
    note(run_dir, smaller)
    other = "activation checkpointing" if smaller.recompute and not fit.recompute else smaller.micro_batch
    return f"out of memory{now}: run the same command again to go on with {other}", EXIT_OUT_OF_MEMORY


def read_note(run_dir: Path) -> Fit:
    """Return what an earlier attempt noted; nothing where it noted nothing that can be read."""
    try:
        return Fit(**json.loads((run_dir / NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Fit()


def tighter(fit: Fit, share: int, settings: RunSettings) -> Fit | None:
    """Return the next tighter fit after one that was too large; None where there is none left to try.

    `share` is the samples of a step that one process takes.
    """
    now = min(fit.micro_batch or share, share)
    if settings.micro_batch == "auto" and now > 1:
        return Fit(-(-now // 2), fit.recompute)
    if settings.activation_checkpointing == "auto" and not fit.recompute:
        return Fit(fit.micro_batch, True)
    return None


def note(run_dir: Path, fit: Fit) -> None:
    """Note the fit for the next start."""
    run_dir.mkdir(parents=True, exist_ok=True)
    # Several processes may come to the same end at the same time.
    partial = run_dir / f".{NOTE}.{os.getpid()}.partial"
    partial.write_text(json.dumps(asdict(fit)) + "\n")
    partial.replace(run_dir / NOTE)
