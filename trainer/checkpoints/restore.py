"""How a run goes on: the newest state that is whole, from memory, the run directory or the remote."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainer.checkpoints.agree import gather
from trainer.checkpoints.fetch import fetch_newer, show_shards
from trainer.checkpoints.folder import CheckpointFolder
from trainer.checkpoints.layout import torch_dtype
from trainer.checkpoints.manifest import Manifest, UnreadableError
from trainer.checkpoints.plan import Plan, local_numbers, make_plan
from trainer.checkpoints.resume_point import progress_of
from trainer.checkpoints.slots import Slots, read_shape
from trainer.checkpoints.spreading import Saved, spread_from_memory, spread_whole, tensors_of
from trainer.configs.settings import ConfigError
from trainer.distributed import World
from trainer.state import Progress, State


@dataclass(frozen=True)
class Found:
    """A state that was taken back."""

    progress: Progress
    source: str
    """`memory`, `folder` or `remote`."""


class OldMemory:
    """What an earlier process of this rank has left in the memory, if that was of the same run."""

    def __init__(self, descriptor: int, run_digest: str) -> None:
        self._slots: Slots | None = None
        shape = read_shape(descriptor)
        if shape and shape.run_digest == run_digest:
            self._slots = Slots(descriptor, shape)

    def saved(self) -> Saved:
        """Return the shape and the type of each tensor that was copied."""
        if not self.steps():
            return {}
        assert self._slots is not None
        found = json.loads(self._slots.inventory)
        return {name: (shape, torch_dtype(dtype)) for name, (shape, dtype) in found.items()}

    def steps(self, layout_digest: str | None = None) -> set[int]:
        """Return the steps whose state is whole here, and laid out so."""
        if self._slots is None or layout_digest not in (None, self._slots.shape.layout_digest):
            return set()
        return set(self._slots.steps())

    def take(self, step: int, tensors: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
        """Copy this rank's pieces of that step into the state; return what was noted of the step."""
        assert self._slots is not None
        slot = self._slots.steps()[step]
        image = torch.frombuffer(self._slots.map, dtype=torch.uint8)[self._slots.image_start(slot) :]
        numbers = local_numbers(tensors, plan)
        assert numbers is not None, "the state is the planned one"
        for number, view in zip(numbers, plan.layout.views(image), strict=True):
            number.copy_(view)
        return self._slots.about(slot)

    def forget_others(self, step: int) -> None:
        """Give up every step but that one: they are of a history that is done again from there."""
        for other, slot in self._slots.steps().items() if self._slots else ():
            if other != step:
                self._slots.begin(slot)  # type: ignore[union-attr]


def from_memory(state: State, world: World, memory: OldMemory, least: int) -> Found | None:
    """Take the newest step that the machines' memories hold all of, if it is `least` or later."""
    saved: Saved = {}
    for each in gather(memory.saved(), world):
        saved |= each
    if not saved:
        return None
    before = {name: (each.shape, each.dtype) for name, each in tensors_of(state.tensors()).items()}
    state.fit(saved)
    tensors = state.tensors()
    plan = make_plan(tensors, world, state.parameters())
    offers = gather(memory.steps(plan.digest), world)
    step, sources = newest_complete(offers, plan)
    if not step or step < least:
        state.fit(before)
        return None
    about = memory.take(step, tensors, plan) if step in offers[world.rank] else None
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
    state: State, world: World, folder: CheckpointFolder, settings: Mapping[str, Any], remote: str | None
) -> Found | None:
    """Take the newest whole checkpoint of any machine's folder or of the remote.

    Raises, on every process alike, ConfigError where it is of other settings or of another state, and
    UnreadableError where it cannot be read: nothing is lost then, and to try again may help.
    """
    plan = make_plan(state.tensors(), world, state.parameters())
    manifest, reader, source = *newest_anywhere(folder, plan, world), "folder"
    if remote and (newer := fetch_newer(remote, manifest.step if manifest else 0, folder, plan, world)):
        manifest, reader, source = newer, 0, "remote"
    if manifest is None:
        return None
    path = folder.path(manifest.step)
    if problems := differences(manifest, settings):
        raise ConfigError(problems)
    # With torch.distributed.checkpoint, whose import takes most of a second.
    from trainer.checkpoints.reading import inventory, mismatches, read_folder

    saved = _together(lambda: inventory(path) if world.rank == reader else {}, world, reader)
    state.fit(saved)
    tensors = state.tensors()
    if problems := mismatches(tensors, saved, path):
        raise ConfigError(problems)
    show_shards(remote, manifest, folder, plan, world)
    _together(lambda: read_folder(tensors, path, world, reader), world, reader)
    spread_whole(tensors, world, reader)
    return Found(progress_of(manifest), source)


def newest_anywhere(folder: CheckpointFolder, plan: Plan, world: World) -> tuple[Manifest | None, int]:
    """Return the newest whole checkpoint of the machines' folders and the rank that sees it.

    That is rank 0 where its machine has it, as where all share a folder. Damaged ones are set aside, with a
    warning each. Raises UnreadableError, on every process.
    """
    first = world.rank == plan.machines[world.rank]
    while True:
        steps = gather(folder.newest_step() if first else 0, world)
        reader = steps.index(max(steps))
        if not steps[reader]:
            return None, 0
        manifest, faults = _together(
            lambda reader=reader: folder.newest() if world.rank == reader else (None, []), world, reader
        )
        if world.is_main:
            for fault in faults:
                warnings.warn(fault, stacklevel=2)
        others = [step for step, machine in zip(steps, plan.machines, strict=True) if machine != reader]
        if manifest is not None and manifest.step >= max(others, default=0):
            return manifest, reader


def _together(act: Any, world: World, source: int) -> Any:
    """Return what the act gives on the source; where it fails on any process, raise on all of them."""
    result, fault = None, ""
    try:
        result = act()
    except (OSError, RuntimeError, ValueError) as error:
        fault = f"rank {world.rank}: {error}"
    answers = gather((result if world.rank == source else None, fault), world)
    if faults := [fault for _, fault in answers if fault]:
        raise UnreadableError(f"the newest checkpoint cannot be read, so nothing is done: {faults[0]}")
    return answers[source][0]


def differences(manifest: Manifest, settings: Mapping[str, Any]) -> list[str]:
    """Return a problem for each setting that is not what the checkpoint was made with."""
    then = manifest.settings
    return [
        f"{key}: the run directory's checkpoint was made with {then.get(key)!r}, not {settings.get(key)!r}; "
        "set it back, use another run directory, or fresh=true to start over"
        for key in sorted(settings.keys() | then.keys())
        if settings.get(key) != then.get(key)
    ]
