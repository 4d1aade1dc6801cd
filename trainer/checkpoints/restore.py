"""How a run goes on: the newest state that is whole, from memory, the run directory or the remote."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainer.checkpoints.agree import gather
from trainer.checkpoints.fetch import fetch_newer, show_shards
from trainer.checkpoints.folder import CheckpointFolder
from trainer.checkpoints.manifest import Manifest
from trainer.checkpoints.plan import Plan, local_numbers
from trainer.checkpoints.resume_point import progress_of
from trainer.checkpoints.slots import Slots, read_shape
from trainer.checkpoints.spreading import spread_from_memory, spread_whole
from trainer.distributed import World
from trainer.settings import ConfigError
from trainer.state import Progress


@dataclass(frozen=True)
class Found:
    """A state that was taken back."""

    progress: Progress
    source: str
    """`memory`, `folder` or `remote`."""


class OldMemory:
    """What an earlier process of this rank has left in the memory, if that was of the same state."""

    def __init__(self, descriptor: int, plan: Plan, run_digest: str) -> None:
        self._plan = plan
        self._slots: Slots | None = None
        shape = read_shape(descriptor)
        if shape and (shape.layout_digest, shape.run_digest) == (plan.digest, run_digest):
            self._slots = Slots(descriptor, shape)

    def steps(self) -> set[int]:
        """Return the steps whose state is whole here."""
        return set(self._slots.steps()) if self._slots else set()

    def take(self, step: int, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Copy this rank's pieces of that step into the state; return what was noted of the step."""
        assert self._slots is not None
        slot = self._slots.steps()[step]
        image = torch.frombuffer(self._slots.map, dtype=torch.uint8)[self._slots.image_start(slot) :]
        views = self._plan.layout.views(image)
        numbers = local_numbers(tensors, self._plan)
        assert numbers is not None, "the state is the planned one"
        for number, view in zip(numbers, views, strict=True):
            number.copy_(view)
        return self._slots.about(slot)

    def forget_others(self, step: int) -> None:
        """Give up every step but that one: they are of a history that is done again from there."""
        for other, slot in self._slots.steps().items() if self._slots else ():
            if other != step:
                self._slots.begin(slot)  # type: ignore[union-attr]


def from_memory(
    tensors: Mapping[str, Any], plan: Plan, world: World, memory: OldMemory, least: int
) -> Found | None:
    """Take the newest step that the machines' memories hold all of, if it is `least` or later."""
    offers = gather(memory.steps(), world)
    step, sources = newest_complete(offers, plan)
    if not step or step < least:
        return None
    about = memory.take(step, tensors) if step in offers[world.rank] else None
    spread_from_memory(tensors, plan, sources, world)
    first = next(rank for rank, steps in enumerate(offers) if step in steps)
    about = gather(about, world)[first]
    assert about is not None
    return Found(Progress(**about), "memory")


def newest_complete(offers: Sequence[set[int]], plan: Plan) -> tuple[int, dict[int, int]]:
    """Return the newest step of which the ranks hold every piece, 0 where there is none, and who gives what.

    Shards have one holder, so all ranks must have the step; of whole tensors each local rank's share is
    wanted once, from any machine.
    """
    wanted = set(plan.owners.values())
    for step in sorted(set().union(*offers), reverse=True):
        sources: dict[int, int] = {}
        for rank, steps in enumerate(offers):
            if step in steps:
                sources.setdefault(plan.local_ranks[rank], rank)
        complete = wanted <= sources.keys() and (not plan.sharded or all(step in each for each in offers))
        if complete:
            return step, {owner: sources[owner] for owner in wanted}
    return 0, {}


def from_folder(
    tensors: Mapping[str, Any],
    plan: Plan,
    world: World,
    folder: CheckpointFolder,
    settings: Mapping[str, Any],
    remote: str | None,
) -> Found | None:
    """Take the newest whole checkpoint of the folder or the remote; a damaged one costs a warning.

    Raises ConfigError, on every process, where the checkpoint is of other settings or of another state.
    """
    while True:
        manifest, source = _newest(folder, world), "folder"
        if remote and (newer := fetch_newer(remote, manifest.step if manifest else 0, folder, plan, world)):
            manifest, source = newer, "remote"
        if manifest is None:
            return None
        # With torch.distributed.checkpoint, whose import takes most of a second.
        from trainer.checkpoints.reading import mismatches, read_folder

        path = folder.path(manifest.step)
        problems = differences(manifest, settings) or (mismatches(tensors, path) if world.is_main else [])
        if problems := gather(problems, world)[0]:
            raise ConfigError(problems)
        show_shards(remote, manifest, folder, plan, world)
        fault = ""
        try:
            read_folder(tensors, path, world)
        except (OSError, RuntimeError, ValueError) as error:
            fault = f"checkpoint {path} is left out: rank {world.rank} cannot read it ({error})"
        if not any(faults := gather(fault, world)):
            spread_whole(tensors, world)
            return Found(progress_of(manifest), source)
        if world.is_main:
            folder.set_aside(path)
            warnings.warn(next(filter(None, faults)), stacklevel=2)


def _newest(folder: CheckpointFolder, world: World) -> Manifest | None:
    """Return rank 0's newest whole checkpoint, on every process."""
    manifest = None
    if world.is_main:
        manifest, faults = folder.newest()
        for fault in faults:
            warnings.warn(fault, stacklevel=2)
    return gather(manifest, world)[0]


def differences(manifest: Manifest, settings: Mapping[str, Any]) -> list[str]:
    """Return a problem for each setting that is not what the checkpoint was made with."""
    then = manifest.settings
    return [
        f"{key}: the run directory's checkpoint was made with {then.get(key)!r}, not {settings.get(key)!r}; "
        "set it back, use another run directory, or fresh=true to start over"
        for key in sorted(settings.keys() | then.keys())
        if settings.get(key) != then.get(key)
    ]
