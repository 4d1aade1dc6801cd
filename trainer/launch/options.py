"""The launcher's command line."""

from __future__ import annotations

import argparse
import math
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trainer.configs.settings import ConfigError

DEFAULT_PORT = 29500
"""torchrun's own."""
DEFAULT_GRACE_SECONDS = 25.0
"""Less than the 30 s that Slurm and a node's runner leave between SIGTERM and SIGKILL."""
MAX_PROCS = 128
ENDPOINT_VARIABLE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""Base URL of the instance metadata service, as botocore reads it."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to launch, and how."""

    target: str
    arguments: tuple[str, ...] = ()
    is_module: bool = False
    nnodes: int = 1
    node_rank: int = 0
    nproc_per_node: int = 1
    master_addr: str = "127.0.0.1"
    master_port: int = DEFAULT_PORT
    run_id: str = "none"
    max_restarts: int | None = None
    """Restarts in a row without progress; None leaves it to the policy."""
    grace: float = DEFAULT_GRACE_SECONDS
    """Seconds between SIGTERM and SIGKILL."""
    hang_seconds: float | None = None
    join_seconds: float = 600.0
    """How long nodes wait for each other."""
    usd_per_hour: float | None = None
    start: Literal["fork", "spawn"] = "fork"
    spot: Literal["auto", "on", "off"] = "auto"
    log_prefix: bool = False

    @property
    def world_size(self) -> int:
        """All ranks of all nodes."""
        return self.nnodes * self.nproc_per_node

    @property
    def watches_spot(self) -> bool:
        """Whether to look for a notice: auto does where $FLEETFORM_SPOT or the endpoint's variable is set."""
        if self.spot == "auto":
            return os.environ.get("FLEETFORM_SPOT") == "1" or ENDPOINT_VARIABLE in os.environ
        return self.spot == "on"


def parse_options(arguments: Sequence[str] | None) -> Options:
    """Return the command line's options; raises ConfigError with every mistake."""
    given = _parser().parse_args(arguments)
    problems: list[str] = []
    nproc = _procs(given.nproc_per_node, problems)
    run_id = (
        given.run_id
        or os.environ.get("FLEETFORM_RUN_ID")
        or ("none" if given.nnodes > 1 else uuid.uuid4().hex)
    )
    cost = given.usd_per_hour
    if cost is None and os.environ.get("FLEETFORM_USD_PER_HOUR"):
        cost = _number(os.environ["FLEETFORM_USD_PER_HOUR"], "FLEETFORM_USD_PER_HOUR", problems)
    _check(given, cost, problems)
    if problems:
        raise ConfigError(problems)
    return Options(
        target=given.target,
        arguments=tuple(given.arguments),
        is_module=given.module,
        nnodes=given.nnodes,
        node_rank=given.node_rank,
        nproc_per_node=nproc,
        master_addr=given.master_addr,
        master_port=given.master_port,
        run_id=run_id,
        max_restarts=given.max_restarts,
        grace=given.grace,
        hang_seconds=None if given.hang_minutes is None else given.hang_minutes * 60,
        join_seconds=given.join_minutes * 60,
        usd_per_hour=cost,
        start=given.start,
        spot=given.spot,
        log_prefix=given.log_prefix,
    )


_MACHINES: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--nnodes",), {"type": int, "default": 1, "help": "machines (1)"}),
    (
        ("--node-rank", "--node_rank"),
        {"type": int, "default": 0, "help": "this machine's number, from 0 (0)"},
    ),
    (
        ("--nproc-per-node", "--nproc_per_node"),
        {"default": "1", "help": "processes on each: a number, gpu, cpu or auto (1)"},
    ),
    (
        ("--master-addr", "--master_addr"),
        {"default": "127.0.0.1", "help": "address of machine 0 (127.0.0.1)"},
    ),
    (
        ("--master-port", "--master_port"),
        {"type": int, "default": DEFAULT_PORT, "help": f"its port ({DEFAULT_PORT})"},
    ),
    (
        ("--run-id", "--rdzv-id"),
        {"default": "", "help": "what a job's machines have in common ($FLEETFORM_RUN_ID)"},
    ),
    (
        ("--join-minutes",),
        {"type": float, "default": 10.0, "help": "how long the machines wait for each other (10)"},
    ),
)
_CONDUCT: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--max-restarts", "--max_restarts"),
        {"type": int, "help": "restarts in a row without progress (10; 3 for errors of the program's own)"},
    ),
    (
        ("--grace",),
        {"type": float, "default": DEFAULT_GRACE_SECONDS, "help": "seconds from SIGTERM to SIGKILL (25)"},
    ),
    (
        ("--hang-minutes",),
        {"type": float, "help": "minutes without a step, or without output, that count as a hang"},
    ),
    (
        ("--usd-per-hour",),
        {"type": float, "help": "what all machines cost, for the ledger ($FLEETFORM_USD_PER_HOUR)"},
    ),
    (
        ("--start",),
        {
            "choices": ["fork", "spawn"],
            "default": "fork",
            "help": "ranks from a warm process, or fresh (fork)",
        },
    ),
    (
        ("--spot",),
        {
            "choices": ["auto", "on", "off"],
            "default": "auto",
            "help": "watch for a spot instance's notice (auto)",
        },
    ),
    (
        ("--log-prefix",),
        {"action": "store_true", "help": "begin each line with [rank N] if there are several"},
    ),
    (
        ("--standalone",),
        {"action": "store_true", "help": "taken for torchrun's sake: one machine needs nothing"},
    ),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m trainer.launch",
        description="Starts a script on every GPU, or core, of one or several machines, and keeps it going.",
        allow_abbrev=False,
    )
    for title, table in (("machines", _MACHINES), ("conduct", _CONDUCT)):
        group = parser.add_argument_group(title)
        for names, how in table:
            group.add_argument(*names, **how)
    parser.add_argument("-m", "--module", action="store_true", help="the target is a module, as in python -m")
    parser.add_argument("target", help="the script, or the module with -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    return parser


def _check(given: argparse.Namespace, cost: float | None, problems: list[str]) -> None:
    """Add every value that is out of its range to the problems."""
    if given.nnodes < 1:
        problems.append(f"--nnodes: {given.nnodes} is not positive")
    elif not 0 <= given.node_rank < given.nnodes:
        problems.append(
            f"--node-rank: {given.node_rank} is not between 0 and --nnodes - 1 = {given.nnodes - 1}"
        )
    if not 0 < given.master_port < 65536:
        problems.append(f"--master-port: {given.master_port} is not between 1 and 65535")
    if given.max_restarts is not None and given.max_restarts < 0:
        problems.append(f"--max-restarts: {given.max_restarts} is negative")
    for name in ("grace", "hang_minutes", "join_minutes"):
        value = getattr(given, name)
        if value is not None and not 0 < value < math.inf:
            problems.append(f"--{name.replace('_', '-')}: {value} is not a positive number")
    if cost is not None and not 0 <= cost < math.inf:
        problems.append(f"--usd-per-hour: {cost} is not zero or more")
    path = Path(given.target)
    if not given.module and not path.is_file() and not (path / "__main__.py").is_file():
        problems.append(f"{given.target}: there is no such script here, in {Path.cwd()}; -m runs a module")


def _number(text: str, name: str, problems: list[str]) -> float | None:
    try:
        return float(text)
    except ValueError:
        problems.append(f"{name}: {text!r} is not a number")
        return None


def _procs(text: str, problems: list[str]) -> int:
    """Return the number of processes; gpu and auto count the GPUs that this machine shows."""
    gpus = num_gpus()
    if text in ("cpu", "auto", "gpu"):
        if text == "gpu" and not gpus:
            problems.append("--nproc-per-node: gpu, but this machine shows no GPU")
        return gpus if text != "cpu" and gpus else len(os.sched_getaffinity(0))
    if not text.isdigit() or not 1 <= int(text) <= MAX_PROCS:
        problems.append(f"--nproc-per-node: {text!r} is not a number from 1 to {MAX_PROCS}, gpu, cpu or auto")
        return 1
    return int(text)


def num_gpus() -> int:
    """Return how many NVIDIA GPUs a process started here would see, without waking one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    present = sum(1 for entry in Path("/dev").iterdir() if re.fullmatch(r"nvidia\d+", entry.name))
    if visible is None:
        return present
    return min(present, sum(1 for name in visible.split(",") if name.strip() not in ("", "-1")))
