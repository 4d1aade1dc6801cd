"""One process of C2: the seconds of each step of one loop over its part of a global batch."""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
from torch import distributed

from benchmarks.trainer import loops
from benchmarks.trainer.hand_gpt import HEAVY


def main() -> None:
    """Do the steps and print, on rank 0, their seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=("bare", "ours"), required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--global-batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(options.threads)
    if world > 1:
        distributed.init_process_group("gloo")
    batch = options.global_batch // world
    if options.loop == "bare":
        step = loops.bare(HEAVY, batch, rank, world)
    else:
        step = loops.ours(HEAVY, batch, rank, options.steps + 3)
    seconds = []
    for _ in range(options.steps + 2):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    if rank == 0:
        print(json.dumps({"seconds": seconds[2:]}), flush=True)
    if world > 1:
        distributed.barrier()
    os._exit(0)


if __name__ == "__main__":
    main()
