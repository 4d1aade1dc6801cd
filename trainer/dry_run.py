"""What a run would be on any number of processes: planned for their devices, and tried out here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from trainer.config import Config
from trainer.configs.settings import RunSettings
from trainer.data.dataset import open_dataset
from trainer.data.find import find_dataset
from trainer.data.sample_order import SampleOrder
from trainer.data.step_data import StepData
from trainer.distributed import World
from trainer.engine.compiling import choose_compile
from trainer.engine.parallel import Device, choose_sharding, place, repeated_blocks, state_bytes, uses_bf16
from trainer.engine.update import local
from trainer.optimizer import build_optimizer
from trainer.tasks.task import Task, build_task
from trainer.train import check_split

GIB = 2**30
LARGEST_TRIED = 100_000_000
"""Parameters up to which the model is made, wrapped for all processes and stepped; larger ones are not."""


@dataclass(frozen=True)
class Shape:
    """What is known of a model without making it."""

    parameters: int
    trained: int
    blocks: int
    activation_bytes: int | None
    """What one sample's forward pass keeps for its backward pass, in single precision; None: not known."""


def dry_run(config: Config, ranks: int, device_gib: float) -> str:
    """Return, as lines of TOML, what `auto` becomes on so many processes, why, and what each of them needs.

    `device_gib` is the memory of a GPU where this machine has none to ask. Raises ConfigError and
    DatasetError as the run itself would.
    """
    device = planned_device(config.device, device_gib)
    world = World(rank=0, local_rank=0, world_size=ranks, device=torch.device("cpu"))
    check_split(config, world)
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None, "what is missing is prepared"
    task = build_task(config, open_dataset(folder))
    shape = measure(task)
    settings = RunSettings(**{field.name: getattr(config, field.name) for field in fields(RunSettings)})
    lines = list(plan(config, settings, task, shape, ranks, device))
    if shape.parameters <= LARGEST_TRIED:
        sharding = choose_sharding(settings, shape.parameters, ranks, device)[0]
        try_out(task, config, settings, world, sharding)
        lines.append("# tried: the model was wrapped for these processes and did one step of one sample here")
    else:
        lines.append("# not tried: the model is too large to be made here only to see it step")
    return "\n".join(lines) + "\n"


def planned_device(asked: str, device_gib: float) -> Device:
    """Return the device to plan for: this machine's GPU, else one of that memory where cuda is asked for."""
    if asked != "cpu" and torch.cuda.is_available():
        return Device("cuda", torch.cuda.get_device_properties(0).total_memory)
    return Device("cuda", int(device_gib * GIB)) if asked == "cuda" else Device("cpu", None)


def plan(
    config: Config, settings: RunSettings, task: Task, shape: Shape, ranks: int, device: Device
) -> Iterator[str]:
    """Yield the settings that are chosen, each with its reason, and the memory that they need."""
    sharding, why = choose_sharding(settings, shape.parameters, ranks, device)
    low = uses_bf16(settings, device)
    compiled = choose_compile(settings, shape.blocks >= 1, device)
    kept = None if shape.activation_bytes is None else shape.activation_bytes // (2 if low else 1)
    state = state_bytes(shape.parameters, shape.trained) // (ranks if sharding == "fsdp" else 1)
    order = SampleOrder(task.source.num_items, config.samples, config.global_batch, config.seed)
    micro, recompute, reason = fitting(settings, -(-config.global_batch // ranks), state, kept, device)
    world = World(rank=0, local_rank=0, world_size=ranks, device=torch.device("cpu"))
    parts = StepData(task.source, order, world, micro).step_batches(1)
    yield f"world_size = {ranks}"
    yield f'device = "{device.kind}"' + (f"  # of {device.memory / GIB:.0f} GiB" if device.memory else "")
    yield f'sharding = "{sharding}"  # {why}'
    yield f'precision = "{"bf16" if low else "fp32"}"'
    yield f'compile = "{compiled}"  # {shape.blocks} blocks alike'
    yield f"micro_batch = {micro}  # {reason}"
    yield f"micro_batches_a_step = {len(parts)}"
    yield f'activation_checkpointing = "{"on" if recompute else "off"}"'
    yield f"steps = {config.num_steps}"
    yield f"samples = {config.samples}  # {config.samples / task.source.num_items:.2f} epochs"
    yield f"parameters = {shape.parameters}" + (
        "" if shape.trained == shape.parameters else f"  # {shape.trained} trained"
    )
    yield f"state_gib_a_rank = {state / GIB:.3f}  # weights, gradients, AdamW's moments"
    if kept is not None:
        yield f"activations_gib_a_rank = {kept * micro / GIB:.3f}" + (
            "  # before recomputing" if recompute else ""
        )
    yield f"checkpoint_gib = {(4 * shape.parameters + 8 * shape.trained) / GIB:.3f}"


def fitting(
    settings: RunSettings, share: int, state: int, kept: int | None, device: Device
) -> tuple[int, bool, str]:
    """Return the micro-batch, whether blocks are recomputed, and why: as it would turn out on the device."""
    recompute = settings.activation_checkpointing == "on"
    if settings.micro_batch != "auto":
        return min(settings.micro_batch, share), recompute, "as asked for"
    if kept is None or device.memory is None or recompute:
        return share, recompute, "a process's whole share of a step"
    micro = share
    while micro > 1 and state + kept * micro > device.memory:
        micro = -(-micro // 2)
    if state + kept * micro > device.memory and settings.activation_checkpointing == "auto":
        return micro, True, "one sample, recomputed: even that does not fit as it is"
    halved = (
        "a process's whole share of a step" if micro == share else f"half and half again of {share}, to fit"
    )
    return micro, False, halved


def measure(task: Task) -> Shape:
    """Return the model's shape, from tensors that have sizes and no content."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    # Weights that are read from files can't be pretended: such a model is made as it is.
    pretended_tensors = FakeTensorMode(allow_non_fake_inputs=True)
    with nullcontext() if getattr(task, "pretrained", False) else pretended_tensors:
        model = task.build_model()
        parameters = list(model.parameters())
        try:
            kept = forward_backward(task, model, one_sample(task))
        except Exception:  # a model may look at its numbers
            kept = None
    return Shape(
        parameters=sum(parameter.numel() for parameter in parameters),
        trained=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        blocks=len(repeated_blocks(model)),
        activation_bytes=kept,
    )


def one_sample(task: Task) -> dict[str, Tensor]:
    """Return a batch of the first training item."""
    noise = np.zeros((1, task.source.noise_width), np.float32)
    return task.source.batch(np.zeros(1, np.int64), noise)


def try_out(task: Task, config: Config, settings: RunSettings, world: World, sharding: str) -> None:
    """Wrap the model for all processes and do one step of one sample; the others are only pretended."""
    with pretended(world):
        torch.manual_seed(config.seed)
        model = task.build_model()
        optimizer = build_optimizer(config.optimizer, model)
        placed = place(model, settings, world, optimizer, sharding=sharding)
        forward_backward(task, placed.replica, one_sample(task))
        optimizer.step()


def forward_backward(task: Task, model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Do a forward and backward pass; return the bytes that were kept between them, weights left out."""
    weights = {local(parameter).untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Any:
        storage = local(tensor).untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = task.loss(model.train(), batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return sum(kept.values())


@contextmanager
def pretended(world: World) -> Iterator[None]:
    """Pretend that the other processes are there: what would be sent to them goes nowhere."""
    if world.world_size == 1:
        yield
        return
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", rank=0, world_size=world.world_size, store=FakeStore())
    try:
        yield
    finally:
        distributed.destroy_process_group()
