"""The same training step by hand, by our engine, by Accelerate and by Lightning Fabric, side by side.

Each contestant has a model, an optimizer and data of its own, all alike, and does one step when asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.trainer.hand_gpt import HandGPT, Shape

CLIP = 1.0
RATE = 1e-3
Step = Callable[[], Any]


class Batches:
    """Batches of a random text, gathered at once, as a hand-written loop would."""

    def __init__(self, shape: Shape, batch: int, rank: int) -> None:
        generator = np.random.default_rng(7)
        self.text = generator.integers(0, shape.vocabulary, 1_000_000, dtype=np.uint16)
        self.places = np.arange(shape.context + 1)
        self.context, self.batch = shape.context, batch
        self.order = np.random.default_rng(rank)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            starts = self.order.integers(0, len(self.text) - self.context - 1, self.batch)
            windows = torch.from_numpy(self.text[starts[:, None] + self.places].astype(np.int64))
            yield windows[:, :-1], windows[:, 1:]


def parts(shape: Shape) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return the model and its optimizer, the same weights each time."""
    torch.manual_seed(1)
    model = HandGPT(shape)
    return model, torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)


def bare(shape: Shape, batch: int, rank: int, world: int) -> Step:
    """Return the step of a loop written by hand."""
    model, optimizer = parts(shape)
    replica: nn.Module = model
    if world > 1:
        replica = DistributedDataParallel(model, gradient_as_bucket_view=True)
    data = iter(Batches(shape, batch, rank))

    def step() -> None:
        inputs, targets = next(data)
        loss = replica(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ours(shape: Shape, batch: int, rank: int, steps: int, **settings: Any) -> Step:
    """Return the step of a loop over `trainer.run.Run`, with all that it does by default."""
    from trainer.run import Run

    model, optimizer = parts(shape)
    run = Run(steps=steps, gradient_clip=CLIP, device="cpu", **settings)
    model, optimizer, data = run.setup(model, optimizer, Batches(shape, batch, rank))
    batches = run.steps(data)

    def step() -> None:
        inputs, targets = next(batches)
        run.backward(model(inputs, targets), terms=targets.numel())
        run.step(optimizer)

    return step


def accelerate(shape: Shape, batch: int, rank: int) -> Step:
    """Return the step of a loop over Accelerate."""
    os.environ["ACCELERATE_USE_CPU"] = "true"
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model, optimizer = accelerator.prepare(*parts(shape))
    data = iter(Batches(shape, batch, rank))

    def step() -> None:
        inputs, targets = next(data)
        accelerator.backward(model(inputs, targets))
        accelerator.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()

    return step


def fabric(shape: Shape, batch: int, rank: int, world: int) -> Step:
    """Return the step of a loop over Lightning Fabric."""
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    strategy: Any = DDPStrategy(process_group_backend="gloo") if world > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=world, strategy=strategy)
    fabric.launch()
    model, optimizer = fabric.setup(*parts(shape))
    data = iter(Batches(shape, batch, rank))

    def step() -> None:
        inputs, targets = next(data)
        fabric.backward(model(inputs, targets))
        fabric.clip_gradients(model, optimizer, max_norm=CLIP)
        optimizer.step()
        optimizer.zero_grad()

    return step
