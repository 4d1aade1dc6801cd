"""A keyed shuffle of 0..n-1 that is computed at any place, without a table of the others.

A Feistel network on the bits of a place, with a multiplicative hash as its round function, is a bijection of
0..2^t-1 whatever the hash does (Luby and Rackoff, SIAM Journal on Computing 17(2), 1988; unbalanced halves:
Schneier and Kelsey, FSE 1996). A result outside of 0..n-1 goes through it again until it is inside, which
keeps it a bijection (cycle walking: Black and Rogaway, CT-RSA 2002). Every step works on whole arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
"""Two more than the four that suffice where the round function is random."""
MOST_ITEMS = 2**40
"""Largest n: a half then has 20 bits, and no product of a half and a key loses what is looked at."""

# The constants of the 64-bit finalizer of MurmurHash3 (A. Appleby, public domain).
_FIRST = np.uint64(0xFF51AFD7ED558CCD)
_SECOND = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


class Bijection:
    """The shuffle of 0..num_items-1 that a key of two numbers chooses."""

    def __init__(self, num_items: int, seed: int, number: int) -> None:
        assert 1 <= num_items <= MOST_ITEMS, "the number of items that a bijection can shuffle"
        self.num_items = num_items
        bits = max((num_items - 1).bit_length(), 2)
        self._low_bits, self._high_bits = bits // 2, bits - bits // 2
        state = np.random.SeedSequence((seed, 2, number)).generate_state(ROUNDS, np.uint64)
        self._keys = [np.uint64(key) for key in state]

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return what lies at the places, each in 0..num_items-1 [n]."""
        values = self._encipher(places.astype(np.uint64))
        outside = np.flatnonzero(values >= self.num_items)
        # Less than half of the values are outside, so each walk is less than half as long as the one before.
        while len(outside):
            walked = self._encipher(values[outside])
            values[outside] = walked
            outside = outside[walked >= self.num_items]
        return values.astype(np.int64)

    def _encipher(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        low_bits, high_bits = self._low_bits, self._high_bits
        high, low = values >> np.uint64(low_bits), values & np.uint64((1 << low_bits) - 1)
        for key in self._keys:
            # The halves change places, and with them their widths.
            high ^= _mixed(low, key) >> np.uint64(64 - high_bits)
            high, low = low, high
            high_bits, low_bits = low_bits, high_bits
        return (high << np.uint64(low_bits)) | low


def _mixed(values: NDArray[np.uint64], key: np.uint64) -> NDArray[np.uint64]:
    """Return 64 bits for each value whose upper ones depend on all of it and of the key."""
    mixed = (values + key) * _FIRST
    mixed ^= mixed >> _SHIFT
    mixed *= _SECOND
    return mixed
