"""How the weights are moved: the settings of AdamW and of its learning rate over the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay; all of it a function of the step number."""

    learning_rate: float = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    final_fraction: float = 0.1
    """Learning rate at the last step, as a share of the highest, 0 to 1."""
    warmup_fraction: float = 0.05
    """Share of the steps over which the learning rate climbs, 0 to 1."""
    weight_decay: float = 0.1
    """Decoupled decay of weight matrices and kernels; biases and norms are never decayed."""

    def faults(self) -> Iterator[str]:
        """Yield each value that is out of its range."""
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                yield f"optimizer.{name}: {getattr(self, name)} is not zero or more"
        for name in ("final_fraction", "warmup_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                yield f"optimizer.{name}: {getattr(self, name)} is not between 0 and 1"
