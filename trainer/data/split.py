"""Decides what is held out from training: the same each time, on every machine."""

from __future__ import annotations

import hashlib
import math

from trainer.configs.data import Split


def is_held_out(split: Split, share: float, number: int, content: bytes) -> bool:
    """Return whether item `number`, counted from 0, of that content is held out.

    `content` looks at nothing else, so copies are in one part and an item stays in its part as data grows.
    """
    if split == "every_nth":
        # Whatever was rounded in the share must not decide: 0.1 is a little more than a tenth.
        return math.floor((number + 1) * share + 1e-9) > math.floor(number * share + 1e-9)
    key = content if split == "content" else b"random %d" % number
    drawn = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
    return drawn < share * 2**64
