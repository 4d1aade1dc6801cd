"""What the network for tables can be asked to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """A residual network over a table's columns: categories embedded, numbers standardised."""

    kind: Literal["mlp"] = "mlp"
    width: int = 128
    """Numbers that stand for a row between the blocks."""
    num_blocks: int = 2
    """Residual blocks of two layers each."""
    members: int = 8
    """Networks that share their large matrices and are averaged; 1 is a plain network."""
    frequencies: int = 0
    """Sine and cosine pairs that each number is also given as; 0 leaves it as it is. They help where the
    answer changes fast along a column."""
    dropout: float = 0.1
    """Share of a block's activations that a training row loses, 0 to below 1; drawn from the row's own noise,
    so that results do not depend on the world size."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        for name in ("width", "num_blocks", "members"):
            if getattr(self, name) < 1:
                yield f"model.{name}: {getattr(self, name)} is not positive"
        if self.frequencies < 0:
            yield f"model.frequencies: {self.frequencies} is negative"
        if not 0 <= self.dropout < 1:
            yield f"model.dropout: {self.dropout} is not in [0, 1)"
