"""The sizes that FSx for Lustre makes file systems of."""

from __future__ import annotations

SMALLEST_GIB, STEP_GIB = 1200, 2400
"""On SSDs: 1200, or a multiple of 2400 (FSx API, CreateFileSystem, StorageCapacity)."""


def is_lustre_size(gib: int) -> bool:
    """Return whether FSx for Lustre makes a file system of that size."""
    return gib == SMALLEST_GIB or (gib > 0 and gib % STEP_GIB == 0)


def lustre_sizes_around(gib: int) -> list[int]:
    """Return the sizes that FSx has next to one that it does not have, the smaller first."""
    below = gib // STEP_GIB * STEP_GIB
    smaller = [below] if below else [SMALLEST_GIB] if gib > SMALLEST_GIB else []
    larger = SMALLEST_GIB if gib < SMALLEST_GIB else below + STEP_GIB
    return [*smaller, larger]
