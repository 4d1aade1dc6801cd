"""What an apply did to each resource, kept with the configuration that it applied: `plans/` of the project.

The ledger's entry of the act has the digest of either file; an evidence pack holds them against it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fleet.terraform_events import ProgressEvent, Report

FOLDER = "plans"
FORMAT = "fleetform-plan/1"
CONFIGURATION_SUFFIX = ".tf.json"
_KEPT = ("done", "failed")


@dataclass
class Applied:
    """Passes Terraform's progress on, and keeps what it has done."""

    report: Report
    events: list[ProgressEvent] = field(default_factory=list)

    def __call__(self, event: ProgressEvent) -> None:
        """Take one event."""
        if event.kind in _KEPT:
            self.events.append(event)
        self.report(event)


def keep_plan(
    root: Path, environment: str, stack: str, configuration: bytes, done: Sequence[ProgressEvent]
) -> str:
    """Write what was done to a stack, and what was applied; return the SHA-256 of the former.

    `root` is the project's folder. Raises OSError where it can't be written.
    """
    now = datetime.datetime.now(datetime.UTC)
    folder = root / FOLDER / f"{environment}-{now:%Y%m%dT%H%M%S}-{stack}"
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT,
        "environment": environment,
        "stack": stack,
        "time": now.isoformat(timespec="seconds"),
        "configuration_sha256": hashlib.sha256(configuration).hexdigest(),
        "changes": [{"address": each.address, "action": each.action, "outcome": each.kind} for each in done],
    }
    body = (json.dumps(about, indent=2) + "\n").encode()
    (folder / f"{stack}{CONFIGURATION_SUFFIX}").write_bytes(configuration)
    (folder / f"{stack}.json").write_bytes(body)
    return hashlib.sha256(body).hexdigest()
