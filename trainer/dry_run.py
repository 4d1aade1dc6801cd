"""What a run would be on any number of processes: wrapped for them and stepped once, here alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from trainer.config import Config
from trainer.data.dataset import open_dataset
from trainer.data.find import find_dataset
from trainer.data.sample_order import SampleOrder
from trainer.data.step_data import StepData
from trainer.distributed import World, choose_device
from trainer.engine.compiling import choose_compile
from trainer.engine.parallel import Placed, choose_sharding, place, uses_bf16
from trainer.engine.update import local
from trainer.optimizer import build_optimizer
from trainer.settings import RunSettings
from trainer.tasks.task import Task, build_task
from trainer.train import check_split

LARGEST_STEPPED = 200_000_000
"""Parameters up to which the model is made and stepped; a larger one is only reckoned."""
MIB = 2**20


@dataclass(frozen=True)
class Stepped:
    """What one step of one sample has shown."""

    placed: Placed
    activation_bytes: int
    """What a sample's forward pass keeps for its backward pass."""


def dry_run(config: Config, ranks: int) -> str:
    """Return, as lines of text, what `auto` becomes on so many processes, and what each of them needs.

    Raises ConfigError and DatasetError as the run itself would.
    """
    world = World(rank=0, local_rank=0, world_size=ranks, device=choose_device(config.device, 0, 1))
    check_split(config, world)
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None, "what is missing is prepared"
    task = build_task(config, open_dataset(folder))
    settings = RunSettings(**{field.name: getattr(config, field.name) for field in fields(RunSettings)})
    with torch.device("meta"):
        counted = task.build_model()
    parameters = sum(parameter.numel() for parameter in counted.parameters())
    trained = sum(parameter.numel() for parameter in counted.parameters() if parameter.requires_grad)
    stepped = one_step(task, config, settings, world) if parameters <= LARGEST_STEPPED else None
    sharding = choose_sharding(settings, parameters, world)
    lines = [*_plan(config, task, world, settings, sharding, stepped), f"parameters = {parameters}"]
    if trained < parameters:
        lines.append(f"trained_parameters = {trained}")
    share = ranks if sharding == "fsdp" else 1
    # Weight and gradient, and AdamW's two moments of what is trained, in single precision.
    state = (4 * parameters + 12 * trained) // share
    lines.append(f"state_mib_a_rank = {state / MIB:.1f}")
    lines.append(f"checkpoint_mib = {(4 * parameters + 8 * trained) / MIB:.1f}")
    if stepped is not None:
        most = max(StepData(task.source, order_of(config, task), world, _micro(settings)).largest_part(), 1)
        lines.append(
            f"activations_mib_a_rank = {stepped.activation_bytes * most / MIB:.1f}  # at {most} samples"
        )
        lines.append(f"memory_mib_a_rank = {(state + stepped.activation_bytes * most) / MIB:.1f}")
    else:
        lines.append("# the model is too large to be stepped here: activations are not reckoned")
    return "\n".join(lines) + "\n"


def _plan(
    config: Config, task: Task, world: World, settings: RunSettings, sharding: str, stepped: Stepped | None
) -> Iterator[str]:
    data = StepData(task.source, order_of(config, task), world, _micro(settings))
    yield f"world_size = {world.world_size}"
    yield f'device = "{world.device.type}"'
    yield f'sharding = "{sharding}"'
    yield f'precision = "{"bf16" if uses_bf16(settings, world) else "fp32"}"'
    if stepped is not None:
        yield f'compile = "{choose_compile(settings, stepped.placed, world)}"'
        yield f"blocks = {len(stepped.placed.blocks)}"
    yield f"steps = {config.num_steps}"
    yield f"samples = {config.samples}  # {config.samples / task.source.num_items:.2f} epochs"
    yield f"micro_batch = {data.largest_part()}"
    yield f"micro_batches_a_step = {len(data.step_batches(1))}"


def order_of(config: Config, task: Task) -> SampleOrder:
    """Return the order of the run's samples."""
    return SampleOrder(task.source.num_items, config.samples, config.global_batch, config.seed)


def one_step(task: Task, config: Config, settings: RunSettings, world: World) -> Stepped:
    """Wrap the model for all processes and do one step of one sample; the others are only pretended."""
    with pretended(world):
        torch.manual_seed(config.seed)
        model = task.build_model()
        optimizer = build_optimizer(config.optimizer, model)
        placed = place(
            model, settings, world, optimizer, recomputed=settings.activation_checkpointing == "on"
        )
        noise = np.zeros((1, task.source.noise_width), np.float32)
        batch = {
            name: tensor.to(world.device)
            for name, tensor in task.source.batch(np.zeros(1, np.int64), noise).items()
        }
        kept = forward_backward(task, placed.replica, batch)
        optimizer.step()
    return Stepped(placed, kept)


def forward_backward(task: Task, replica: nn.Module, batch: dict[str, Tensor]) -> int:
    """Do a forward and backward pass; return the bytes that were kept between them, weights left out."""
    weights = {local(parameter).untyped_storage().data_ptr() for parameter in replica.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Any:
        storage = local(tensor).untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = task.loss(replica.train(), batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return sum(kept.values())


def _micro(settings: RunSettings) -> int | None:
    return None if settings.micro_batch == "auto" else settings.micro_batch


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
