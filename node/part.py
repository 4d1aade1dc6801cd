"""One node's part of a run: its place among the others, told on the command line, or by Slurm."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

VARIABLE_ADDRESS, VARIABLE_PORT = "FLEETFORM_JOB_ADDRESS", "FLEETFORM_JOB_PORT"
VARIABLE_TURN, VARIABLE_BEFORE = "FLEETFORM_JOB_TURN", "FLEETFORM_JOB_BEFORE"
"""What the batch step of a job tells the parts that it starts, beside what Slurm tells them."""


@dataclass(frozen=True)
class RunPart:
    """What a runner must know to begin."""

    run_id: str
    rank: int
    count: int
    """Nodes of the run."""
    address: str
    """Private address of the node of rank 0."""
    port: int
    """TCP port on it where the processes meet."""
    job_id: int = 0
    """Slurm's job; 0 without Slurm."""
    turn: int | None = None
    """Which execution of the run this is, from 1; None where each of its attempts is one."""
    before: str | None = None
    """Folder of the run directory with the lists of the execution before this; None: the last attempt's."""

    @property
    def under_slurm(self) -> bool:
        """Whether Slurm has started it."""
        return self.job_id > 0


def read_part(arguments: Sequence[str] | None, surroundings: Mapping[str, str] = os.environ) -> RunPart:
    """Return the part that the command line names; what it leaves out, Slurm tells in the environment."""
    parser = argparse.ArgumentParser(prog="node.runner")
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--node-rank", type=int)
    parser.add_argument("--node-count", type=int)
    parser.add_argument("--master-address")
    parser.add_argument("--master-port", type=int)
    told = parser.parse_args(arguments)
    if told.node_rank is not None:
        return RunPart(told.run_id, told.node_rank, told.node_count, told.master_address, told.master_port)
    if "SLURM_JOB_ID" not in surroundings:
        parser.error("without Slurm, --node-rank and the others are needed")
    return RunPart(
        run_id=told.run_id,
        rank=int(surroundings["SLURM_NODEID"]),
        count=int(surroundings["SLURM_NNODES"]),
        address=surroundings[VARIABLE_ADDRESS],
        port=int(surroundings[VARIABLE_PORT]),
        job_id=int(surroundings["SLURM_JOB_ID"]),
        turn=int(surroundings[VARIABLE_TURN]),
        before=surroundings[VARIABLE_BEFORE],
    )
