"""How fast the processes of a job sum over the network: `python -m trainer.allreduce` under the launcher.

NCCL between GPUs, gloo between CPUs. The bus bandwidth of an all-reduce of S bytes over n processes that
takes t seconds is S / t * 2 (n - 1) / n, which does not depend on n and can be held against the hardware's
(https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import distributed

from trainer.distributed import World, join_world

GPU_SIZES = (1 << 20, 1 << 25, 1 << 28, 1 << 30)
"""Bytes. Large ones are needed: 32 adapters of a machine are busy only with hundreds of MiB."""
CPU_SIZES = (1 << 16, 1 << 20, 1 << 24)
_WARM_UP, _ROUNDS = 2, 5
_PAIR_ROUNDS = 3


@dataclass(frozen=True)
class SizeResult:
    """All-reduces of one size."""

    bytes: int
    seconds: float
    """Of one, on the slowest process."""
    algbw_gbs: float
    """Bytes by seconds, in GB/s (1e9)."""
    busbw_gbs: float


@dataclass(frozen=True)
class AllReduceResult:
    """What was measured."""

    backend: str
    """`nccl` or `gloo`."""
    processes: int
    nodes: int
    sizes: tuple[SizeResult, ...]
    busbw_gbs: float
    """The best size's bus bandwidth in GB/s."""
    pairs: tuple[tuple[int, int, float], ...] = field(default=())
    """Bus bandwidth between two nodes alone in GB/s; only where that of all was too low."""


def bus_bandwidth(size: int, seconds: float, processes: int) -> float:
    """Return the bus bandwidth in GB/s of an all-reduce of `size` bytes."""
    return size / seconds / 1e9 * 2 * (processes - 1) / processes


def run_all_reduce(
    world: World, sizes: Sequence[int] = (), *, rounds: int = _ROUNDS, least_gbs: float = 0.0
) -> AllReduceResult:
    """Measure over all processes of `world`; every one of them has to call it, and gets the same result.

    Below `least_gbs` (GB/s) neighbouring nodes are measured in pairs, to see which of them is slow. Raises
    ValueError where a sum comes out wrong.
    """
    on_gpu = world.device.type == "cuda"
    chosen = sizes or (GPU_SIZES if on_gpu else CPU_SIZES)
    per_node = int(os.environ.get("LOCAL_WORLD_SIZE", str(world.world_size)))
    nodes = max(1, world.world_size // per_node)
    found = tuple(_measure(world, size, rounds) for size in chosen)
    best = max(each.busbw_gbs for each in found)
    slow = bool(least_gbs) and best < least_gbs and nodes > 1
    pairs = _measure_pairs(world, nodes, per_node, max(chosen)) if slow else ()
    return AllReduceResult("nccl" if on_gpu else "gloo", world.world_size, nodes, found, best, pairs)


def _measure(world: World, size: int, rounds: int) -> SizeResult:
    tensor = torch.ones(size // 4, dtype=torch.float32, device=world.device)
    if world.world_size > 1:
        distributed.all_reduce(tensor)
    if float(tensor[0]) != world.world_size or float(tensor[-1]) != world.world_size:
        raise ValueError(f"the sum of {world.world_size} ones came out as {float(tensor[0])}")
    seconds = _time(world, tensor, rounds, None)
    slowest = world.largest([seconds])[0]
    bus = bus_bandwidth(size, slowest, world.world_size) if world.world_size > 1 else 0.0
    return SizeResult(size, slowest, size / slowest / 1e9, bus)


def _time(world: World, tensor: torch.Tensor, rounds: int, group: distributed.ProcessGroup | None) -> float:
    """Return the seconds of one all-reduce, the mean of `rounds` after the warm-up."""
    for _ in range(_WARM_UP):
        _reduce(world, tensor, group)
    _wait(world)
    begun = time.perf_counter()
    for _ in range(rounds):
        _reduce(world, tensor, group)
    _wait(world)
    return max(1e-9, (time.perf_counter() - begun) / rounds)


def _reduce(world: World, tensor: torch.Tensor, group: distributed.ProcessGroup | None) -> None:
    if world.world_size > 1:
        distributed.all_reduce(tensor, group=group)
    else:
        tensor.add_(0.0)


def _wait(world: World) -> None:
    if world.device.type == "cuda":
        torch.cuda.synchronize(world.device)


def pair_rounds(nodes: int) -> list[list[tuple[int, int]]]:
    """Return the neighbours around a ring of nodes in rounds, in none of which a node is met twice."""
    if nodes == 2:
        return [[(0, 1)]]
    ring = [(node, (node + 1) % nodes) for node in range(nodes)]
    last = [ring.pop()] if nodes % 2 else []
    return [pairs for pairs in (ring[0::2], ring[1::2], last) if pairs]


def _measure_pairs(world: World, nodes: int, per_node: int, size: int) -> tuple[tuple[int, int, float], ...]:
    """Return the bus bandwidth of each node with its neighbour, several pairs at a time."""
    found = []
    for pairs in pair_rounds(nodes):
        seconds = [0.0] * len(pairs)
        mine: tuple[int, distributed.ProcessGroup] | None = None
        for index, pair in enumerate(pairs):
            ranks = [node * per_node + local for node in pair for local in range(per_node)]
            group = distributed.new_group(ranks)  # all processes make every group, in the same order
            if world.rank in ranks:
                mine = index, group
        if mine is not None:
            tensor = torch.ones(size // 4, dtype=torch.float32, device=world.device)
            seconds[mine[0]] = _time(world, tensor, _PAIR_ROUNDS, mine[1])
        slowest = world.largest(seconds)
        found += [
            (a, b, bus_bandwidth(size, took, 2 * per_node))
            for (a, b), took in zip(pairs, slowest, strict=True)
        ]
    return tuple(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the result, on rank 0, to `--out` or standard output as one JSON object."""
    parser = argparse.ArgumentParser(prog="trainer.allreduce", description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--least-gbs", type=float, default=0.0)
    parser.add_argument("--sizes", type=int, nargs="*", default=(), metavar="BYTES")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    given = parser.parse_args(arguments)
    world = join_world(given.device)
    result = run_all_reduce(world, given.sizes, rounds=given.rounds, least_gbs=given.least_gbs)
    if world.is_main:
        text = json.dumps(asdict(result))
        if given.out is None:
            print(text)
        else:
            given.out.write_text(text)
    world.barrier()
    if distributed.is_initialized():
        distributed.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
