"""The copy of a rank's state in its memory: made in place of the last one but one, waited for by nobody."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.checkpoints.plan import Plan
from trainer.checkpoints.slots import Shape, Slots

_MADV_POPULATE_WRITE = 23  # linux/mman.h
_POPULATE_BYTES = 4 << 20


class StateCopy:
    """The slots of a memory, seen as the tensors of a plan.

    From a GPU the copy runs beside the next forward and backward pass, on a stream of its own, and
    `hold_updates` makes the update of the weights wait for it, on the device and not in Python.
    """

    def __init__(
        self, memory: int, plan: Plan, run_digest: str, num_slots: int, device: torch.device
    ) -> None:
        inventory = plan.inventory()
        shape = Shape(
            layout_digest=plan.digest,
            run_digest=run_digest,
            num_slots=num_slots,
            image_bytes=plan.layout.image_bytes,
            inventory_bytes=len(inventory),
        )
        self.slots = Slots(memory, shape)
        self.slots.inventory = inventory
        self._bytes = torch.frombuffer(self.slots.map, dtype=torch.uint8)
        self._views = [plan.layout.views(self._image(slot)) for slot in range(num_slots)]
        for slot in range(num_slots):
            start = self.slots.image_start(slot)
            plan.layout.fill(self.slots.view[start : start + shape.image_bytes])
        self._moving = [each.piece.name not in plan.resting for each in plan.layout.placed]
        self._cuda = _CudaCopy(self._bytes, device) if device.type == "cuda" else None
        if self._cuda is None:  # to pin memory is to populate it
            threading.Thread(target=populate, args=(self._bytes,), daemon=True).start()

    def start(self, slot: int, numbers: Sequence[Tensor]) -> None:
        """Begin to copy the numbers into a slot, which is torn until `land`."""
        self.slots.begin(slot)
        if not self._views[slot]:
            return  # a replicated state without moments: other ranks hold all of it
        if self._cuda is None:
            torch._foreach_copy_(self._views[slot], list(numbers))
        else:
            self._cuda.start(self._views[slot], numbers, self._moving)

    def hold_updates(self) -> None:
        """Have what the device is told from here on wait for the copy."""
        if self._cuda is not None:
            self._cuda.hold_updates()

    def landed(self, *, wait: bool) -> bool:
        """Return whether the copy that was started is there, after waiting for it if so asked."""
        return self._cuda is None or self._cuda.landed(wait=wait)

    def close(self) -> None:
        """Give the memory free for others to map."""
        if self._cuda is not None:
            self._cuda.close()

    def _image(self, slot: int) -> Tensor:
        start = self.slots.image_start(slot)
        return self._bytes[start : start + self.slots.shape.image_bytes]


class _CudaCopy:
    """Copies from a GPU to memory that is being pinned in the background; unpinned, they are slower."""

    def __init__(self, memory: Tensor, device: torch.device) -> None:
        self._memory, self._device = memory, device
        cuda: Any = torch.cuda
        self._stream, self._event = cuda.Stream(device), cuda.Event()
        self._cudart = cuda.cudart()
        self._pinned = False
        self._pinning = threading.Thread(target=self._pin, daemon=True)
        self._pinning.start()

    def start(self, views: Sequence[Tensor], numbers: Sequence[Tensor], moving: Sequence[bool]) -> None:
        """Copy what a forward pass may change (buffers) in the order of the program, all else beside it."""
        for view, number, moves in zip(views, numbers, moving, strict=True):
            if moves:
                view.copy_(number, non_blocking=True)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        resting = [
            (view, number) for view, number, moves in zip(views, numbers, moving, strict=True) if not moves
        ]
        with torch.cuda.stream(self._stream):
            if resting:
                torch._foreach_copy_([v for v, _ in resting], [n for _, n in resting], non_blocking=True)
            self._event.record(self._stream)

    def hold_updates(self) -> None:
        torch.cuda.current_stream(self._device).wait_event(self._event)

    def landed(self, *, wait: bool) -> bool:
        if wait:
            self._event.synchronize()
        return bool(self._event.query())

    def close(self) -> None:
        self._pinning.join()
        if self._pinned:
            self._cudart.cudaHostUnregister(self._memory.data_ptr())

    def _pin(self) -> None:
        # Without it the copies are still right; the call gives Python's lock free while it takes seconds.
        with contextlib.suppress(Exception):
            torch.cuda.set_device(self._device)
            status = self._cudart.cudaHostRegister(self._memory.data_ptr(), self._memory.nbytes, 0)
            self._pinned = int(status) == 0


def populate(memory: Tensor) -> None:
    """Have every page of the memory there, so that the first copy into it need not wait for each of them.

    A little at a time, for nothing else can be mapped meanwhile. Kernels before 5.14 refuse.
    """
    libc = ctypes.CDLL(None)  # which, unlike mmap's own method, gives Python's lock free
    for start in range(0, memory.nbytes, _POPULATE_BYTES):
        count = min(_POPULATE_BYTES, memory.nbytes - start)
        where = ctypes.c_void_p(memory.data_ptr() + start)
        if libc.madvise(where, ctypes.c_size_t(count), _MADV_POPULATE_WRITE):
            return


def choose_num_slots(image_bytes: int, copies_here: int, *, snapshots: bool) -> int:
    """Return how many slots a rank gets: three, to have one whole, one written and one copied into.

    Two where three of each of the machine's `copies_here` ranks would take over half of its free memory; one
    where nobody asks for snapshots.
    """
    if not snapshots:
        return 1
    return 3 if 3 * image_bytes * copies_here <= free_memory() / 2 else 2


def free_memory() -> int:
    """Return the bytes that the machine, or this control group, has left (proc(5), cgroups(7))."""
    fields: Mapping[str, str] = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines()
    )
    free = int(fields["MemAvailable"].split()[0]) * 1024
    with contextlib.suppress(OSError, ValueError):  # no limit reads "max"
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        free = min(free, int((group / "memory.max").read_text()) - used)
    return free
