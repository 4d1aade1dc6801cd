"""What has to be right before any speed counts: the same loss and gradients as plain arithmetic gives.

Our model as the benchmark runs it (compiled, bf16, fused loss) against itself in eager float32 with the
plain loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.trainer.results import Row
from trainer.configs.text_models import GPTConfig
from trainer.models.gpt import GPT

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 0.005, 0.03
"""Relative; bf16 carries 8 bits, and the sums are long."""


def measure(device: torch.device) -> list[Row]:
    """Return how far loss and gradient are from plain arithmetic."""
    config = GPTConfig(context=256, num_layers=4, num_heads=4, width=256)
    torch.manual_seed(1)
    model = GPT(config, 1024).to(device)
    tokens = torch.randint(0, 1024, (4, 257), device=device)
    plain_loss, plain_gradient = _plain(model, tokens)
    fast_loss, fast_gradient = _fast(model, tokens, device)
    loss_off = abs(fast_loss / plain_loss - 1)
    gradient_off = float((fast_gradient - plain_gradient).norm() / plain_gradient.norm())
    return [
        _row("loss, compiled bf16 against eager fp32", loss_off, LOSS_TOLERANCE),
        _row("gradient, compiled bf16 against eager fp32", gradient_off, GRADIENT_TOLERANCE),
    ]


def _row(what: str, off: float, tolerance: float) -> Row:
    return Row(id="G0", what=what, value=f"{off:.2e} off", goal=f"<= {tolerance}", met=off <= tolerance)


def _plain(model: GPT, tokens: Tensor) -> tuple[float, Tensor]:
    scores = model(tokens[:, :-1]).float()
    loss = functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())
    return _gradient(model, loss)


def _fast(model: GPT, tokens: Tensor, device: torch.device) -> tuple[float, Tensor]:
    called = torch.compile(model) if device.type == "cuda" else model
    with torch.autocast(device.type, torch.bfloat16):
        loss = called(tokens[:, :-1], tokens[:, 1:])
    return _gradient(model, loss)


def _gradient(model: nn.Module, loss: Tensor) -> tuple[float, Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [each.grad.flatten().float() for each in model.parameters() if each.grad is not None]
    return float(loss.detach()), torch.cat(gradients)
