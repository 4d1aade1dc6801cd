"""How a model is spread over the processes: whole on each (DDP) or in parts (FSDP2), in which precision."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.configs.settings import ConfigError, RunSettings
from trainer.distributed import World
from trainer.engine.exchange import WIDTH

FEWEST_BLOCKS = 4
"""Alike modules in a row from which they count as the model's repeated blocks."""


@dataclass
class Placed:
    """A model as it trains."""

    module: nn.Module
    """The user's model."""
    replica: nn.Module
    """What is called: the model itself, or around it what sums the gradients."""
    blocks: list[nn.Module]
    """Its repeated blocks; none where it has no four alike."""
    sharding: str
    """none, ddp or fsdp."""
    carrier: nn.Parameter | None = None
    """The parameter whose gradient is the step's exchange."""

    def nothing(self, loss: Tensor) -> Tensor:
        """Return a loss that weighs nothing, for a micro-batch without a term, whose mean may be no number.

        The backward pass has to be done all the same, for the processes do it together. Sharded weights are
        reached through the loss alone: there it has to be a number.
        """
        if self.sharding == "fsdp":
            return loss
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        return torch.stack([parameter.flatten()[:1].sum() * 0 for parameter in trained]).sum()

    def sum_next(self, yes: bool) -> None:
        """Say whether the next micro-batch is the step's last, whose backward pass sums the gradients."""
        if self.sharding == "ddp":
            self.replica.require_backward_grad_sync = yes  # type: ignore[assignment]
        elif self.sharding == "fsdp":
            self.module.set_requires_gradient_sync(yes)  # type: ignore[operator]
            self.module.set_is_last_backward(yes)  # type: ignore[operator]


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the longest list of four or more modules of one class in a row (transformer layers, stages)."""
    found: list[nn.Module] = []
    for module in model.modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            inner = list(module)
            if len({type(each) for each in inner}) == 1 and len(inner) >= max(FEWEST_BLOCKS, len(found) + 1):
                found = inner
    return found


@dataclass(frozen=True)
class Device:
    """What of a device matters to a plan."""

    kind: str
    """cpu or cuda."""
    memory: int | None
    """Bytes of a GPU."""
    has_bf16: bool = True
    """Whether a GPU computes in bfloat16."""


def device_of(world: World) -> Device:
    """Return this process's device."""
    if world.device.type != "cuda":
        return Device("cpu", None)
    memory = torch.cuda.get_device_properties(world.device).total_memory
    return Device("cuda", memory, torch.cuda.is_bf16_supported())


def state_bytes(parameters: int, trained: int) -> int:
    """Return the bytes of the weights, and of the gradients and AdamW's moments of what is trained."""
    return 4 * parameters + 12 * trained


def choose_sharding(
    settings: RunSettings, parameters: int, world_size: int, device: Device
) -> tuple[str, str]:
    """Return none, ddp or fsdp, and why; auto takes fsdp where the state needs over half of a GPU."""
    if world_size == 1:
        return "none", "there is one process"
    if settings.sharding != "auto":
        return settings.sharding, "as asked for"
    if device.memory is None:
        return "ddp", "processors share their machine's memory"
    state = state_bytes(parameters, parameters)
    why = f"a state of {state / 2**30:.1f} GiB, on devices of {device.memory / 2**30:.0f} GiB"
    return ("fsdp" if state > device.memory / 2 else "ddp"), why


def place(
    model: nn.Module,
    settings: RunSettings,
    world: World,
    optimizer: torch.optim.Optimizer,
    *,
    blocks: Sequence[nn.Module] | None = None,
    unused_parameters: bool = False,
    recomputed: bool = False,
    sharding: str | None = None,
) -> Placed:
    """Move the model to the device and make it train there with all others; the optimizer follows it.

    `sharding` is chosen by the settings where it is left out.
    """
    found = list(blocks) if blocks is not None else repeated_blocks(model)
    device, parameters = device_of(world), sum(p.numel() for p in model.parameters())
    sharding = sharding or choose_sharding(settings, parameters, world.world_size, device)[0]
    low = torch.bfloat16 if uses_bf16(settings, device) else None
    if recomputed:
        recompute(found or [model])
    model.to(world.device)
    if sharding == "fsdp":
        shard(model, found, world, optimizer, low)
        return Placed(model, model, found, sharding)
    if low is not None:
        cast_forward(model, world.device)
    if sharding == "none":
        return Placed(model, model, found, sharding)
    carrier = None if unused_parameters else nn.Parameter(torch.zeros(WIDTH, device=world.device))
    return Placed(model, replicate(model, world, carrier, unused_parameters), found, sharding, carrier)


def replicate(
    model: nn.Module, world: World, carrier: nn.Parameter | None, unused_parameters: bool = False
) -> nn.Module:
    """Return the model such that a backward pass averages its and the carrier's gradients."""
    known = inspect.signature(DistributedDataParallel).parameters
    # torch 2.13 renamed the switch and deprecates the old name. Constants are buffers that are not saved.
    switch = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    saved = set(model.state_dict()) & {name for name, _ in model.named_buffers()}
    options: dict[str, Any] = {switch: bool(saved), "find_unused_parameters": unused_parameters}
    device_ids = [world.device] if world.device.type == "cuda" else None
    name = "fleetform_exchange"
    if carrier is not None:
        model.register_parameter(name, carrier)
    replica = DistributedDataParallel(model, device_ids=device_ids, gradient_as_bucket_view=True, **options)
    if carrier is not None:
        del model._parameters[name]  # it is the reducer's alone: no optimizer's, no checkpoint's
    return replica


def shard(
    model: nn.Module,
    blocks: Sequence[nn.Module],
    world: World,
    optimizer: torch.optim.Optimizer,
    low: torch.dtype | None,
) -> None:
    """Give each process a part of every parameter (FSDP2), gathered block by block as it is needed."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    if optimizer.state:
        raise ConfigError(["sharding: fsdp needs an optimizer without state: load its state after setup"])
    whole = dict(model.named_parameters(remove_duplicate=False))
    for tensor in [*whole.values(), *model.buffers()]:  # DDP does so by itself
        world.broadcast([tensor.data])
    mesh = init_device_mesh(world.device.type, (world.world_size,))
    policy = MixedPrecisionPolicy(param_dtype=low, reduce_dtype=torch.float32 if low else None)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    whole_policy = dataclasses.replace(policy, output_dtype=torch.float32 if low else None)
    fully_shard(model, mesh=mesh, mp_policy=whole_policy)
    parts = dict(model.named_parameters(remove_duplicate=False))
    replaced = {id(old): parts[name] for name, old in whole.items()}
    for group in optimizer.param_groups:
        group["params"] = [replaced.get(id(old), old) for old in group["params"]]


def uses_bf16(settings: RunSettings, device: Device) -> bool:
    """Return whether the forward pass runs in bfloat16."""
    if settings.precision == "auto":
        return device.kind == "cuda" and device.has_bf16
    return settings.precision == "bf16"


def cast_forward(model: nn.Module, device: torch.device) -> None:
    """Run the model's forward pass under autocast to bfloat16; what it returns is in single precision."""
    inner = model.forward

    @functools.wraps(inner)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, torch.bfloat16):
            result = inner(*args, **kwargs)
        return _single(result)

    model.forward = forward


def _single(value: Any) -> Any:
    """Return the value with every tensor in bfloat16 made one in single precision."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    if isinstance(value, dict):
        for name in value:
            value[name] = _single(value[name])
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_single, value))
    return type(value)(map(_single, value)) if type(value) in (list, tuple) else value


def recompute(blocks: Sequence[nn.Module]) -> None:
    """Let each block be computed again in the backward pass instead of keeping what it computed."""
    from torch.utils.checkpoint import checkpoint

    for block in blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    if not blocks:
        warnings.warn("activation_checkpointing: there is no block to compute again", stacklevel=3)
