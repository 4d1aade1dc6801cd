"""Who holds what: Terraform's state lock as it tells of it, and our own record of a terraform that runs."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from fleet.errors import ActError
from fleet.identity import os_identity
from fleet.terraform_events import Diagnostic

RECORD = "terraform.run.json"
HELD = "terraform.run.lock"
DIED = "terraform.died.json"
"""The record of a terraform that died here, kept until an apply or a destroy succeeds."""
UNWRITTEN = "errored.tfstate"
"""Terraform's own name for a state that it could not write."""
_FIELD = re.compile(r"^\s+(ID|Path|Operation|Who|Created):[ \t]*(.*)$", re.MULTILINE)
_UNKNOWN = datetime.datetime.fromtimestamp(0, datetime.UTC)
_DEAD_AFTER = datetime.timedelta(days=1)
"""Age at which whoever took a lock is dead: no session of a role lasts longer than 12 hours (IAM's limit),
and no wait of the provider longer than two.
"""
_SLACK = datetime.timedelta(seconds=30)
"""How long after its last output a terraform may have taken its lock: it is silent from start to plan."""


@dataclass(frozen=True, kw_only=True)
class StateLock:
    """The lock on a state, as Terraform's refusal tells of it."""

    id: str
    path: str
    operation: str
    who: str
    created: datetime.datetime

    @classmethod
    def from_diagnostics(cls, diagnostics: Iterable[Diagnostic]) -> Self | None:
        """Return the lock that an operation was refused for, or None where that is not what failed."""
        for diagnostic in diagnostics:
            if "state lock" not in diagnostic.summary:
                continue
            found = dict(_FIELD.findall(diagnostic.detail))
            if found.get("ID"):
                return cls(
                    id=found["ID"].strip(),
                    path=found.get("Path", "").strip(),
                    operation=found.get("Operation", "").strip().removeprefix("OperationType").lower(),
                    who=found.get("Who", "").strip(),
                    created=_go_time(found.get("Created", "")),
                )
        return None

    def __str__(self) -> str:
        since = self.created.strftime("%Y-%m-%d %H:%M:%S UTC")
        who = self.who or "somebody"
        return f"{who} has held it since {since} for `terraform {self.operation}` (lock {self.id})"


class LockHeldError(ActError):
    """Somebody else works on the stack's state."""

    def __init__(self, stack: str, lock: StateLock) -> None:
        """Make the error for the lock that stands in the way."""
        self.stack = stack
        self.lock = lock
        super().__init__(
            f"the state of {stack} is locked: {lock}\n"
            "    wait until that is done; nothing was changed. Nothing here proves that its holder is gone. "
            f"If you know it, release it with `terraform force-unlock {lock.id}` in the stack's folder; "
            f"after {_DEAD_AFTER.days * 24} hours fleetform does"
        )


def _go_time(text: str) -> datetime.datetime:
    """Read Go's `2006-01-02 15:04:05.999 +0000 UTC`, to the second; the epoch where it can't be read."""
    try:
        return datetime.datetime.strptime(text.strip()[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.UTC)
    except ValueError:
        return _UNKNOWN


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A terraform that we started in a stack's folder; it outlives us where we are killed."""

    operation: str
    started: str
    """ISO 8601, UTC."""
    who: str
    """user@host, spelled as Terraform does in a lock."""
    log: str
    """File name of its output in the stack's folder."""
    pid: int = 0
    """0 until it has been started."""
    ended: bool = False
    """Whether we saw it end; False after its end means that it, or we, were killed."""

    @classmethod
    def begin(cls, operation: str) -> Self:
        """Make the record of an operation that is about to start."""
        now = datetime.datetime.now(datetime.UTC)
        log = f"terraform.{operation}.{now:%Y%m%dT%H%M%S}.{os.getpid()}.jsonl"
        return cls(operation=operation, started=now.isoformat(), who=os_identity(), log=log)

    @classmethod
    def read(cls, folder: Path, name: str = RECORD) -> Self | None:
        """Return the folder's record, or None where nothing ever ran in it."""
        try:
            return cls(**json.loads((folder / name).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, folder: Path, name: str = RECORD) -> None:
        """Replace the folder's record."""
        partial = folder / f"{name}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(folder / name)

    def owns(self, lock: StateLock, folder: Path) -> bool:
        """Return whether this record's process took the lock: same user and host, while it lived."""
        begin = datetime.datetime.fromisoformat(self.started).replace(microsecond=0)
        try:
            last_sign = datetime.datetime.fromtimestamp((folder / self.log).stat().st_mtime, datetime.UTC)
        except OSError:
            last_sign = begin
        return lock.who == self.who and begin <= lock.created <= last_sign + _SLACK

    def __str__(self) -> str:
        since = self.started[:19].replace("T", " ")
        return f"terraform {self.operation} (process {self.pid}) since {since} UTC, started by {self.who}"


def proof_of_death(lock: StateLock, folder: Path) -> str:
    """Return why whoever took the lock cannot be at work any more, "" where nothing proves it.

    Either it was a terraform of this folder, started on this machine: the kernel has freed the folder that it
    held, so it is gone. Or the lock is older than anybody can have worked.
    """
    dead = RunRecord.read(folder, DIED)
    if dead and _host(dead.who) == _host(os_identity()) and dead.owns(lock, folder):
        return f"{dead} took it, and has died on this machine"
    age = datetime.datetime.now(datetime.UTC) - lock.created
    if lock.created > _UNKNOWN and age > _DEAD_AFTER:
        hours = age.total_seconds() // 3600
        return f"it is {hours:.0f} hours old, and nobody works for more than {_DEAD_AFTER.days * 24}"
    return ""


def _host(who: str) -> str:
    return who.rpartition("@")[2]


def hold(folder: Path, name: str = HELD) -> int | None:
    """Take the folder for one process; return the open file that holds it, or None where one runs in it.

    The file is handed to that process, so the kernel frees the folder when the last of it and its
    children that have the file is gone, however it ended.
    """
    held = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


def set_aside(folder: Path) -> bool:
    """Rename what is left of operations on a cloud that is gone; return whether any of it was unfinished."""
    unfinished = [folder / name for name in (UNWRITTEN, DIED) if (folder / name).exists()]
    for file in (*unfinished, folder / RECORD):
        if file.exists():
            file.replace(file.with_name(f"lost-{file.name}"))
    return bool(unfinished)
