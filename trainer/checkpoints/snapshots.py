"""Copies of the state in memory, of which the newest whole one is never written over."""

from __future__ import annotations

import dataclasses
import json
import warnings

from trainer.checkpoints.plan import Plan, local_numbers
from trainer.checkpoints.slots import MAX_ABOUT_BYTES
from trainer.checkpoints.state_copy import StateCopy
from trainer.state import Progress, State


class Snapshots:
    """Takes copies of one state into the slots of a memory."""

    def __init__(self, state: State, plan: Plan, copy: StateCopy) -> None:
        self._state, self._plan, self._copy = state, plan, copy
        self._landing: tuple[int, int, bytes] | None = None
        self._told = False

    def take(self, about: Progress, held: int | None) -> int | None:
        """Begin to copy the state; return the slot. On a CPU the copy is there when this returns.

        None where no slot is free, or the state has other tensors than it was planned for. `held` is the slot
        that the writer reads, if it does.
        """
        self.land(wait=True)
        slot = self._free_slot(held)
        numbers = local_numbers(self._state.tensors(), self._plan)
        if slot is None or numbers is None:
            return None
        self._copy.start(slot, numbers)
        self._landing = (slot, about.step, json.dumps(dataclasses.asdict(about)).encode())
        self.land(wait=False)
        return slot

    def hold_updates(self) -> None:
        """Have what the device is told from here on wait for a copy that is still under way."""
        if self._landing:
            self._copy.hold_updates()
            self.land(wait=False)

    def land(self, *, wait: bool) -> bool:
        """Return whether no copy is under way, after waiting for it if so asked; what has landed counts."""
        if self._landing is None:
            return True
        if not self._copy.landed(wait=wait):
            return False
        slot, step, text = self._landing
        if len(text) <= MAX_ABOUT_BYTES:
            self._copy.slots.finish(slot, step, text)
        elif not self._told:
            self._told = True
            warnings.warn(
                f"the state of the data and of what is tracked takes {len(text)} bytes as JSON: too much "
                "for the snapshots in memory, which are left out",
                stacklevel=2,
            )
        self._landing = None
        return True

    def image_start(self, slot: int) -> int:
        """Return where in the memory the slot's image begins."""
        return self._copy.slots.image_start(slot)

    def _free_slot(self, held: int | None) -> int | None:
        """Return an empty or torn slot, else the oldest; never what is written, nor the newest whole one.

        The newest is given up only where it is the only slot.
        """
        slots = self._copy.slots
        steps = slots.steps()
        kept = {held, steps[max(steps)] if steps and slots.shape.num_slots > 1 else None}
        free = [(slots.step(slot) or 0, slot) for slot in range(slots.shape.num_slots) if slot not in kept]
        return min(free)[1] if free else None
