"""This machine as the checks look at it, and its node of Slurm."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from node.aws import client, failures
from node.config import NodeConfig
from node.health import expected
from node.health.expected import Expected, health_folder
from node.health.machine import Machine
from node.health.reasons import reason
from node.slurm.tools import SlurmError, update_node
from node.store import Bucket


def this_machine(config: NodeConfig) -> Machine:
    """Return this machine; what it should have is fetched where it is not known yet."""
    accepted = -1.0
    with contextlib.suppress(OSError, ValueError):
        accepted = float(accepted_path(config).read_text())
    return Machine(config.work, _learn(config), emulated=config.root != Path("/"), accepted_xids=accepted)


def _learn(config: NodeConfig) -> Expected:
    known = expected.load(config)
    if known is not None:
        return known
    try:
        return expected.fetch(Bucket(client("s3", config.region), config.artifact_bucket), config)
    except _troubles() as error:
        print(f"what this machine should have could not be fetched: {error}", file=sys.stderr)
        return Expected()


def _troubles() -> tuple[type[Exception], ...]:
    """Return what fetching can meet: a refusal, no network, what is no JSON."""
    return (ValueError, KeyError, TypeError, *failures())


def accepted_path(config: NodeConfig) -> Path:
    """Return the file with the kernel's time until which Xid errors have been looked into."""
    return health_folder(config) / "accepted-xids"


def accept_xids(config: NodeConfig) -> None:
    """Let the Xid errors until now count no more: somebody has reset the GPU, or knows better."""
    path = accepted_path(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{time.clock_gettime(time.CLOCK_MONOTONIC):.6f}\n")


def drain(name: str, prefix: str, why: str) -> bool:
    """Keep further jobs from a node and say why; returns whether Slurm has taken it."""
    try:
        update_node(name, State="DRAIN", Reason=reason(prefix, why))
    except SlurmError as error:
        print(f"{name} could not be drained: {error}", file=sys.stderr)
        return False
    return True
