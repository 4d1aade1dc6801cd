"""The clerk without daemons: its own parts, before a bucket in memory and a Slurm whose answers a test sets.

Each look is taken by hand, and done when `look` returns; the only thing played is the door to Slurm's
programs (`node/slurm/tools.py`) and the one to S3.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from node.config import NodeConfig
from node.instances import Instance
from node.layout import run_key
from node.slurm import office as offices
from node.slurm import rounds, tools
from node.slurm.book import Book, Entry
from node.slurm.intake import Intake
from node.slurm.office import Office
from node.slurm.orders import Orders
from node.slurm.rounds import Rounds
from node.slurm.submitter import Submitter
from node.slurm.tools import JobState, SlurmError
from node.store import Stored
from tests.test_slurm_requests import RUN, facts

AWAY = SlurmError("scontrol", 1, "scontrol: error: Unable to contact slurm controller (connect failure)")
REFUSED = SlurmError("sbatch", 1, "sbatch: error: Invalid partition name specified")
A_JOB = JobState(
    job_id=7, array_job_id=7, array_index=None, name="", state="PENDING", reason="Priority", nodes=2,
    node_names="", priority=5, submitted=None, started=None, ended=None, limit_minutes=90, partition="gpu",
    account="red", user="ff-red",
)  # fmt: skip


class MemoryBucket:
    """What the clerk uses of `node.store.Bucket`, in memory."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.bodies.get(key)

    def read(self, key: str) -> Stored | None:
        body = self.bodies.get(key)
        return None if body is None else Stored(body, body.hex())

    def get_end(self, key: str, count: int) -> bytes | None:
        return self.bodies.get(key, b"")[-count:] or None

    def put(self, key: str, body: bytes) -> str:
        self.bodies[key] = body
        return body.hex()

    def put_new(self, key: str, body: bytes) -> str | None:
        return None if key in self.bodies else self.put(key, body)

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        return self.put(key, body) if self.bodies.get(key, b"").hex() == etag else None


class AtOnce(Executor):
    """Does what it is given before it answers."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@dataclass
class ByHand:
    """The clerk's parts, and what stands around them."""

    office: Office
    bucket: MemoryBucket
    orders: Orders
    intake: Intake
    rounds: Rounds
    calls: list[list[str]]
    """Slurm's programs that were called, with their arguments."""
    jobs: list[JobState]
    """What Slurm knows."""
    answers: dict[str, SlurmError | str]
    """What each program prints, or fails with; a program of none prints nothing."""
    machines: dict[str, Instance]
    """What EC2 knows, by Slurm's names."""

    def write(self, run_id: str, **changes: Any) -> None:
        """Write a run.json, and those of an array's tasks."""
        run = {**RUN, "run_id": run_id, **changes}
        self.bucket.put(run_key(run_id, "run.json"), json.dumps(run).encode())

    def accept(self, run_id: str, job_id: int, **changes: Any) -> Entry:
        """Have a run accepted that Slurm takes as that job."""
        self.write(run_id, **changes)
        self.answers["sbatch"] = str(job_id)
        assert self.intake.accept(run_id, "red") == (True, f"job {job_id}")
        entry = self.office.book.get(run_id)
        assert entry is not None
        return entry

    def knows(self, run_id: str, job_id: int, index: int | None = None, **changes: Any) -> JobState:
        """Have Slurm know a job."""
        job = replace(
            A_JOB, job_id=job_id, array_job_id=job_id, name=run_id, array_index=index, **changes
        )  # fmt: skip
        self.jobs.append(job)
        return job

    def look(self, times: int = 1) -> None:
        """Take so many looks."""
        for _ in range(times):
            self.rounds.go()

    def names(self, run_id: str) -> list[str]:
        """Return the names of a run's events."""
        told = self.bucket.get(run_key(run_id, "events.jsonl")) or b""
        return [json.loads(line)["event"] for line in told.splitlines()]

    def cause(self, run_id: str) -> str:
        """Return what its last event says."""
        told = self.bucket.get(run_key(run_id, "events.jsonl")) or b""
        detail: Mapping[str, Any] = json.loads(told.splitlines()[-1])["detail"]
        return str(detail.get("cause") or detail.get("reason") or "")

    def called(self, *beginning: str) -> list[list[str]]:
        """Return the calls that begin so."""
        return [call for call in self.calls if call[: len(beginning)] == list(beginning)]


def clerk_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ByHand:
    """Return a clerk whose book lies in the folder."""
    monkeypatch.setenv("FLEETFORM_ROOT", str(folder))
    monkeypatch.setenv("FLEETFORM_RUN", str(folder / "run"))
    bucket = MemoryBucket()
    calls: list[list[str]] = []
    jobs: list[JobState] = []
    answers: dict[str, SlurmError | str] = {}

    def run(program: str, arguments: list[str], **options: Any) -> str:
        calls.append([program, *arguments])
        answer = answers.get(program, "")
        if isinstance(answer, SlurmError):
            raise answer
        return answer

    monkeypatch.setattr(tools, "run", run)
    monkeypatch.setattr(tools, "jobs", lambda: list(jobs))
    monkeypatch.setattr(tools, "nodes", lambda names="": [])
    monkeypatch.setattr(rounds, "held_back", dict)
    monkeypatch.setattr(offices, "client", lambda service, region: None)
    monkeypatch.setattr(offices, "Bucket", lambda s3, name: bucket)
    monkeypatch.setattr(offices, "read_facts", lambda bucket: facts())
    machines = {f"gpu-{n}": Instance(f"i-{n}", f"10.0.0.{n}", "g5.12xlarge") for n in (1, 2)}
    monkeypatch.setattr(offices, "named_nodes", lambda ec2, name: dict(machines))
    office = Office(NodeConfig("lab", "us-east-1", "b", "b", "head", "", "", "", "python", folder, "slurm"))
    submitter, orders = Submitter(office), Orders(office)
    monkeypatch.setattr(submitter, "may_try", lambda entry: True)
    intake = Intake(office, submitter, AtOnce())
    return ByHand(
        office, bucket, orders, intake, Rounds(office, submitter, orders, intake, AtOnce()),
        calls, jobs, answers, machines,
    )  # fmt: skip


def book_of(folder: Path) -> Book:
    """Return the book that a clerk in that folder would find."""
    return Book(folder / "var" / "spool" / "fleetform" / "clerk")
