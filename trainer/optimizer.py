"""The optimizer of the recipes: AdamW, and its learning rate as a function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from trainer.configs.optimizer import OptimizerConfig


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return AdamW over what is trained of the model; only weights of two and more dimensions decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), fused=True)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, num_steps: int
) -> float:
    """Set and return the learning rate of a step, counted from 1: linear warm-up, then half a cosine down."""
    warmup = max(1, round(config.warmup_fraction * num_steps))
    if step <= warmup:
        share = step / warmup
    else:
        done = (step - warmup) / max(1, num_steps - warmup)
        share = config.final_fraction + (1 - config.final_fraction) * (1 + math.cos(math.pi * done)) / 2
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * share
    return config.learning_rate * share
