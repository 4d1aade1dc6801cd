"""What the programs that start and end machines have in common: the head's own files, its cluster, EC2."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.aws import client
from node.cluster.facts import ClusterFacts, read_facts
from node.cluster.machine import Machine, read_machine
from node.config import read_node_config
from node.layout import utc_now
from node.store import Bucket

FOLDER = "elastic"
"""Folder below the head's state, on the volume that outlives a head."""


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
        with contextlib.suppress(OSError), self.log_file.open("a", encoding="utf-8") as log:
            log.write(f"{utc_now()} [{os.getpid()}] {text}\n")


def state_folder(machine: Machine | None = None) -> Path:
    """Return the folder of what must outlive the programs."""
    return (machine or read_machine()).state / FOLDER


def open_head() -> Head:
    """Return the head that this process runs on. Raises NoClusterError, and what node.aws tells apart."""
    config, machine = read_node_config(), read_machine()
    facts = read_facts(Bucket(client("s3", config.region), config.artifact_bucket))
    folder, logs = state_folder(machine), machine.logs
    user = machine.user("slurm")
    for each in (folder, logs):
        _make(each, user)
    return Head(facts, client("ec2", config.region), folder, _shared(logs / "elastic.log", user))


def _make(folder: Path, user: str) -> None:
    """Make the folder, for slurmctld's user where root is first."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _give(folder, user)


def _shared(file: Path, user: str) -> Path:
    """Return the file, which both root and slurmctld's user write to."""
    if not file.exists():
        with contextlib.suppress(OSError):
            file.touch()
            _give(file, user)
    return file


def _give(path: Path, user: str) -> None:
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError, OSError):
            found = pwd.getpwnam(user)
            os.chown(path, found.pw_uid, found.pw_gid)


def called_at() -> float:
    """Return when this process was started, seconds since the epoch: its own start may take a while."""
    # The 22nd word of the line, counted after the name, which may have spaces: proc(5).
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def unblock_signals() -> None:
    """Let signals through that slurmctld blocks and its programs inherit blocked: SIGTERM among them."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
