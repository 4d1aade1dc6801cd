"""Runs one node's part of a run: fetches it, starts launch.sh, streams the run directory back.

`python -m node.runner --run-id ID --node-rank R --node-count N --master-address A --master-port P`; under
Slurm the run's id is enough. Exit code: that of launch.sh; 70 where it could not start, 74 where its outputs
could not be brought home.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from node.alive import STOPPING, UPLOADING, Heart
from node.aws import aws_errors, client, failures
from node.cause import OUR_WORD
from node.config import NodeConfig, read_node_config
from node.inputs import InputError, Inputs, WrongInputError, fetch_inputs
from node.job_environment import job_environment
from node.layout import log_name, output_name, run_key, utc_now
from node.metadata.borrow import await_role, borrow
from node.once import carry_out_once
from node.part import RunPart, read_part
from node.patience import persist
from node.process import JobProcess
from node.relaunch import Relaunches
from node.restore import mark_home, prepare_run_dir, restore
from node.scratch import make_scratch, remove_scratch
from node.slurm.surroundings import boot_report, has_lost_a_node, health_seconds, refusal
from node.store import Bucket
from node.sync import FolderSync

EXIT_NOT_STARTED, EXIT_NOT_SAVED = 70, 74  # EX_SOFTWARE and EX_IOERR of sysexits.h
_TICK = 0.25
_STOP_EVERY = 2.0
"""Seconds between two looks for `stop.json`."""
_GRACE_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0
"""How long the last uploads are tried again where the bucket refuses them."""
_HURRIED_GRACE_SECONDS, _HURRIED_PATIENCE_SECONDS = 2.0, 5.0
"""The same where a machine of the run has died, and its processes can do no step without it."""
_CHECKPOINT_SECONDS = 60.0
"""For how long after its manifest a checkpoint is left to the trainer, which sends its own."""
_NICE = 5
"""The runner steps behind the job on a busy machine."""


class Runner:
    """One node's part of one run."""

    def __init__(self, config: NodeConfig, part: RunPart) -> None:
        self._config, self._part = config, part
        self._run_id, self._rank = part.run_id, part.rank
        self._bucket = Bucket(client("s3", config.region), config.artifact_bucket)
        self._run_dir = config.run_dir(self._run_id)
        self._heart = Heart(self._bucket, self._run_id, self._rank)
        self._wake = threading.Event()
        self._signalled = self._hurried = False
        self._kill_at: float | None = None
        """time.monotonic() from which on the job is killed; None while nobody has asked it to stop."""
        self._report: dict[str, Any] = {
            "rank": self._rank,
            "exit_code": EXIT_NOT_STARTED,
            "started": utc_now(),
        }

    @property
    def _patience(self) -> float:
        """For how long the last uploads are tried again."""
        return _HURRIED_PATIENCE_SECONDS if self._hurried else _PATIENCE_SECONDS

    def run(self) -> int:
        """Do all of it and return the exit code."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        if self._part.under_slurm and (refused := refusal(self._config, self._part.job_id)):
            return self._give_up(refused, final=True)
        try:
            inputs = fetch_inputs(self._bucket, self._config, self._run_id)
            turn = self._part.turn or int(inputs.run.get("attempt", 1))
            newer_here = prepare_run_dir(self._config, self._run_id, self._rank, turn)
        except InputError as error:
            return self._give_up(str(error), final=isinstance(error, WrongInputError))
        except failures() as error:
            return self._give_up(f"fetching the run failed: {error}")
        log = self._run_dir / log_name(self._rank)
        log.parent.mkdir(parents=True, exist_ok=True)
        sync = FolderSync(self._bucket, self._run_id, self._run_dir, self._rank, _CHECKPOINT_SECONDS)
        environment = job_environment(self._config, self._part, inputs)
        environment["FLEETFORM_SCRATCH_DIR"] = str(make_scratch(self._config, self._run_id))
        # A refusal, a full disk, a file that is not what was sent.
        troubles: tuple[type[Exception], ...] = (ValueError, *failures())
        try:
            self._report["restored"] = restore(
                self._bucket, inputs.run, self._run_dir, self._rank, sync,
                newer_here=newer_here, before=self._part.before,
            )  # fmt: skip
        except troubles as error:
            return self._give_up(f"the run's directory could not be brought back: {error}")
        code = self._carry_out(turn - 1, inputs, environment, log, sync)
        remove_scratch(self._config, self._run_id)
        self._say_left_out(sync, log)
        self._let_go(inputs)
        return self._save(sync, code)

    def _carry_out(
        self, before: int, inputs: Inputs, environment: Mapping[str, str], log: Path, sync: FolderSync
    ) -> int:
        """Run the job while its directory is streamed, again where its launcher was killed; its exit code."""
        relaunches = Relaunches(self._run_dir)
        self._report["launched"] = utc_now()
        if self._part.under_slurm:
            self._report["boot"] = boot_report(self._config)
            self._report["health_seconds"] = health_seconds(self._config, self._part.job_id)
        while True:
            variables = {**environment, "FLEETFORM_LAUNCH": str(before + relaunches.total)}
            # Started while no other thread runs: see JobProcess.
            job = JobProcess(["bash", str(inputs.script)], variables, inputs.code_dir, log, self._wake.set)
            if relaunches.total == 0:
                os.nice(_NICE)
            over = threading.Event()
            streaming = sync.keep_up(over)
            code = self._accompany(job)
            again = self._kill_at is None and relaunches.allows(killed=job.killed)
            if not again:
                self._heart.say(UPLOADING)
            over.set()
            job.kill_all()
            streaming.join()
            if not again:
                break
            with log.open("a") as file:
                file.write(f"{OUR_WORD}the launcher was killed; starting it again ({relaunches.total})\n")
        self._report["relaunches"] = relaunches.total
        return code

    def _say_left_out(self, sync: FolderSync, log: Path) -> None:
        """Report what stays on this node; the log warns of what somebody would miss."""
        found = sync.left_out()
        self._report["left_out"] = [dataclasses.asdict(each) for each in found]
        missed = [each for each in found if each.data]
        if missed:
            with log.open("a") as file:
                file.writelines(f"{OUR_WORD}{each.path} is not uploaded: {each.why}\n" for each in missed)

    def _let_go(self, inputs: Inputs) -> None:
        """Report what lies on the run's own file system, and unmount it."""
        try:
            listing = inputs.attached.listing()
        except OSError as error:
            print(f"the results on the run's file system can't be listed: {error}", file=sys.stderr)
            listing = None
        if listing is not None:
            self._report["fsx"] = listing
        inputs.attached.detach()

    def _accompany(self, job: JobProcess) -> int:
        """Wait until the job has ended and return its exit code; pass a stop on to it, first kindly."""
        looked_at = time.monotonic()
        while (code := job.exit_code) is None:
            self._wake.wait(_TICK)
            self._wake.clear()
            told = self._signalled and self._kill_at is None
            if told or time.monotonic() - looked_at >= _STOP_EVERY:
                looked_at = time.monotonic()
                self._look(job)
            if self._kill_at is not None and time.monotonic() > self._kill_at:
                job.kill_all()
        return code

    def _look(self, job: JobProcess) -> None:
        """Pass a stop on; of a signal, see again whether there is reason to hurry.

        srun tells of a machine that is gone before Slurm itself calls it down.
        """
        if self._kill_at is not None and (self._hurried or not self._signalled):
            return
        if (grace := self._stop_requested()) is None:
            return
        until = time.monotonic() + grace
        if self._kill_at is None:
            self._report["stopped"] = "signal" if self._signalled else "request"
            self._heart.say(STOPPING)
            job.terminate()
        self._kill_at = until if self._kill_at is None else min(until, self._kill_at)

    def _stop_requested(self) -> float | None:
        """Return the seconds that the job gets to end by itself, or None while nobody has asked it to."""
        if self._signalled:
            if self._part.under_slurm and has_lost_a_node():
                # Slurm gives the nodes that are left to the run's next execution once all here has ended.
                self._hurried = True
                return _HURRIED_GRACE_SECONDS
            return _GRACE_SECONDS
        try:
            request = self._bucket.get(run_key(self._run_id, "stop.json"))
        except aws_errors():  # the next look is a second away
            return None
        return None if request is None else float(json.loads(request).get("grace_seconds", _GRACE_SECONDS))

    def _save(self, sync: FolderSync, code: int) -> int:
        """Bring the rest home; the list of what lies in the bucket comes last."""
        self._report.update(exit_code=code, ended=utc_now())
        try:
            self._report["files"] = sync.finish(self._patience)
            persist(self._write_report, self._patience)
            if not any(each["data"] for each in self._report["left_out"]):
                mark_home(self._config, self._run_id)
        except failures() as error:
            print(f"the outputs could not be uploaded and lie in {self._run_dir}: {error}", file=sys.stderr)
            return code or EXIT_NOT_SAVED
        return code

    def _give_up(self, error: str, *, final: bool = False) -> int:
        """Report why the job could not start; `final`: another start would be no better."""
        print(error, file=sys.stderr)
        self._report.update(error=error, ended=utc_now(), files=[], final=final)
        persist(self._write_report, _PATIENCE_SECONDS)
        return EXIT_NOT_STARTED

    def _write_report(self) -> None:
        key = run_key(self._run_id, output_name(self._rank))
        self._bucket.put(key, json.dumps(self._report).encode())

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        self._wake.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the part that the command line names."""
    part = read_part(arguments)
    if part.under_slurm:
        borrow(part.run_id, part.job_id)
        await_role()
        return Runner(read_node_config(), part).run()
    config = read_node_config()
    return carry_out_once(config, part.run_id, part.rank, Runner(config, part).run, EXIT_NOT_STARTED)


if __name__ == "__main__":
    sys.exit(main())
