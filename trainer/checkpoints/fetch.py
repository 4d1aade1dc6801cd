"""Checkpoints brought from the remote to the machines that have to read them."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

from trainer.checkpoints.agree import gather
from trainer.checkpoints.folder import CheckpointFolder
from trainer.checkpoints.manifest import MANIFEST, Manifest
from trainer.checkpoints.plan import Plan
from trainer.checkpoints.remote import Remote, remote_failures
from trainer.configs.settings import ConfigError
from trainer.distributed import World
from trainer.files.durable import write_durably


def fetch_newer(url: str, step: int, folder: CheckpointFolder, plan: Plan, world: World) -> Manifest | None:
    """Bring the remote's newest checkpoint after `step` to rank 0's machine; return its manifest.

    By every process at once. One that arrives damaged is left out, with a warning, and the one before tried;
    a remote that cannot be reached is a warning.
    """
    below: int | None = None
    while True:
        manifest, fault = None, ""
        if world.is_main:
            manifest, fault = _look(url, below)
            if fault:
                warnings.warn(fault, stacklevel=2)
        manifest = gather(manifest, world)[0]
        if manifest is None or manifest.step <= step:
            return None
        if not (fault := _bring(url, manifest, folder, [plan.machines[0]], plan, world)):
            return manifest
        below = manifest.step
        if world.is_main:
            warnings.warn(f"checkpoint {url}/step-{manifest.step} is left out: {fault}", stacklevel=2)


def show_shards(
    url: str | None, manifest: Manifest, folder: CheckpointFolder, plan: Plan, world: World
) -> None:
    """Have every machine see the checkpoint where each rank has to read its own shards of it.

    Raises ConfigError, on every process, where one does not and the remote cannot help.
    """
    seen = gather((folder.path(manifest.step) / MANIFEST).is_file(), world)
    blind = sorted({plan.machines[rank] for rank, sees in enumerate(seen) if not sees})
    if not plan.sharded or not blind:
        return
    fault = "FLEETFORM_CHECKPOINTS_URL is not set"
    if url is None or (fault := _bring(url, manifest, folder, blind, plan, world)):
        ranks = ", ".join(str(rank) for rank, sees in enumerate(seen) if not sees)
        raise ConfigError(
            [f"{folder.path(manifest.step)}: ranks {ranks} do not see this checkpoint, of which each has to "
             f"read its part ({fault}): put the run directory on a file system that all machines share, or "
             "set FLEETFORM_CHECKPOINTS_URL"]
        )  # fmt: skip


def _look(url: str, below: int | None) -> tuple[Manifest | None, str]:
    try:
        return Remote(url).newest(below), ""
    except remote_failures() as error:
        return None, f"{url} cannot be looked into, so only what is here counts: {error}"


def _bring(
    url: str, manifest: Manifest, folder: CheckpointFolder, machines: list[int], plan: Plan, world: World
) -> str:
    """Download a checkpoint to those machines, a share of its files by each of their ranks; return a fault.

    What is downloaded is checked against its SHA-256 and counts only when it is whole.
    """
    mine, fault = plan.machines[world.rank] in machines, ""
    partial = folder.partial(manifest.step)
    if mine:
        here = [rank for rank, machine in enumerate(plan.machines) if machine == plan.machines[world.rank]]
        names = sorted(manifest.files)[here.index(world.rank) :: len(here)]
        try:
            Remote(url).download(manifest.step, {name: manifest.files[name] for name in names}, partial)
        except remote_failures() as error:
            fault = f"rank {world.rank}: {error}"
    if fault := next(filter(None, gather(fault, world)), ""):
        return fault
    if mine and world.rank == plan.machines[world.rank]:
        _publish(manifest, partial, folder)
    world.barrier()
    return ""


def _publish(manifest: Manifest, partial: Path, folder: CheckpointFolder) -> None:
    text = json.dumps(dataclasses.asdict(manifest), indent=1, sort_keys=True)
    write_durably(partial / MANIFEST, text + "\n")
    folder.publish(manifest.step)
