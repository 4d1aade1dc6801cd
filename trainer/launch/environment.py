"""The environment that a rank sees: torchrun's, and the launcher's own descriptors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from trainer.launch.options import Options
from trainer.launch.policy import DEFAULT_RESTARTS

MEMORY_VARIABLE = "FLEETFORM_MEMORY_FD"
"""Descriptor of memory that outlives a rank: the next one on its place finds what this one left there."""


LAUNCH_VARIABLE = "FLEETFORM_LAUNCH"
"""How often the launcher has been started again for this job, by whoever starts it. The ranks see machine 0's
count, so that all of them know alike whether this is the job's beginning."""


def thread_default(nproc_per_node: int) -> str:
    """Return OMP_NUM_THREADS for ranks where nobody has set it: this process's cores, shared out."""
    return str(max(1, len(os.sched_getaffinity(0)) // nproc_per_node))


def attempt_environment(order: Mapping[str, Any]) -> dict[str, str]:
    """Return what all ranks of the attempt that machine 0 orders see alike."""
    launch = str(order["launch"])
    counted = {LAUNCH_VARIABLE: launch} if launch != os.environ.get(LAUNCH_VARIABLE, "0") else {}
    return {
        "MASTER_PORT": str(int(order["port"])),
        "TORCHELASTIC_RESTART_COUNT": str(int(order["attempt"])),
        **counted,
    }


def rank_environment(options: Options, local_rank: int) -> dict[str, str]:
    """Return what is added to the launcher's own environment for one rank."""
    rank = options.node_rank * options.nproc_per_node + local_rank
    world_size, local_size = str(options.world_size), str(options.nproc_per_node)
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": world_size,
        "LOCAL_WORLD_SIZE": local_size,
        "GROUP_RANK": str(options.node_rank),
        "GROUP_WORLD_SIZE": str(options.nnodes),
        "ROLE_NAME": "default",
        "ROLE_RANK": str(rank),
        "ROLE_WORLD_SIZE": world_size,
        "MASTER_ADDR": options.master_addr,
        "TORCHELASTIC_RUN_ID": options.run_id,
        "TORCHELASTIC_MAX_RESTARTS": str(
            DEFAULT_RESTARTS if options.max_restarts is None else options.max_restarts
        ),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": os.environ.get("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1"),
    }
