"""The optimizer's step: gradients divided by the step's terms and clipped, or refused if not numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from trainer.configs.settings import ConfigError
from trainer.distributed import World
from trainer.engine.exchange import LOSS, TERMS

_EPSILON = 1e-6
"""Added to the norm before the limit is divided by it, as torch.nn.utils.clip_grad_norm_ does."""


class Update:
    """One optimizer's step from gradients that are sums over the terms of all micro-batches.

    Fused optimizers divide the gradient while they read it (`grad_scale`) and skip a step by themselves
    (`found_inf`), which they offer for loss scaling: that spares a pass over all gradients. For others there
    is one pass of multiplication, and on a GPU one synchronisation a step.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, model: nn.Module, world: World, clip: float) -> None:
        self.optimizer, self._model = optimizer, model
        self._world = world
        self._clip = clip or math.inf
        self._gather_parameters()
        self._sharded = any(is_sharded(parameter) for parameter in self._parameters)
        self.fused = takes_scale(optimizer)
        self._on_gpu = world.device.type == "cuda"
        options: dict[str, Any] = {"device": world.device, "dtype": torch.float32}
        self._scale, self._no_number = torch.ones((), **options), torch.zeros((), **options)
        if self.fused:
            optimizer.grad_scale, optimizer.found_inf = self._scale, self._no_number  # type: ignore[attr-defined]

    @property
    def reads_late(self) -> bool:
        """Whether a step goes on without its own numbers having been read."""
        return self._on_gpu and self.fused

    def on_host(self, sums: Sequence[float]) -> float:
        """Do the step with sums that have been read; return the gradient's norm.

        Where the norm or the loss is no number the weights stay as they are; the caller sees it, too.
        """
        gradients = self._gradients()
        # The processes' gradients come averaged.
        factor = self._world.world_size / sums[TERMS] if sums[TERMS] else math.nan
        norm = float(self._raw_norm(gradients)) * factor
        if math.isfinite(norm) and math.isfinite(sums[LOSS]):
            if norm > self._clip:
                factor *= self._clip / (norm + _EPSILON)
            if self.fused:
                self._scale.fill_(1 / factor)
            elif factor != 1.0:
                torch._foreach_mul_(gradients, factor)
            self.optimizer.step()
        self._clear()
        return norm

    def on_device(self, sums: Tensor) -> Tensor:
        """Do the step with sums on the device; return the norm there. Nothing waits.

        From the first step on whose loss or norm is no number, no step changes the weights.
        """
        factor = self._world.world_size / sums[TERMS]
        norm: Tensor = self._raw_norm(self._gradients()) * factor
        limited = torch.clamp(self._clip / (norm + _EPSILON), max=1.0)
        torch.reciprocal(factor * limited, out=self._scale)
        bad = torch.isfinite(norm + sums[LOSS]).logical_not()
        torch.maximum(self._no_number, bad.to(torch.float32), out=self._no_number)
        self.optimizer.step()
        self._clear()
        return norm

    def _gather_parameters(self) -> None:
        groups = self.optimizer.param_groups
        self._parameters: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        self._num_groups = len(groups)
        known = {id(parameter) for parameter in self._parameters}
        # Gradients of what is not trained yet would pile up until it is.
        self._others = [parameter for parameter in self._model.parameters() if id(parameter) not in known]

    def _gradients(self) -> list[Tensor]:
        if len(self.optimizer.param_groups) != self._num_groups:  # add_param_group since
            self._gather_parameters()
            if self.fused and not takes_scale(self.optimizer):
                raise ConfigError(["optimizer: a group that is added has to be fused as the others are"])
        found = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        return [local(gradient) for gradient in found] if self._sharded else found

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
        for parameter in self._others:
            parameter.grad = None

    def _raw_norm(self, gradients: list[Tensor]) -> Any:
        """Return the norm of the gradients as they are; of sharded ones, that over all processes."""
        if not gradients:
            return torch.zeros((), device=self._world.device)
        norms = torch._foreach_norm(gradients)
        if any(norm.device != norms[0].device or norm.dtype != norms[0].dtype for norm in norms):
            norms = tuple(norm.to(self._world.device, torch.float32) for norm in norms)
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if self._sharded and self._world.world_size > 1:
            square = norm.float().square()
            distributed.all_reduce(square)
            norm = square.sqrt()
        return norm


def takes_scale(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether the optimizer divides gradients by `grad_scale` and heeds `found_inf` by itself."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False)) and all(
        group.get("fused") for group in optimizer.param_groups
    )


def fuse(optimizer: torch.optim.Optimizer) -> None:
    """Let torch's own Adam, AdamW and SGD use their fused kernels, unless the user has chosen.

    The same step in one kernel. An optimizer that already has state is left as it is.
    """
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD) or optimizer.state:
        return
    parts = any(is_sharded(parameter) for group in optimizer.param_groups for parameter in group["params"])
    if parts and type(optimizer) is torch.optim.SGD:
        return  # torch 2.13 has no fused SGD of DTensors
    groups = optimizer.param_groups
    chosen = any(group.get(name) is not None for group in groups for name in ("fused", "foreach"))
    plain = all(
        parameter.dtype in (torch.float32, torch.bfloat16, torch.float64)
        for group in groups
        for parameter in group["params"]
    )
    if chosen or not plain or any(group.get("differentiable") for group in groups):
        return
    for group in groups:
        group["fused"] = True
    optimizer.defaults["fused"] = True
    optimizer._step_supports_amp_scaling = True  # type: ignore[attr-defined]
    optimizer._need_device_dtype_check_for_fused = True  # type: ignore[attr-defined]


def is_sharded(tensor: Tensor) -> bool:
    """Return whether this process holds a part of the tensor (a DTensor, as FSDP2 makes them)."""
    return hasattr(tensor, "to_local")


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, or the tensor itself."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part
