"""What the programs that start and end machines have in common: the head's own files, its cluster, EC2."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.aws import aws_errors, client
from node.cluster.facts import VERSION, ClusterFacts, NoClusterError, parse_facts, read_facts
from node.cluster.machine import Machine, read_machine
from node.cluster.service import make_file, make_folder
from node.config import read_node_config
from node.layout import utc_now
from node.store import Bucket

FOLDER = "elastic"
"""Folder below the head's state, on the volume that outlives a head."""
_LOG, _KEPT_FACTS = "elastic.log", "cluster.json"


@dataclass(frozen=True)
class Head:
    """The head of an environment as far as starting and ending machines is concerned."""

    facts: ClusterFacts
    ec2: Any
    state: Path
    """What must outlive the programs, and the head."""
    log_file: Path

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.facts.environment

    def log(self, text: str) -> None:
        """Write a line to the log; slurmctld leaves its programs no standard error."""
        _write(self.log_file, text)


def state_folder(machine: Machine | None = None) -> Path:
    """Return the folder of what must outlive the programs."""
    return (machine or read_machine()).state / FOLDER


def open_head() -> Head:
    """Return the head that this process runs on, by the last facts that could be read of its cluster.

    Raises NoClusterError, and what node.aws tells apart, where none ever could.
    """
    config, machine = read_node_config(), read_machine()
    folder, logs = state_folder(machine), machine.logs
    user = machine.user("slurm")
    # slurmctld's start makes them; the keeper of a head that is being made may come first.
    for each in (folder, logs):
        if not each.is_dir():
            make_folder(each, user, 0o755)
    log = logs / _LOG
    if not log.exists():
        with contextlib.suppress(OSError):
            make_file(log, user)
    facts = _facts(Bucket(client("s3", config.region), config.artifact_bucket), folder / _KEPT_FACTS, log)
    return Head(facts, client("ec2", config.region), folder, log)


def _facts(bucket: Bucket, kept: Path, log: Path) -> ClusterFacts:
    """Read what the cluster is, and keep it for when nobody answers: machines cost all the same."""
    known = kept.read_text() if kept.exists() else ""
    try:
        facts = read_facts(bucket)
    except _unreadable() as error:
        if not known:
            raise
        _write(log, f"the cluster is taken for what it was: {type(error).__name__}: {error}")
        return parse_facts(json.loads(known))
    text = json.dumps({"version": VERSION, **asdict(facts)})
    if text != known:
        with contextlib.suppress(OSError):
            write_whole(kept, text)
    return facts


def _unreadable() -> tuple[type[Exception], ...]:
    return (NoClusterError, OSError, ValueError, *aws_errors())


def write_whole(file: Path, text: str) -> None:
    """Replace the file in one step that outlives a loss of power."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    part.replace(file)


def told_of(main: Callable[[], int]) -> int:
    """Return what one of Slurm's programs returns; what it fails with is logged, where somebody finds it."""
    try:
        return main()
    except Exception as error:  # slurmctld leaves its programs no standard error
        _write(read_machine().logs / _LOG, f"{type(error).__name__}: {error}")
        return 1


def _write(log: Path, text: str) -> None:
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as lines:
        lines.write(f"{utc_now()} [{os.getpid()}] {text}\n")


def called_at() -> float:
    """Return when this process was started, seconds since the epoch: its own start may take a while."""
    # The 22nd word of the line, counted after the name, which may have spaces: proc(5).
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def unblock_signals() -> None:
    """Let signals through that slurmctld blocks and its programs inherit blocked: SIGTERM among them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
