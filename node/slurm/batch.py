"""The batch step of every run under Slurm, on its first node: starts the runners, and says how they ended.

`python -m node.slurm.batch NUMBER...` (see `Terms`); the run is the job's name. Exit code 0 for a run that
succeeded, 75 for one that Slurm is to start again, else 1. What it says lies in `batch.json` of the run.
Where the bucket or Slurm's controller stays away for minutes it says nothing, and the run is started again.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import FrameType
from typing import IO, Any

from node.aws import aws_errors
from node.cluster.machine import program
from node.config import NodeConfig, read_node_config
from node.layout import REQUEUED
from node.metadata.borrow import borrow
from node.part import VARIABLE_ADDRESS, VARIABLE_BEFORE, VARIABLE_PORT, VARIABLE_TURN
from node.slurm import tools
from node.slurm.surroundings import has_lost_a_node, is_taken_back
from node.slurm.verdicts import EXIT_REQUEUE, LOST, Ended, judge

_TICK = 0.2
_LOOK_SECONDS = 2.0
"""Between two looks at the job's machines: all jobs of a fleet that is taken away look at once."""
_PATIENCE_SECONDS, _AGAIN_SECONDS = 300.0, 2.0
"""How long a controller is asked that does not answer: a head is replaced in minutes."""
_STOP_SECONDS = 5.0
"""Slurm refuses signals to a job that it is ending already, and scancel goes on asking."""
_PORTS_FROM, _PORTS = 20000, 10000
"""Where the processes of a run meet: below Linux's ephemeral ports, another for each of neighbouring jobs."""
_TASK_ENDED = re.compile(r"^srun: error: \S+: tasks? [\d,-]+: ")
"""What srun says at once of a task that failed, however it ended."""
_TIMEOUT_GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Terms:
    """What the clerk gives the batch script and has checked: numbers, and an image where there is one."""

    attempt: int
    turns_before: int
    """How often the run was executed before this job was submitted, as far as is known."""
    crashes: int
    """How many crashes it may have, or stops that nobody asked for."""
    limit_seconds: float
    image: str = ""

    def arguments(self) -> list[str]:
        """Return them as the script's arguments."""
        return [str(value) for value in asdict(self).values() if value != ""]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Terms:
        """Read them back."""
        attempt, turns, crashes, limit, *image = arguments
        return cls(int(attempt), int(turns), int(crashes), float(limit), *image)


class Batch:
    """One execution of a run."""

    def __init__(self, config: NodeConfig, terms: Terms) -> None:
        self._config, self._terms = config, terms
        index = os.environ.get("SLURM_ARRAY_TASK_ID")
        self._run_id = os.environ["SLURM_JOB_NAME"] + (f"-a{index}" if index else "")
        self._job_id = int(os.environ["SLURM_JOB_ID"])
        self._count = int(os.environ["SLURM_NNODES"])
        borrow(self._run_id, self._job_id)
        restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        self._is_first = restarts + terms.turns_before == 0
        self._taken_away = self._lost = False
        self._look_at = 0.0
        self._one_failed = threading.Event()

    def run(self) -> int:
        """Do all of it and return the exit code."""
        signal.signal(signal.SIGTERM, self._on_signal)
        before = None if self._is_first else self._records().begin_again()
        if isinstance(before, Ended):
            return self._close(before)
        turn = before.turn + 1 if before else 1
        runners = self._start(turn, before.folder if before else "")
        self._records().begin(turn, before)
        code = self._accompany(runners)
        print(f"the runners ended with exit code {code}", file=sys.stderr)
        return self._close(self._judge())

    def _records(self) -> Any:
        """Return what talks to the bucket; it is loaded late, beside the runners' start."""
        from node.slurm.batch_records import BatchRecords

        if not hasattr(self, "_lasting"):
            self._lasting = BatchRecords(self._config, self._run_id, self._job_id, self._terms.attempt)
        return self._lasting

    def _start(self, turn: int, before: str) -> subprocess.Popen[str]:
        """Start a runner on every node."""
        image = ["--container-image", self._terms.image] if self._terms.image else []
        counts = [f"--nodes={self._count}", f"--ntasks={self._count}", "--ntasks-per-node=1"]
        # A runner that fails must not take the others' time to bring their outputs home.
        manners = ["--kill-on-bad-exit=0", "--wait=0", "--export=ALL", "--mpi=none"]
        runner = [program("fleetform-node"), "runner", "--run-id", self._run_id]
        told = {
            VARIABLE_ADDRESS: _own_address(),
            VARIABLE_PORT: str(_PORTS_FROM + self._job_id % _PORTS),
            VARIABLE_TURN: str(turn),
            VARIABLE_BEFORE: before,
        }
        process = subprocess.Popen(
            ["srun", *counts, *manners, *image, *runner],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **told},
        )  # fmt: skip
        assert process.stderr is not None
        threading.Thread(target=self._listen, args=(process.stderr,), daemon=True).start()
        return process

    def _listen(self, errors: IO[str]) -> None:
        """Hear at once that a runner has failed."""
        for line in errors:
            print(line, end="", file=sys.stderr, flush=True)
            if _TASK_ENDED.match(line):
                self._one_failed.set()

    def _accompany(self, runners: subprocess.Popen[str]) -> int:
        """Wait for the runners; stop them all where one failed, or the time is over."""
        deadline = time.monotonic() + self._terms.limit_seconds
        told_to_stop = out_of_time = False
        while not (self._taken_away and self._looks_lost()):
            # Short while there is something to hear; a runner that fails is heard within a tick.
            with contextlib.suppress(subprocess.TimeoutExpired):
                return runners.wait(_TICK)
            if self._one_failed.is_set() and not told_to_stop and not self._taken_away:
                told_to_stop = True
                threading.Thread(target=self._stop_runners, daemon=True).start()
            if not out_of_time and time.monotonic() > deadline:
                out_of_time = True
                minutes = f"{self._terms.limit_seconds / 60:g}"
                reason = f"it ran longer than its limit of {minutes} minutes"
                self._records().stop(reason, "timeout", _TIMEOUT_GRACE_SECONDS)
        # srun would wait for a machine that is gone, and the run's next execution for this one's end.
        self._lost = True
        return 1

    def _looks_lost(self) -> bool:
        """Return whether a machine of the job is gone, as far as this look tells; most of them ask nobody."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _LOOK_SECONDS
        return has_lost_a_node()

    def _stop_runners(self) -> None:
        """Have every runner that is left stop its job, and bring its outputs home.

        Nobody else does: without the part that failed they would wait for each other until the time limit.
        """
        order = ["--signal=TERM", str(self._job_id)]
        while not self._taken_away:
            try:  # the job and not its step: for that scancel would look nodes up in the DNS by itself
                tools.run("scancel", order, timeout_s=_STOP_SECONDS)
                return
            except tools.SlurmError as error:
                print(f"the other runners could not be told to stop, trying again: {error}", file=sys.stderr)
                time.sleep(_AGAIN_SECONDS)

    def _judge(self) -> Ended:
        if self._lost:
            return Ended(REQUEUED, LOST)
        records = self._records()
        reports = records.reports(self._count)
        failed = any(report is None or report["exit_code"] != 0 for report in reports)
        return judge(
            reports,
            records.stop_request() if failed or any(report.get("stopped") for report in reports) else None,
            lost=failed and (self._taken_away or has_lost_a_node()),
            interrupted=is_taken_back,
            crashes_left=self._terms.crashes - records.crashes,
            cause=records.cause,
        )

    def _close(self, ended: Ended) -> int:
        self._records().end(ended)
        print(f"{ended.event} {ended.cause}".rstrip(), file=sys.stderr)
        return ended.exit_code

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Note that Slurm ends the job; the runners hear it, too."""
        self._taken_away = True


def _own_address() -> str:
    """Return the address of this node, which has rank 0. Raises SlurmError where nobody tells for minutes."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            (node,) = tools.nodes(os.environ["SLURMD_NODENAME"])
            return node.address
        except tools.SlurmError as error:
            if time.monotonic() > deadline:
                raise
            print(f"Slurm does not answer, trying again: {error}", file=sys.stderr)
            time.sleep(_AGAIN_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the execution that Slurm has started."""
    config = read_node_config()
    log = config.work / "jobs" / f"{os.environ['SLURM_JOB_ID']}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:  # Slurm's own output file would be a path of the head's
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        return Batch(config, Terms.parse(sys.argv[1:] if arguments is None else arguments)).run()
    except Exception as error:
        if not isinstance(error, (tools.SlurmError, *aws_errors())):
            raise
        # It is nothing that the run has done: Slurm knows this exit code, and starts it again.
        print(f"the execution can't go on: {error}", file=sys.stderr, flush=True)
        return EXIT_REQUEUE


if __name__ == "__main__":
    sys.exit(main())
