"""The configuration-only way: a recipe's data, model, loss and optimizer, trained by `Run`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import Config, ConfigError
from trainer.configs.settings import RunSettings
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.find import find_dataset
from trainer.data.sample_order import SampleOrder
from trainer.data.step_data import StepData
from trainer.distributed import World
from trainer.engine.failures import Preempted
from trainer.evaluation.document import plain_metrics
from trainer.export.model_folder import save_model
from trainer.optimizer import build_optimizer, set_learning_rate
from trainer.run import Run
from trainer.tasks.data_check import keep_data_check
from trainer.tasks.task import Task, build_task


@dataclass(frozen=True)
class Result:
    """How an attempt ended."""

    finished: bool
    """False where it was told to stop, and saved a checkpoint instead."""
    summary: dict[str, Any]
    """What summary.json says."""
    written: bool = False
    """Whether this attempt wrote it: one that had nothing left to do keeps that of the one before."""


def start(config: Config, run_dir: Path) -> Run:
    """Join the other processes; raises ConfigError where that can't be as it was asked for."""
    dials = RunSettings(**{field.name: getattr(config, field.name) for field in fields(RunSettings)})
    return Run(settings=dials, run_dir=run_dir, identity=config.result_settings())


def train(config: Config, run: Run) -> Result:
    """Train from the run directory's newest checkpoint, or from nothing, to the end; on every process alike.

    Raises ConfigError, DatasetError or DivergedError.
    """
    world = run.world
    check_split(config, world)
    data = shared_dataset(config, world)
    run.identify(data_digest=data.digest)
    if world.is_main:
        keep_data_check(data, run.run_dir)
    task = build_task(config, data)
    run.around.unit, run.around.units_per_sample = task.unit, task.units_per_sample
    run.around.flops = task.flops_per_sample()
    model = task.build_model()
    optimizer = build_optimizer(config.optimizer, model)
    order = SampleOrder(task.source.num_items, config.samples, config.global_batch, config.seed)
    batches = StepData(task.source, order, world, run.fit.micro_batch, world.device)
    replica, _, _ = run.setup(model, optimizer, batches, save_frozen=getattr(task, "save_frozen", True))
    if config.eval_every:
        run.on("eval")(lambda step: plain_metrics(evaluate(task, replica, world)))
    run.finish_after_steps = False
    try:
        run_steps(config, run, task, replica)
    except Preempted:
        return Result(finished=False, summary=run.summary)
    with run.phase("evaluating"):
        metrics = evaluate(task, replica, world)
    weights = whole_weights(model)
    if world.is_main:
        save_model(run.run_dir, weights, config, task, metrics)
    written = run.finish(metrics=plain_metrics(metrics), unit=task.unit, epoch_samples=task.source.num_items)
    return Result(finished=True, summary=run.summary, written=written)


def run_steps(config: Config, run: Run, task: Task, replica: nn.Module) -> None:
    """Do the steps that are left."""
    replica.train()
    resumed = False
    for batch in run.steps():
        if not resumed and run.resumed_from and run.world.is_main:
            print(f"resuming after step {run.resumed_from} of {config.num_steps}", flush=True)
        resumed = True
        set_learning_rate(run.optimizer, config.optimizer, run.step_number + 1, config.num_steps)
        loss, terms = task.loss(replica, batch)
        run.backward(loss, terms)
        run.step()


def evaluate(task: Task, replica: nn.Module, world: World) -> dict[str, Any]:
    """Return the held-out metrics; the model trains on afterwards as before."""
    replica.eval()
    with torch.no_grad():
        metrics = task.evaluate(replica, world)
    replica.train()
    return metrics


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the model's state on the CPU, parts of it put together from all processes."""
    whole = {}
    for name, tensor in model.state_dict().items():
        gathered = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
        whole[name] = gathered.detach().cpu()
    return whole


def check_split(config: Config, world: World) -> None:
    """Raise ConfigError where a step would leave a process without a sample."""
    last = config.samples % config.global_batch or config.global_batch
    if min(last, config.global_batch) < world.world_size:
        raise ConfigError(
            [f"samples: a step of {last} samples cannot be split over {world.world_size} processes: "
             "make global_batch larger, or samples a multiple of it"]
        )  # fmt: skip


def shared_dataset(config: Config, world: World) -> Dataset:
    """Return the data set on this machine; the first process here prepares it where it is missing."""
    folder = find_dataset(config, may_prepare=world.local_rank == 0)
    world.barrier()
    folder = folder or find_dataset(config, may_prepare=False)
    assert folder is not None, "the first process of this machine has prepared the data"
    return open_dataset(folder)
