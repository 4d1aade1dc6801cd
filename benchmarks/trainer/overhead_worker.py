"""One process of C1: every contestant's steps in blocks, in an order drawn anew, timed one by one."""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
from torch import distributed

from benchmarks.trainer import loops
from benchmarks.trainer.hand_gpt import TINY
from benchmarks.trainer.results import interleaved

BLOCK = 25
"""Steps of one contestant before the next one's turn; the first few are not timed."""
WARM = 5


def main() -> None:
    """Measure and print, on rank 0, the seconds of every step by contestant as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    options = parser.parse_args()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    if world > 1:
        distributed.init_process_group("gloo")
    steps = options.rounds * (BLOCK + WARM)
    contestants = {
        "ours": loops.ours(TINY, options.batch, rank, steps + 1),
        "bare": loops.bare(TINY, options.batch, rank, world),
        "bare again": loops.bare(TINY, options.batch, rank, world),
        "Accelerate": loops.accelerate(TINY, options.batch, rank),
        "Fabric": loops.fabric(TINY, options.batch, rank, world),
    }
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    for name in interleaved(list(contestants), options.rounds, seed=1):
        step = contestants[name]
        for _ in range(WARM):
            step()
        for _ in range(BLOCK):
            used, begin = time.process_time(), time.perf_counter()
            step()
            processor[name].append(time.process_time() - used)
            wall[name].append(time.perf_counter() - begin)
    if rank == 0:
        print(json.dumps({"processor": processor, "wall": wall}), flush=True)
    if world > 1:
        distributed.barrier()
    os._exit(0)


if __name__ == "__main__":
    main()
