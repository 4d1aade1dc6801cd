"""Systems Manager documents: the only commands that can be sent to machines, and the way into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

RUN_ID_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
"""What a run's id may be made of; it stands in a shell command and in object keys."""
OWN_RUN_ID_PATTERN = "^[0-9][a-z0-9-]{0,62}$"
"""The same where teams share the queue: their runs begin with the team's name, the own ones with a date."""
QUEUE_ACT_PATTERN = "^(cancel|hold|release|requeue)$"
"""What can be done to a run in the queue."""
TIMEOUT_SECONDS = 48 * 3600
"""Longest that one command may run: the most that Systems Manager allows (its own default is one hour)."""
QUEUE_SECONDS = 120
"""Longest that an act on the queue may take."""
BOOT_SECONDS = 600
"""How long a command waits for a machine that takes commands before its user data has ended."""


def team_run_id_pattern(team: str) -> str:
    """Return the pattern of the ids of a team's runs, which no other team's runs match."""
    return f"^{team}-[a-z0-9-]{{1,60}}$"


@dataclass(frozen=True, kw_only=True)
class RunJobDocument:
    """The document that hands a team's run to the head node; parameter RunId."""

    template: ClassVar[str] = "ssm/run_job.yaml.j2"

    environment: str
    team: str
    """Whose document it is; nobody who sends it can say another."""
    run_id_pattern: str = RUN_ID_PATTERN
    """Regular expression that the parameter must match."""
    timeout_seconds: int = TIMEOUT_SECONDS
    boot_seconds: int = BOOT_SECONDS


@dataclass(frozen=True, kw_only=True)
class QueueDocument:
    """The document that acts on a team's run in the queue; parameters Act and RunId."""

    template: ClassVar[str] = "ssm/queue.yaml.j2"

    environment: str
    team: str
    """Whose document it is; nobody who sends it can say another."""
    run_id_pattern: str = RUN_ID_PATTERN
    """Regular expression that the run's id must match."""
    act_pattern: str = QUEUE_ACT_PATTERN
    timeout_seconds: int = QUEUE_SECONDS


@dataclass(frozen=True, kw_only=True)
class RunNodeDocument:
    """The document that starts one node's part of a run.

    Parameters RunId, NodeRank, NodeCount, MasterAddress, MasterPort.
    """

    template: ClassVar[str] = "ssm/run_node.yaml.j2"

    environment: str
    run_id_pattern: str = RUN_ID_PATTERN
    """Regular expression that the parameter must match."""
    timeout_seconds: int = TIMEOUT_SECONDS
    boot_seconds: int = BOOT_SECONDS


@dataclass(frozen=True, kw_only=True)
class SessionDocument:
    """The Session Manager document that people enter machines by: a shell, written down as it goes."""

    template: ClassVar[str] = "ssm/session.json.j2"

    description: str
    bucket: str
    """Gets the transcript at the session's end."""
    prefix: str
    """Folder in that bucket, without a slash at its end."""
    log_group: str
    """Gets the transcript line by line, so that it is out of reach of whoever is on the machine."""
    key: str
    """ARN of the KMS key that encrypts the session itself."""
    run_as: str
    """User of the operating system."""
    idle_minutes: int
    max_minutes: int
