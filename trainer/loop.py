"""The training loop, top to bottom: data, model, resume, steps, checkpoints, evaluation, model on disk."""

from __future__ import annotations

import math
import signal
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn

from trainer.checkpoint import CheckpointFolder
from trainer.config import Config, ConfigError
from trainer.data.data_file import find_data, open_data
from trainer.data.sample_order import SampleOrder
from trainer.distributed import World
from trainer.export import save_model
from trainer.metrics import SUMMARY, MetricsLog, Throughput, utc_now
from trainer.state import Progress, TrainingState, build_optimizer, resume, set_learning_rate
from trainer.tasks.task import Task, build_task


class DivergedError(Exception):
    """The loss or its gradient is no longer a number; going on would only spoil the checkpoints."""


class StopRequest:
    """Whether SIGTERM has asked this process to save and go; it is looked at once a step."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


@dataclass(frozen=True)
class Result:
    """How an attempt ended."""

    finished: bool
    """False where it was told to stop, and saved a checkpoint instead."""
    summary: dict[str, Any]
    """What summary.json says, without the time of the whole process."""


@dataclass(frozen=True)
class Training:
    """All that the steps of a run work with."""

    config: Config
    world: World
    run_dir: Path
    task: Task
    order: SampleOrder
    state: TrainingState
    checkpoints: CheckpointFolder
    stop: StopRequest


def train(config: Config, world: World, run_dir: Path, stop: StopRequest) -> Result:
    """Train from the run directory's newest checkpoint, or from nothing, to the end; on every process alike.

    Raises ConfigError, DatasetError or DivergedError.
    """
    check_split(config, world)
    torch.manual_seed(config.seed)
    task = build_task(config, open_data(shared_data_file(config.dataset, world)), world.device)
    order = SampleOrder(task.num_items, config.samples, config.global_batch, config.seed)
    model = task.build_model().to(world.device)
    state = TrainingState(model, build_optimizer(config.optimizer, model))
    checkpoints = CheckpointFolder(run_dir / "checkpoints", config.keep_checkpoints)
    done = resume(state, checkpoints, config, world)
    if world.is_main and done.step:
        print(f"resuming after step {done.step} of {config.num_steps}", flush=True)
    if world.is_main and done.step < config.num_steps:
        (run_dir / SUMMARY).unlink(missing_ok=True)  # of a run whose last checkpoint is gone

    training = Training(config, world, run_dir, task, order, state, checkpoints, stop)
    summary = run_steps(training, done)
    if summary["steps"] < config.num_steps:
        return Result(finished=False, summary=summary)

    model.eval()
    with torch.no_grad():
        metrics = task.evaluate(model, world)
    if world.is_main:
        save_model(run_dir, model, config, task.describe(), metrics)
    return Result(finished=True, summary=summary | {"metrics": metrics})


def run_steps(training: Training, before: Progress) -> dict[str, Any]:
    """Do the steps that are left; return the summary so far, of fewer steps where it was told to stop."""
    config, world, order, task = training.config, training.world, training.order, training.task
    replica = world.replicate(training.state.model).train()
    throughput = Throughput(before.train_seconds)
    step = done = before.step
    first_step_time, stopping = before.first_step_time, False
    with MetricsLog(training.run_dir / "metrics.jsonl", steps_done=done, silent=not world.is_main) as log:
        while step < config.num_steps and not stopping:
            step += 1
            metrics, stopping = do_step(training, replica, step)
            first_step_time = first_step_time or utc_now()
            throughput.add(order.size(step) * task.units_per_sample)
            last = step == config.num_steps
            if step == done + 1 or _due(step, config.log_every) or last:
                rate = {f"{task.unit}_per_s": throughput.rate()}
                log.log(step, samples=order.done(step), **metrics, **rate)
            if (
                _due(step, 100 if config.checkpoint_every == "auto" else config.checkpoint_every)
                or last
                or stopping
            ):
                save_checkpoint(training, step, throughput.seconds(), first_step_time)
    return {
        "samples": order.done(step),
        "steps": step,
        "resumed_from_step": done,
        "train_seconds": throughput.seconds(),
        "first_step_time": first_step_time,
        "world_size": world.world_size,
        "device": world.device_name(),
        "threads_per_process": torch.get_num_threads(),
    }


def do_step(training: Training, replica: nn.Module, step: int) -> tuple[dict[str, float], bool]:
    """Do one optimizer step; return its metrics and whether any process has been told to stop.

    Raises DivergedError, on every process and before the weights are touched, where the loss is no number.
    """
    config, world, optimizer = training.config, training.world, training.state.optimizer
    learning_rate = set_learning_rate(optimizer, config.optimizer, step, config.num_steps)
    part_of_loss = backward(training, replica, step)
    norm = clip_gradient(training.state.model, config.gradient_clip)
    loss, stops = world.sum([part_of_loss, float(training.stop.asked)])
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise DivergedError(f"step {step}: the loss is {loss}, the norm of its gradient {norm}: stopped")
    optimizer.step()
    optimizer.zero_grad()
    return {"loss": loss, "lr": learning_rate, "gradient_norm": norm}, stops > 0


def backward(training: Training, replica: nn.Module, step: int) -> float:
    """Put the gradient of the step's mean loss into the model; return this process's part of that loss.

    The mean is over all terms of the step on all processes, so unequal parts weigh what they should.
    """
    config, world, task = training.config, training.world, training.task
    seed_step(config.seed, step, world.rank)
    samples = training.order.step(step, world.share(training.order.size(step)))
    with torch.autocast(world.device.type, torch.bfloat16, enabled=uses_bf16(config, world)):
        loss = task.loss_sum(replica, samples) / (samples.num_global * task.units_per_sample)
    # DistributedDataParallel averages over the processes; the parts are to be summed.
    (loss * world.world_size).backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def clip_gradient(model: nn.Module, limit: float) -> float:
    """Scale the gradient down to the limit's norm, where there is one; return the norm that it had."""
    return float(nn.utils.clip_grad_norm_(model.parameters(), limit or math.inf))


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed torch for one step of one process: a resumed run draws what the uninterrupted one would."""
    torch.manual_seed(((seed * 1_000_003 + step) * 65_537 + rank) % 2**63)


def uses_bf16(config: Config, world: World) -> bool:
    """Return whether the forward pass runs in bfloat16."""
    return config.precision == "bf16" or (config.precision == "auto" and world.device.type == "cuda")


def check_split(config: Config, world: World) -> None:
    """Raise ConfigError where a step would leave a process without a sample."""
    last = config.samples % config.global_batch or config.global_batch
    if min(last, config.global_batch) < world.world_size:
        raise ConfigError(
            [f"samples: a step of {last} samples cannot be split over {world.world_size} processes: "
             "make global_batch larger, or samples a multiple of it"]
        )  # fmt: skip


def shared_data_file(dataset: str, world: World) -> Path:
    """Return the data set's file on this machine; the first process here prepares it where it is missing."""
    path = find_data(dataset, may_prepare=world.local_rank == 0)
    world.barrier()
    path = path or find_data(dataset, may_prepare=False)
    assert path is not None, "the first process of this machine has prepared the data"
    return path


def save_checkpoint(training: Training, step: int, train_seconds: float, first_step_time: str | None) -> None:
    """Write a checkpoint on rank 0; every process returns when it is on the disk."""
    config = training.config
    if training.world.is_main:
        training.checkpoints.save(
            step,
            training.state.tensors(),
            data_cursor=training.order.done(step),
            random={"seed": config.seed, "derived_from": ["seed", "step", "rank"]},
            settings=config.result_settings(),
            config_digest=config.digest(),
            torch_version=torch.__version__,
            train_seconds=train_seconds,
            first_step_time=first_step_time,
        )
    training.world.barrier()


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
