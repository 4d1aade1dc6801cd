"""Small runs over the engine: a loop of one's own, its data, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trainer.run import Run

ITEMS, WIDTH = 96, 6


class Block(nn.Module):
    """A residual layer, of which a net has several alike."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.back = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.back(torch.relu(self.wide(x)))
        return result


class Net(nn.Module):
    """A small net with four blocks, and dropout where that is wanted."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(WIDTH, 16), nn.Linear(16, 1)
        self.blocks = nn.ModuleList(Block(16) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = self.dropout(block(x))
        result: Tensor = self.leave(x)
        return result


def pairs() -> TensorDataset:
    """Return items whose target is the sum of their numbers."""
    x = torch.randn(ITEMS, WIDTH, generator=torch.Generator().manual_seed(7))
    return TensorDataset(x, x.sum(1, keepdim=True))


class Steps:
    """Data that knows every step's micro-batches by its number: 16 samples a step over all processes."""

    wait_seconds = 0.0

    def __init__(
        self, run: Run, num_steps: int = 12, parts: int = 2, spoiled: Callable[[int], bool] | None = None
    ):
        self.world, self.num_steps, self.micro_batch = run.world, num_steps, None
        self._parts, self._spoiled = parts, spoiled or (lambda step: False)

    def units(self, step: int) -> int:
        return 16

    def step_batches(self, step: int) -> list[tuple[Tensor, Tensor]]:
        x = torch.randn(16, WIDTH, generator=torch.Generator().manual_seed(step))
        y = x.sum(1, keepdim=True)
        share = self.world.share(16)
        x, y = x[share], y[share]
        if self._spoiled(step):
            y = y * float("nan")
        # The first part is the smaller one: a step's mean is that of its terms, not of its parts.
        cut = max(1, len(x) // 4)
        return [(x[:cut], y[:cut]), (x[cut:], y[cut:])] if self._parts == 2 else [(x, y)]

    def close(self) -> None:
        pass


def fit(run: Run, data: Any, *, optimizer: str = "AdamW", dropout: float = 0.0, **setup: Any) -> nn.Module:
    """Train a net on the data to the run's end and return it."""
    torch.manual_seed(3)
    model = Net(dropout)
    chosen = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-2)
    replica, chosen, data = run.setup(model, chosen, data, **setup)
    for x, y in run.steps():
        run.backward(nn.functional.mse_loss(replica(x), y), terms=len(x))
        run.step(chosen)
    return model


def loader(batch_size: int = 8, *, shuffle: bool = True) -> DataLoader[Any]:
    """Return torch's own loader over the pairs."""
    return DataLoader(pairs(), batch_size=batch_size, shuffle=shuffle)


def losses(run_dir: Path) -> dict[int, float]:
    """Return the losses by step that metrics.jsonl holds."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines}


def weights(model: nn.Module) -> Tensor:
    """Return all of the model's weights in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
