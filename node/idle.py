"""When a run counts as idle, by the environment's policy (`[idle]` of its file): docs/idle.md.

Everything here is decided from values; who carries a run out writes events, marks machines and stops it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from node.alive import SILENCE_SECONDS, UPLOADING
from node.layout import alive_name, epoch_seconds, run_key, utc_text
from node.progress import BUSY, ENDING, SILENT, STARTING, Progress, log_grown, read_progress
from node.store import Bucket

POLICY_KEY = "node/idle.json"
"""Object of the artifact bucket that Terraform writes: the policy on runs."""
VERSION = 1
LEAVE, LOG, STOP = "leave", "log", "stop"
"""What becomes of a program that tells of no steps: nothing; it is idle when its log stands still; always."""
LOOK_SECONDS = 60.0
"""Between two looks at a run; less where the policy's own times are shorter than minutes."""
WARN, GO_ON, END = "warn", "go on", "end"
GOES_ON = {"reason": "it makes progress again"}
"""What the event says of a run that was warned of and goes on."""


@dataclass(frozen=True)
class Group:
    """The Auto Scaling group of a fleet's nodes that stand."""

    name: str
    nodes: int


@dataclass(frozen=True)
class IdlePolicy:
    """What counts as idle, in seconds."""

    step: float
    """Without a training step; 0: runs are never idle."""
    start: float
    """The same before a start's first step, and while it evaluates or saves."""
    grace: float
    """From the warning to the stop."""
    without_steps: str = LEAVE
    marks_nodes: bool = False
    """Whether nodes say that they have a run, or since when none: idle ones are to be given up."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    """The groups of the fleets' nodes that stand, by fleet."""

    @property
    def look(self) -> float:
        """Seconds between two looks."""
        return min(LOOK_SECONDS, self.step / 4, self.grace / 4)


@dataclass(frozen=True)
class Warned:
    """A run that was warned of."""

    cause: str
    stops: float
    """When it is stopped unless it goes on, seconds since the epoch."""

    def reason(self) -> str:
        """Return in one line what is wrong and what becomes of it."""
        clock = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.stops))
        return f"idle: {self.cause}; it is stopped at {clock} unless it goes on"

    def detail(self) -> dict[str, str]:
        """Return what the event of it says."""
        return {"reason": self.reason(), "stops": utc_text(self.stops)}


def parse_policy(body: bytes | None) -> IdlePolicy | None:
    """Return the policy; None where there is none, or it is of another version."""
    told: Mapping[str, Any] = json.loads(body) if body else {}
    if told.get("version") != VERSION:
        return None
    return IdlePolicy(
        step=told["step_minutes"] * 60.0,
        start=told["start_minutes"] * 60.0,
        grace=told["grace_minutes"] * 60.0,
        without_steps=str(told["without_steps"]),
        marks_nodes=bool(told["marks_nodes"]),
        groups={fleet: Group(each["name"], int(each["nodes"])) for fleet, each in told["groups"].items()},
    )


def read_policy(bucket: Bucket) -> IdlePolicy | None:
    """Return the environment's policy; None where it has none, as one built by an older version."""
    return parse_policy(bucket.get(POLICY_KEY))


def look_for_cause(bucket: Bucket, policy: IdlePolicy, run_id: str, started: float, now: float) -> str:
    """Return why the run that began then is idle, "" where it is not; AWS's errors pass through."""
    if not policy.step:
        return ""
    seen = read_progress(bucket, run_id, started)
    if seen.phase == SILENT and policy.without_steps == LOG:
        cause = _silent_log(policy, max(started, seen.since, log_grown(bucket, run_id)), now)
    else:
        cause = idle_cause(policy, seen, now)
    return "" if cause and _uploads(bucket, run_id, now) else cause


def _uploads(bucket: Bucket, run_id: str, now: float) -> bool:
    """Return whether the job has ended, and its first node brings outputs home: that may take long."""
    body = bucket.get(run_key(run_id, alive_name(0)))
    told: Mapping[str, Any] = json.loads(body) if body else {}
    return told.get("state") == UPLOADING and now - epoch_seconds(str(told["time"])) <= SILENCE_SECONDS


def idle_cause(policy: IdlePolicy, seen: Progress, now: float) -> str:
    """Return why a run that stands so is idle, "" where it is not. The text is the same at every look."""
    waited, clock = now - seen.since, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seen.since))
    if seen.phase == ENDING:
        return ""
    if seen.lost_at is not None:
        return f"its loss is no number since step {seen.lost_at}"
    if seen.phase == SILENT:
        if policy.without_steps == STOP and waited >= policy.start:
            return f"its program tells of no training step, and runs since {clock}"
        return ""
    if seen.phase == STARTING:
        return f"it has made no training step since its start at {clock}" if waited >= policy.start else ""
    if waited < (policy.start if seen.phase == BUSY else policy.step):
        return ""
    if seen.phase == BUSY:
        return f"it evaluates or saves since {clock}, and makes no training step"
    return f"no training step since {clock}, the last was step {seen.step}"


def _silent_log(policy: IdlePolicy, grown: float, now: float) -> str:
    if now - grown < policy.step:
        return ""
    clock = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(grown))
    return f"its program tells of no training step, and its log has not grown since {clock}"


def next_word(cause: str, warned: Warned | None, now: float) -> str:
    """Return what is to be done of WARN, GO_ON and END, "" for nothing."""
    if not cause:
        return GO_ON if warned else ""
    if warned is None:
        return WARN
    return END if now >= warned.stops else ""


def warning(policy: IdlePolicy, cause: str, now: float) -> Warned:
    """Return the warning of a run that is idle for that cause."""
    return Warned(cause, now + policy.grace)
