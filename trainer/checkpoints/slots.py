"""The memory that a rank's state is copied into: slots in a nameless file, shared with its writer."""

from __future__ import annotations

import json
import mmap
import os
import struct
from dataclasses import dataclass
from typing import Any

_MAGIC = b"fleetform state 1"
_HEADER = struct.Struct("<24s64s64sQQQ")  # magic, layout digest, run digest, number of slots, bytes an image
_SLOT = struct.Struct("<QQQ")  # sequence (odd: being written), step, bytes of the JSON that follows
PAGE = 4096
"""Images begin on a page, as writing past the page cache (O_DIRECT) wants."""
ABOUT_BYTES = 1 << 20
"""Room before each image for the slot's own header and the JSON of what leads to its step."""
MAX_ABOUT_BYTES = ABOUT_BYTES - _SLOT.size
"""Longest JSON that a slot can be finished with."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a memory is made for; another shape makes it void."""

    layout_digest: str
    """Says which tensors lie where, of which rank of how many."""
    run_digest: str
    """Says of which run and under which settings."""
    num_slots: int
    image_bytes: int
    inventory_bytes: int = 0
    """Size of the JSON that says which tensors there are."""

    def file_bytes(self) -> int:
        """Return the size of the memory."""
        return self.first_slot() + self.num_slots * self.slot_bytes()

    def first_slot(self) -> int:
        """Return where the slots begin, behind the header and the inventory."""
        return PAGE + -(-self.inventory_bytes // PAGE) * PAGE

    def slot_bytes(self) -> int:
        """Return the distance between two slots."""
        return ABOUT_BYTES + -(-self.image_bytes // PAGE) * PAGE


class Slots:
    """Equal slots, each of which holds the state after one step, or is torn.

    A slot's sequence number is odd while it is written. A process that is killed in between leaves it odd,
    and a torn slot is never read. Nothing here is found by name: the memory is gone with the last descriptor.
    """

    def __init__(self, descriptor: int, shape: Shape) -> None:
        """Map the memory; what it holds of another shape is given up."""
        self.shape = shape
        self.descriptor = descriptor
        whole = os.fstat(descriptor).st_size
        if whole != shape.file_bytes() or read_shape(descriptor) != shape:
            os.ftruncate(descriptor, 0)
            os.ftruncate(descriptor, shape.file_bytes())  # reads as zeros: no slot is complete
        self.map = mmap.mmap(descriptor, shape.file_bytes())
        self.map[: _HEADER.size] = _pack(shape)
        self.view = memoryview(self.map)

    @property
    def inventory(self) -> bytes:
        """JSON that says which tensors there are."""
        return self.map[PAGE : PAGE + self.shape.inventory_bytes]

    @inventory.setter
    def inventory(self, text: bytes) -> None:
        assert len(text) == self.shape.inventory_bytes
        self.map[PAGE : PAGE + len(text)] = text

    def begin(self, slot: int) -> None:
        """Mark the slot as torn."""
        sequence, _, _ = self._head(slot)
        _SLOT.pack_into(self.map, self._start(slot), sequence | 1, 0, 0)

    def finish(self, slot: int, step: int, about: bytes) -> None:
        """Mark the slot as the state after `step`; `about` is JSON of at most MAX_ABOUT_BYTES."""
        start = self._start(slot)
        text = start + _SLOT.size
        self.map[text : text + len(about)] = about
        sequence, _, _ = self._head(slot)
        assert sequence % 2, "begin() comes first"
        _SLOT.pack_into(self.map, start, sequence, step, len(about))
        # By itself and last: until it is even, nothing of the slot counts.
        struct.pack_into("<Q", self.map, start, sequence + 1)

    def step(self, slot: int) -> int | None:
        """Return the step whose state the slot holds, None where it is empty or torn."""
        sequence, step, _ = self._head(slot)
        return step if sequence and sequence % 2 == 0 else None

    def about(self, slot: int) -> dict[str, Any]:
        """Return the JSON object that a complete slot was finished with."""
        _, _, length = self._head(slot)
        text = self._start(slot) + _SLOT.size
        about: dict[str, Any] = json.loads(self.map[text : text + length])
        return about

    def image_start(self, slot: int) -> int:
        """Return where in the memory the slot's image begins."""
        return self._start(slot) + ABOUT_BYTES

    def steps(self) -> dict[int, int]:
        """Return the slot of each step that is held."""
        found = {self.step(slot): slot for slot in range(self.shape.num_slots)}
        return {step: slot for step, slot in found.items() if step is not None}

    def _start(self, slot: int) -> int:
        assert 0 <= slot < self.shape.num_slots
        return self.shape.first_slot() + slot * self.shape.slot_bytes()

    def _head(self, slot: int) -> tuple[int, int, int]:
        sequence, step, length = _SLOT.unpack_from(self.map, self._start(slot))
        return sequence, step, length


def read_shape(descriptor: int) -> Shape | None:
    """Return what the memory was made for, None where it is no memory of ours."""
    head = os.pread(descriptor, _HEADER.size, 0)
    if len(head) < _HEADER.size:
        return None
    magic, layout, config, num_slots, image_bytes, inventory_bytes = _HEADER.unpack(head)
    if magic.rstrip(b"\0") != _MAGIC:
        return None
    return Shape(
        layout_digest=layout.rstrip(b"\0").decode(),
        run_digest=config.rstrip(b"\0").decode(),
        num_slots=num_slots,
        image_bytes=image_bytes,
        inventory_bytes=inventory_bytes,
    )


def _pack(shape: Shape) -> bytes:
    digests = (shape.layout_digest.encode()[:64], shape.run_digest.encode()[:64])
    return _HEADER.pack(_MAGIC, *digests, shape.num_slots, shape.image_bytes, shape.inventory_bytes)
