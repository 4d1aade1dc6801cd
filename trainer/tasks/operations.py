"""Counts what a network computes for one sample, layer by layer, while it looks at one.

torch's own FlopCounterMode finds the same, but its first use imports for seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainer.numbers.flops import Flops


def count_operations(build: Callable[[], nn.Module], inputs: tuple[Tensor, ...], extra: float = 0.0) -> Flops:
    """Return the operations of one sample's forward and backward pass; `inputs` is one sample on the CPU.

    A convolution or matrix costs 2 operations a multiply-add forward and twice that backward: once for its
    weights' gradient, once for its input's. `extra` are forward operations outside of such layers.
    """
    counted: list[float] = []

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            size = layer.in_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        else:
            assert isinstance(layer, nn.Linear)
            size = layer.in_features
        counted.append(2.0 * output.numel() * size)

    with torch.random.fork_rng(devices=[]):
        model = build()
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    for layer in layers:
        layer.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(*inputs)
    forward = sum(counted) + extra
    formula = f"3 x {forward:.6g} of {len(counted)} convolutions and matrices"
    formula += f" ({extra:.6g} of attention or the members' last layers among them)" if extra else ""
    return Flops(3 * forward, formula, "2 operations a multiply-add, backward twice forward")
