"""Cuts tokenised documents into samples of equal length, and puts several short ones into one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NOT_LEARNED = -100
"""The target of a token that is not learned, as torch's cross-entropy takes it."""


@dataclass(frozen=True)
class Example:
    """A document's tokens and which of them are learned."""

    tokens: list[int]
    learned: list[bool]


class PackedExamples:
    """Samples of `context` tokens each: tokens, those to predict, and each token's place in its document."""

    noise_width = 0

    def __init__(self, examples: Sequence[Example], context: int, padding: int, *, packing: bool) -> None:
        """Pack the examples in their order; those of which no token is learned are left out."""
        pieces = [piece for example in examples for piece in cut(example, context)]
        rows = pack([len(piece.tokens) for piece in pieces], context) if packing else None
        rows = [[number] for number in range(len(pieces))] if rows is None else rows
        shape = len(rows), context
        self.tokens = np.full(shape, padding, np.int64)
        self.targets = np.full(shape, NOT_LEARNED, np.int64)
        # Padding counts on from 0, as a document of its own would.
        self.positions = np.zeros(shape, np.int64)
        for row, numbers in enumerate(rows):
            at = 0
            for number in numbers:
                at = self._put(row, at, pieces[number])
            self.positions[row, at:] = np.arange(context - at)
        self.num_items = len(rows)

    def batch(self, items: NDArray[np.int64], noise: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return tokens, targets and positions, int64 [n, context], and `counted` [learned tokens, 0].

        The last holds nothing but its length, which a GPU can be asked for without waiting for it.
        """
        targets = torch.from_numpy(self.targets[items])
        return {
            "tokens": torch.from_numpy(self.tokens[items]),
            "targets": targets,
            "positions": torch.from_numpy(self.positions[items]),
            "counted": torch.empty(int((targets != NOT_LEARNED).sum()), 0),
        }

    def _put(self, row: int, at: int, piece: Example) -> int:
        """Write a piece into a row from place `at` on; return the place behind it."""
        end = at + len(piece.tokens)
        self.tokens[row, at:end] = piece.tokens
        self.positions[row, at:end] = np.arange(len(piece.tokens))
        # A token is predicted at the place before it; a document's first one at none.
        following = np.where(piece.learned[1:], piece.tokens[1:], NOT_LEARNED)
        self.targets[row, at : end - 1] = following
        return end


def cut(example: Example, context: int) -> list[Example]:
    """Return the example in pieces of at most `context` tokens, but those of which nothing is learned."""
    pieces = [
        Example(example.tokens[at : at + context], example.learned[at : at + context])
        for at in range(0, len(example.tokens), context)
    ]
    return [piece for piece in pieces if any(piece.learned[1:])]


def pack(lengths: Sequence[int], context: int) -> list[list[int]]:
    """Return which documents share a sample: each goes into the first of the last 64 that has room for it."""
    rows: list[list[int]] = []
    room: list[int] = []
    for number, length in enumerate(lengths):
        for row in range(max(0, len(rows) - 64), len(rows)):
            if room[row] >= length:
                rows[row].append(number)
                room[row] -= length
                break
        else:
            rows.append([number])
            room.append(context - length)
    return rows
