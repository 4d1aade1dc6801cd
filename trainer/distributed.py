"""The processes that train together: who this one is, its device, and what they say to each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from torch import distributed

START_SECONDS = 300.0
"""Seconds that a collective may take before this process's first step: others may still be compiling."""
STEP_SECONDS = 100.0
"""Seconds that one may take between GPUs afterwards."""
PHASE_SECONDS = 1800.0
"""Seconds that one may take while some save or evaluate."""


class NoDeviceError(Exception):
    """The devices asked for are not on this machine."""


@dataclass(frozen=True)
class World:
    """This process among those of the run, from the environment that torchrun sets; alone without it."""

    rank: int
    """Number of this process, 0 to world_size - 1; rank 0 writes the run directory."""
    local_rank: int
    """Number of this process on its machine."""
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """Return this process's part of `total` things in order; the parts differ by at most one."""
        return slice(total * self.rank // self.world_size, total * (self.rank + 1) // self.world_size)

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return each value summed over all processes, in double precision; waits for all of them."""
        if self.world_size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each value over all processes; waits for all of them."""
        if self.world_size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return [float(value) for value in tensor.tolist()]

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.sum([0.0])

    def broadcast(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give the tensors of every process the values that they have on rank 0, in place."""
        if self.world_size > 1:
            for tensor in tensors:
                # AdamW keeps its step count on the CPU, which nccl cannot send.
                sent = tensor.to(self.device)
                distributed.broadcast(sent, src=0)
                tensor.copy_(sent)

    def wait_at_most(self, seconds: float) -> None:
        """Set how long a GPU's collective may take before it fails; on CPUs the launcher watches."""
        if self.world_size > 1 and self.device.type == "cuda":
            setter = getattr(distributed.distributed_c10d, "_set_pg_timeout", None)
            if setter is not None:
                setter(timedelta(seconds=seconds), distributed.group.WORLD)

    def device_name(self) -> str:
        """Return what trains: `cpu`, or the GPU's own name."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"


def join_world(device: Literal["auto", "cpu", "cuda"]) -> World:
    """Choose this process's device and join the others.

    Gradients travel over nccl between GPUs, over gloo between CPUs. Raises NoDeviceError where cuda is asked
    for and missing.
    """
    # Fragments of the GPU's memory would otherwise end runs that fit.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    chosen = choose_device(device, local_rank, processes_here)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        torch.set_float32_matmul_precision(
            "high"
        )  # TF32: what is left in single precision runs on tensor cores
    elif "RANK" in os.environ and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # several processes that each take all cores are slower than one
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size > 1 and not distributed.is_initialized():
        patience = timedelta(seconds=START_SECONDS)
        if chosen.type == "cuda":
            distributed.init_process_group("nccl", device_id=chosen, timeout=patience)
        else:
            distributed.init_process_group("gloo", timeout=patience)
    return World(
        rank=int(os.environ.get("RANK", "0")), local_rank=local_rank, world_size=world_size, device=chosen
    )


def choose_device(
    device: Literal["auto", "cpu", "cuda"], local_rank: int, processes_here: int
) -> torch.device:
    """Return the device of this machine's process `local_rank`; raises NoDeviceError where there is none."""
    num_gpus = 0 if device == "cpu" else torch.cuda.device_count()
    if device == "cuda" and num_gpus < processes_here:
        raise NoDeviceError(
            f"device=cuda: this machine has {num_gpus} GPUs for {processes_here} processes: "
            "start fewer processes or set device=auto"
        )
    return torch.device("cuda", local_rank) if num_gpus >= processes_here else torch.device("cpu")
