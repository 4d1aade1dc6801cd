"""What a dispatcher does about idleness: warns of its run, has it stopped, marks nodes, wakes a fleet."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from node import idle, idle_marks
from node.aws import aws_errors, client
from node.idle import IdlePolicy, Warned
from node.layout import IDLE, QUEUED
from node.patience import persist
from node.store import Bucket
from node.wake import wake

Say = Callable[[str, dict[str, Any]], None]
"""Appends an event with its detail."""
_WAKE_SECONDS = 60.0
"""Between two looks at whether the fleet was scaled to zero."""


class DispatchIdle:
    """One run's progress, looked at now and then while its nodes are watched."""

    def __init__(self, bucket: Bucket, region: str, run_id: str, say: Say) -> None:
        self._bucket, self._region, self._run_id, self._say = bucket, region, run_id, say
        self._policy: IdlePolicy | None = None
        self._nodes: Sequence[str] = ()
        self._marking: threading.Thread | None = None
        self._ordered = self._started = self._looked = 0.0
        self._woke = float("-inf")
        self._warned: Warned | None = None
        self._stopped = False

    def wake(self, fleet: str, count: int) -> None:
        """Have the fleet's group start machines for a run on so many, where idle ones were given up."""
        if time.monotonic() - self._woke < _WAKE_SECONDS:
            return
        self._woke = time.monotonic()
        try:
            policy = idle.read_policy(self._bucket)
            group = policy.groups.get(fleet) if policy is not None and policy.marks_nodes else None
            if group is None:
                return
            started = wake(client("autoscaling", self._region), group.name, min(count, group.nodes))
        except aws_errors() as error:
            print(f"the fleet {fleet} could not be woken: {error}", file=sys.stderr)
            return
        if started:
            self._say(QUEUED, {"reason": f"the fleet {fleet} was idle and without nodes: {started} start"})

    def claimed(self, instance_ids: Sequence[str]) -> None:
        """Read the policy, and say on the nodes that they have a run; beside what the run waits for."""
        self._nodes, ec2 = instance_ids, self._ec2()
        self._marking = threading.Thread(target=self._begin, args=(ec2,), daemon=True)
        self._marking.start()

    def _begin(self, ec2: Any) -> None:
        try:
            self._policy = persist(lambda: idle.read_policy(self._bucket))
        except aws_errors() as error:  # a run is not kept from its work by that
            print(f"the policy on idle runs could not be read: {error}", file=sys.stderr)
            return
        if self._policy is not None and self._policy.marks_nodes:
            idle_marks.mark(ec2, self._nodes, idle_marks.TAG_WORK, idle_marks.RUNNING)

    def freed(self) -> None:
        """Say on the nodes that they have none any more."""
        if self._marking is None:
            return
        self._marking.join()
        self._marking = None
        if self._warned is not None and not self._stopped:  # it has ended by itself
            idle_marks.mark(self._ec2(), self._nodes, idle_marks.TAG_RUN, "")
        if self._policy is not None and self._policy.marks_nodes:
            free = idle_marks.free_mark(time.time())
            idle_marks.mark(self._ec2(), self._nodes, idle_marks.TAG_WORK, free)

    def ordered(self) -> None:
        """Note that its nodes are told to begin now: what it tells from now on is of this start."""
        self._ordered = time.time()

    def started(self) -> None:
        """Begin to look: all of its nodes have begun.

        The run counts from the order, for what a quick one tells may be there before this is noticed.
        """
        self._started = self._ordered or time.time()

    def __call__(self) -> str:
        """Return why the run is to be stopped now, "" where it is not; says what changes meanwhile."""
        policy, now = self._policy, time.time()
        if policy is None or not self._started or now - self._looked < policy.look:
            return ""
        self._looked = now
        try:
            cause = idle.look_for_cause(self._bucket, policy, self._run_id, self._started, now)
        except aws_errors() as error:  # the next look is a minute away
            print(f"how far the run is could not be seen: {error}", file=sys.stderr)
            return ""
        return self._act(policy, cause, now)

    def _act(self, policy: IdlePolicy, cause: str, now: float) -> str:
        word = idle.next_word(cause, self._warned, now)
        if word == idle.WARN:
            self._warned = idle.warning(policy, cause, now)
            self._say(IDLE, self._warned.detail())
            self._mark(idle_marks.WARNED, self._warned.stops, cause)
        elif word == idle.GO_ON:
            self._warned = None
            self._say(IDLE, idle.GOES_ON)
            idle_marks.mark(self._ec2(), self._nodes, idle_marks.TAG_RUN, "")
        elif word == idle.END:
            self._stopped = True
            self._mark(idle_marks.STOPPED, now, cause)
            return f"idle: {cause}"
        return ""

    def _mark(self, what: str, moment: float, cause: str) -> None:
        value = idle_marks.run_mark(what, self._run_id, moment, cause)
        idle_marks.mark(self._ec2(), self._nodes, idle_marks.TAG_RUN, value)

    def _ec2(self) -> Any:
        return client("ec2", self._region)
