"""Watches the nodes of a running gang until the last has ended, and stops them all when one cause says so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from node import commands
from node.alive import SILENCE_SECONDS, Listener
from node.cause import TAIL_BYTES, cause_of, of_node
from node.commands import Invocation
from node.instances import Instance, gone
from node.layout import (
    CANCELLED,
    EXIT_PREEMPTED,
    FAILED,
    PREEMPTED,
    SUCCEEDED,
    TIMED_OUT,
    epoch_seconds,
    log_name,
    output_name,
    run_key,
)
from node.patience import persist
from node.store import Bucket

GRACE_SECONDS = 30.0
"""What a stopped job gets between SIGTERM and SIGKILL, to finish its step and write a checkpoint."""
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 1.5
_DELAY_PER_NODE = 0.1
"""Every look asks Systems Manager once per node, which it answers some ten times a second."""
_MACHINES_EVERY = 4.0
"""Seconds between two looks at whether the machines are still there."""
UPLOAD_SECONDS = 3600.0
"""What runners get for their last uploads, as long as they show that they live (node/alive.py)."""
_PRESS_SECONDS = 60.0
"""How long Systems Manager has to end a runner that does not stop."""


@dataclass(frozen=True)
class Verdict:
    """How a run ended, as its final event says it."""

    event: str
    cause: str = ""
    """One line; "" for a success."""


@dataclass
class Part:
    """One node's part of a run."""

    rank: int
    node: Instance
    command_id: str
    seen: Invocation = field(default_factory=lambda: Invocation("Pending", None, ""))
    pressed_at: float | None = None
    """time.monotonic() of when Systems Manager was asked to end it by force; None while it was not."""
    lost: str = ""
    """Why nothing more will be heard of it; "" while that is not so."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return bool(self.lost) or self.seen.ended

    @property
    def failed(self) -> bool:
        """Whether it ended in any way but success."""
        return bool(self.lost) or (self.seen.ended and self.seen.status != "Success")

    @property
    def preempted(self) -> bool:
        """Whether its job was told to stop from outside, and has saved."""
        return not self.lost and self.seen.ended and self.seen.exit_code == EXIT_PREEMPTED


class Watch:
    """One gang being watched; `until_end` is the only thing to call."""

    def __init__(
        self,
        ssm: Any,
        ec2: Callable[[], Any],
        bucket: Bucket,
        run_id: str,
        parts: Sequence[Part],
        max_seconds: float,
        on_started: Callable[[], None],
        idle: Callable[[], str] = lambda: "",
    ) -> None:
        """Watch `parts` for `max_seconds` at most; `on_started` is called once, when every node has begun.

        `idle` says why the run is to be stopped for making no progress, "" as long as it is not.
        """
        self._ssm, self._ec2, self._bucket, self._run_id = ssm, ec2, bucket, run_id
        self._parts = list(parts)
        self._max_seconds = max_seconds
        self._on_started = on_started
        self._idle = idle
        self._begin = time.monotonic()
        self._announced = False
        self._verdict: Verdict | None = None
        self._stopped_at: float | None = None
        self._listener = Listener(bucket, run_id)
        self._machines_at = self._begin
        self._longest_delay = max(_LONGEST_DELAY, _DELAY_PER_NODE * len(self._parts))

    def until_end(self, verdict: Verdict | None = None) -> Verdict:
        """Return the verdict once no node works on the run any more; given one, stop them all at once."""
        self._verdict = verdict
        delay = _FIRST_DELAY
        while True:
            persist(self._look)
            if not self._announced and all(part.seen.started or part.lost for part in self._parts):
                persist(self._on_started)
                self._announced, delay = True, _FIRST_DELAY
            if self._verdict is None:
                self._verdict = persist(self._judge)
            if all(part.ended for part in self._parts):
                return self._verdict or Verdict(SUCCEEDED)
            if self._verdict is not None:
                verdict = self._verdict
                delay = persist(lambda: self._stop(verdict))  # noqa: B023 - called before the next turn
            time.sleep(delay)
            delay = min(self._longest_delay, delay * 1.3)

    def _look(self) -> None:
        for part in self._parts:
            if not part.ended:
                part.seen = commands.look(self._ssm, part.command_id, part.node.instance_id)
        now = time.monotonic()
        if now - self._machines_at >= _MACHINES_EVERY:
            self._machines_at = now
            waiting = [part for part in self._parts if not part.ended]
            missing = gone(self._ec2(), [part.node.instance_id for part in waiting]) if waiting else set()
            for part in waiting:
                if part.node.instance_id in missing:
                    part.lost = f"its machine {part.node.instance_id} is gone"

    def _judge(self) -> Verdict | None:
        """Return why the run has to stop now, or None."""
        failed = [part for part in self._parts if part.failed]
        preempted = [part for part in failed if part.preempted]
        if preempted and all(part.preempted or part.lost for part in failed):
            return Verdict(PREEMPTED, self._first_cause(preempted))
        if failed:
            return Verdict(FAILED, self._first_cause(failed))
        if all(part.ended for part in self._parts):
            return None
        request = self._bucket.get(run_key(self._run_id, "cancel.json"))
        if request is not None:
            return Verdict(CANCELLED, f"cancelled by {json.loads(request).get('actor', 'somebody')}")
        if cause := self._idle():
            return Verdict(TIMED_OUT, cause)
        return self._judge_time()

    def _judge_time(self) -> Verdict | None:
        """Hold the run against its limit, which counts for the job and not for the last uploads."""
        over = time.monotonic() - self._begin - self._max_seconds
        if over <= 0:
            return None
        if not self._listener.uploading([part.rank for part in self._parts if not part.ended]):
            return Verdict(TIMED_OUT, f"it ran longer than its limit of {self._max_seconds / 60:g} minutes")
        if over > UPLOAD_SECONDS:
            limit = f"{self._max_seconds / 60:g} minutes and the {UPLOAD_SECONDS / 60:g} for its uploads"
            return Verdict(TIMED_OUT, f"it took longer than its limit of {limit}")
        return None

    def _stop(self, verdict: Verdict) -> float:
        """Ask every node to stop, harder as time passes, and return the seconds until the next look."""
        now = time.monotonic()
        if self._stopped_at is None:
            body = {"reason": verdict.cause, "grace_seconds": GRACE_SECONDS}
            self._bucket.put(run_key(self._run_id, "stop.json"), json.dumps(body).encode())
            self._stopped_at = now
            return _FIRST_DELAY
        for part in self._parts:
            if not part.ended:
                self._press(part, now - self._stopped_at)
        return _FIRST_DELAY if now - self._stopped_at < GRACE_SECONDS else self._longest_delay

    def _press(self, part: Part, waited: float) -> None:
        """End a runner by force, which loses outputs: only one that gives no sign of life."""
        now = time.monotonic()
        if part.pressed_at is not None:
            if now - part.pressed_at > _PRESS_SECONDS:
                part.lost = "it did not stop"
            return
        if waited < GRACE_SECONDS:
            return
        due = now - waited + GRACE_SECONDS
        if self._listener.silence(part.rank, due) > SILENCE_SECONDS or waited > UPLOAD_SECONDS:
            commands.cancel(self._ssm, part.command_id, part.node.instance_id)
            part.pressed_at = now

    def _first_cause(self, failed: Sequence[Part]) -> str:
        """Return the cause of the node that failed first: the others often fail because it has gone."""
        reports = {part.rank: self._report(part.rank) for part in failed}

        def ended(part: Part) -> float:
            report = reports[part.rank]
            return epoch_seconds(report["ended"]) if report else float("inf")

        first = min(failed, key=lambda part: (ended(part), part.rank))
        return of_node(first.rank, self._cause(first, reports[first.rank]))

    def _report(self, rank: int) -> dict[str, Any] | None:
        body = self._bucket.get(run_key(self._run_id, output_name(rank)))
        return json.loads(body) if body else None

    def _cause(self, part: Part, report: dict[str, Any] | None) -> str:
        if part.lost:
            return part.lost
        if part.seen.exit_code is None:
            return f"Systems Manager says {part.seen.status}"
        log = self._bucket.get_end(run_key(self._run_id, log_name(part.rank)), TAIL_BYTES) if report else b""
        text = log.decode(errors="replace") if log else part.seen.stderr
        return str(report["error"]) if report and report.get("error") else cause_of(text, part.seen.exit_code)
