"""What a batch step leaves in the run's directory, and finds there of the execution before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from node.aws import client
from node.cause import TAIL_BYTES, cause_of, of_node
from node.config import NodeConfig
from node.layout import (
    BATCH_STATE,
    CANCELLED,
    FINAL_EVENTS,
    REQUEUED,
    attempt_name,
    log_name,
    output_name,
    run_key,
    turn_name,
    utc_now,
)
from node.patience import persist
from node.slurm.verdicts import Ended
from node.store import Bucket

_OF_AN_EXECUTION = ("outputs/", "alive/")
"""What would be taken for the next execution's."""
_STOP = "stop.json"


@dataclass(frozen=True)
class Before:
    """The execution before this one."""

    turn: int
    """Its number; 0 where there was none."""
    folder: str
    """Where its lists of outputs lie now; "" without one."""
    crashes: int


class BatchRecords:
    """The bucket, as one batch step sees it."""

    def __init__(self, config: NodeConfig, run_id: str, job_id: int, attempt: int) -> None:
        self._bucket = Bucket(client("s3", config.region), config.artifact_bucket)
        self._run_id, self._job_id, self._attempt = run_id, job_id, attempt
        self._record: dict[str, Any] = {}
        self.crashes = 0
        """How often the run has crashed before."""

    def begin_again(self) -> Before | Ended:
        """Set aside what the execution before left; return how the run ends where it is over, or was stopped.

        A controller that crashed may have forgotten that a job ended, and start it once more.
        """
        record = self._read(BATCH_STATE) or {}
        turn, attempt = int(record.get("turn", 0)), int(record.get("attempt", 1))
        # Crashes count for one attempt: who resumes a run wants it tried anew.
        crashes = int(record.get("crashes", 0)) if attempt == self._attempt else 0
        self._record = dict(record) | {"started": utc_now()}
        if record.get("job_id") == self._job_id and attempt == self._attempt and record.get("ended"):
            verdict = str(record.get("verdict"))
            if verdict in FINAL_EVENTS:
                return Ended(verdict, str(record.get("cause", "")))
        stop = self._read(_STOP)
        if stop is not None and stop.get("kind", "cancel") == "cancel":
            return Ended(CANCELLED, str(stop.get("reason", "")))
        if turn and attempt == self._attempt:
            self._set_aside(turn)
            folder = turn_name(turn, "")
        else:  # who resumed it has set that aside
            folder = attempt_name(self._attempt - 1, "") if self._attempt > 1 else ""
        if stop is not None:
            persist(lambda: self._bucket.delete(run_key(self._run_id, _STOP)))
        return Before(turn, folder, crashes)

    def _set_aside(self, turn: int) -> None:
        prefix = run_key(self._run_id, "")
        for kind in _OF_AN_EXECUTION:
            for key in persist(lambda: self._bucket.sizes(prefix + kind)):  # noqa: B023 - called at once
                body = persist(lambda: self._bucket.get(key))  # noqa: B023
                if body is None:
                    continue
                there = run_key(self._run_id, turn_name(turn, key.removeprefix(prefix)))
                persist(lambda: self._bucket.put(there, body))  # noqa: B023
                persist(lambda: self._bucket.delete(key))  # noqa: B023

    def begin(self, turn: int, before: Before | None) -> None:
        """Note that this execution has begun."""
        self.crashes = before.crashes if before else 0
        self._write(
            turn=turn, attempt=self._attempt, job_id=self._job_id, crashes=self.crashes, started=utc_now(),
            ended="", verdict="", cause="", requeue=False,
        )  # fmt: skip

    def end(self, ended: Ended) -> None:
        """Note how it ended; the clerk goes by that."""
        self._write(
            job_id=self._job_id,
            attempt=self._attempt,
            crashes=self.crashes + ended.crashed,
            ended=utc_now(),
            verdict=ended.event,
            cause=ended.cause,
            requeue=ended.event == REQUEUED,
        )

    def _write(self, **changes: Any) -> None:
        self._record |= changes
        body = json.dumps(self._record).encode()
        persist(lambda: self._bucket.put(run_key(self._run_id, BATCH_STATE), body))

    def _read(self, name: str) -> dict[str, Any] | None:
        body = persist(lambda: self._bucket.get(run_key(self._run_id, name)))
        found: dict[str, Any] | None = json.loads(body) if body else None
        return found

    def stop_request(self) -> dict[str, Any] | None:
        """Return who asked the run to stop, and why."""
        return self._read(_STOP)

    def stop(self, reason: str, kind: str, grace_seconds: float) -> None:
        """Tell every runner to stop its job, unless somebody did already."""
        body = json.dumps({"reason": reason, "kind": kind, "grace_seconds": grace_seconds}).encode()
        persist(lambda: self._bucket.put_new(run_key(self._run_id, _STOP), body))

    def reports(self, count: int) -> list[dict[str, Any] | None]:
        """Return what the node of each rank said at its end."""
        with ThreadPoolExecutor(max_workers=min(16, count)) as pool:
            return list(pool.map(lambda rank: self._read(output_name(rank)), range(count)))

    def cause(self, rank: int, report: Mapping[str, Any] | None) -> str:
        """Return why the part of that rank failed, in one line."""
        if report is None:
            return f"node {rank}: its runner ended without a word"
        if report.get("error"):
            return f"node {rank}: {report['error']}"
        log = persist(lambda: self._bucket.get_end(run_key(self._run_id, log_name(rank)), TAIL_BYTES))
        return of_node(rank, cause_of((log or b"").decode(errors="replace"), int(report["exit_code"])))
