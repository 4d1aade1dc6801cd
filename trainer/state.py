"""The state that a run resumes from: weights and optimizer moments as named tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trainer.checkpoint import CheckpointFolder, Manifest
from trainer.config import Config, ConfigError
from trainer.distributed import World
from trainer.optimizer_config import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the attempts before this one have come; the seconds and the time are rank 0's to know."""

    step: int = 0
    """Optimizer steps done."""
    train_seconds: float = 0.0
    """Seconds of training that led there."""
    first_step_time: str | None = None
    """When the first of these attempts had done its first step, ISO 8601 in UTC."""


class TrainingState:
    """A model and its optimizer, and the way of both into and out of a checkpoint."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model = model
        self.optimizer = optimizer

    def tensors(self) -> dict[str, dict[str, Any]]:
        """Return the live tensors by name: `model.<parameter>` and `optimizer.<parameter>.<moment>`."""
        moments = {
            f"{name}.{moment}": tensor
            for name, parameter in self.model.named_parameters()
            for moment, tensor in self.optimizer.state[parameter].items()
        }
        return {"model": self.model.state_dict(), "optimizer": moments}

    def restore(self, checkpoints: CheckpointFolder, manifest: Manifest | None, world: World) -> None:
        """Take rank 0's checkpoint on every process; only rank 0 needs its manifest and files."""
        self._make_moments()
        if world.is_main:
            assert manifest is not None
            checkpoints.load(manifest, self.tensors())
        named = self.tensors()
        world.broadcast([*named["model"].values(), *named["optimizer"].values()])

    def _make_moments(self) -> None:
        """Let the optimizer make its moments: a step of no gradient at no learning rate moves nothing."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        self.optimizer.zero_grad()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return AdamW over the model; only weights of two and more dimensions decay."""
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


def resume(state: TrainingState, checkpoints: CheckpointFolder, config: Config, world: World) -> Progress:
    """Take the newest whole checkpoint of the run directory, if there is one; return how far it is.

    Raises ConfigError, on every process, where the checkpoint is of settings that give other weights.
    """
    manifest, problems = (
        None,
        [f"resume: rank 0 found a checkpoint of another configuration (rank {world.rank})"],
    )
    if world.is_main:
        if config.fresh:
            checkpoints.clear()
        manifest = checkpoints.newest_valid()
        problems = _differences(manifest, config) if manifest else []
    done, refused = world.sum(
        [float(manifest.step if manifest else 0), float(world.is_main and bool(problems))]
    )
    if refused:
        raise ConfigError(problems)
    if done:
        state.restore(checkpoints, manifest, world)
    if manifest is None:
        return Progress(step=int(done))
    return Progress(
        step=manifest.step, train_seconds=manifest.train_seconds, first_step_time=manifest.first_step_time
    )


def _differences(manifest: Manifest, config: Config) -> list[str]:
    """Return a problem for each setting that is not what the checkpoint was made with."""
    now, then = config.result_settings(), manifest.settings
    return [
        f"{key}: the run directory's checkpoint was made with {then.get(key)!r}, not {now.get(key)!r}; "
        "set it back, use another run directory, or fresh=true to start over"
        for key in sorted(now.keys() | then.keys())
        if now.get(key) != then.get(key)
    ]
