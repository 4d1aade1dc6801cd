"""What the launcher says of a job: lines on standard error, and events in the run directory's ledger."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer.launch.causes import EXIT_STOPPED, Death, exit_status, signal_name
from trainer.launch.options import Options
from trainer.numbers import goodput
from trainer.numbers.closing import closing_lines
from trainer.numbers.goodput_ledger import LEDGER, write_ledger

WORD = "launcher: "
"""What each line of the launcher on standard error begins with."""


def say(text: str) -> None:
    """Write one line to standard error, whole."""
    with contextlib.suppress(OSError):  # whoever read it is gone
        sys.stderr.write(f"{WORD}{text}\n")
        sys.stderr.flush()


class Report:
    """The record of a job, written by machine 0's launcher alone; without a run directory only its lines."""

    def __init__(self, options: Options) -> None:
        folder = os.environ.get("FLEETFORM_RUN_DIR")
        self._run_dir = Path(folder) if folder and options.node_rank == 0 else None
        if self._run_dir is not None:
            self._run_dir.mkdir(parents=True, exist_ok=True)
        self._log = goodput.GoodputLog(self._run_dir / goodput.FILE if self._run_dir else None)
        self._options = options
        self._log.event(
            "job_started",
            nodes=options.nnodes,
            procs=options.nproc_per_node,
            usd_per_hour=options.usd_per_hour,
        )

    def attempt_started(self, number: int) -> None:
        """An attempt begins."""
        options = self._options
        self._log.event("attempt_started", attempt=number, nodes=options.nnodes, procs=options.nproc_per_node)

    def printed(self) -> None:
        """A rank has printed the first line of an attempt."""
        self._log.event("first_output")

    def attempt_ended(self, number: int, deaths: Sequence[Death], cause: str) -> None:
        """An attempt has ended, well or not."""
        for death in deaths:
            self._log.event(
                "rank_ended",
                time_s=time.time() - death.seconds_ago,
                rank=death.rank,
                code=exit_status(death.code),
                signal=signal_name(-death.code) if death.code < 0 else None,
                cause=death.describe() if death.failed else None,
                step=death.step,
            )
        self._log.event("attempt_ended", attempt=number, cause=cause)

    def job_ended(self, code: int, cause: str) -> None:
        """The job is over; the ledger is reckoned up."""
        self._log.event("job_ended", code=code, cause=cause)
        if self._run_dir is not None:
            try:
                ledger = write_ledger(self._run_dir, self._options.usd_per_hour)
            except OSError as error:  # the disk is full: the job has ended as it has
                say(f"{LEDGER} cannot be written: {error}")
                return
            if ledger is not None and code in (0, EXIT_STOPPED):
                print("\n".join(closing_lines(self._run_dir, ledger)), flush=True)
