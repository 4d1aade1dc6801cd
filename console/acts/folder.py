"""An act's folder: what its process was given, how far it is, how it ended, and whether it still lives.

The process holds a lock on a file there for as long as it lives, and the kernel drops it however the process
ends. So whether an act goes on is never a matter of what somebody has noted.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from console.acts.spec import Act, read_act, to_dict
from fleet.clock import utc_now
from fleet.project import Project
from fleet.terraform_events import ProgressEvent
from fleet.terraform_lock import hold

Outcome = Literal["done", "refused", "failed", "stopped"]
State = Literal["working", "done", "refused", "failed", "stopped", "lost"]
"""`lost`: its process was killed before it could say how it ended; what it began may go on by itself."""

_TASK, _PROGRESS, _END, _LOG, _HELD = "act.json", "progress.jsonl", "end.json", "work.log", "act.lock"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the process of an act has to know."""

    act: Act
    project: Project
    cloud: str | None
    asked_by: Mapping[str, str]
    """Who asked for it, as the ledger says it."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "act": to_dict(self.act),
            "root": str(self.project.root),
            "home": str(self.project.home),
            "cloud": self.cloud,
            "asked_by": dict(self.asked_by),
        }

    @classmethod
    def read(cls, about: Mapping[str, Any]) -> Self:
        """Return what `to_dict` has described."""
        project = Project(root=Path(about["root"]), home=Path(about["home"]))
        return cls(
            act=read_act(about["act"]), project=project, cloud=about["cloud"], asked_by=about["asked_by"]
        )


@dataclass(frozen=True)
class End:
    """How an act ended."""

    outcome: Outcome
    said: Mapping[str, Any]
    """What came of it: of a refusal `problems`, of a failure `message`."""
    at: str
    """UTC, ISO 8601."""

    @classmethod
    def now(cls, outcome: Outcome, /, **said: Any) -> Self:
        """Return an end of this moment."""
        return cls(outcome, said, utc_now())


class ActFolder:
    """The folder of one act."""

    def __init__(self, path: Path) -> None:
        """Take the folder as it is, or is to become."""
        self.path = path

    def create(self, task: Task) -> int:
        """Make the folder, for nobody else to read; return the open lock that its process inherits."""
        self.path.mkdir(parents=True, mode=0o700)
        (self.path / _TASK).write_text(json.dumps(task.to_dict(), ensure_ascii=False), encoding="utf-8")
        held = hold(self.path, _HELD)
        assert held is not None, "nobody else knows the folder yet"
        return held

    @property
    def log(self) -> Path:
        """What the process says beside: tracebacks, and what the trainer tells of preparing data."""
        return self.path / _LOG

    def task(self) -> Task:
        """Return what the process has to do."""
        return Task.read(json.loads((self.path / _TASK).read_text(encoding="utf-8")))

    def state(self) -> State:
        """Return how the act stands."""
        at_work = self._is_held()  # looked at first: who lets go has written its end before
        end = self.end()
        return end.outcome if end else "working" if at_work else "lost"

    def end(self) -> End | None:
        """Return how it ended, None where it has not, or where it was killed."""
        try:
            return End(**json.loads((self.path / _END).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def finish(self, end: End) -> None:
        """Write how it ended: the last that its process does, and there for good once this returns."""
        partial = self.path / f"{_END}.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(end), file, ensure_ascii=False, default=str)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / _END)
        folder = os.open(self.path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def tell(self, event: ProgressEvent) -> None:
        """Write down one thing that has happened; a full disk ends no act."""
        if event.kind == "planned":
            return  # a hundred lines at once, and each of them comes again when it is done
        line = json.dumps({"time": utc_now(), **asdict(event)}, ensure_ascii=False) + "\n"
        with suppress(OSError), (self.path / _PROGRESS).open("ab", buffering=0) as file:
            file.write(line.encode())  # one write a line, for several threads tell

    def told(self, since: int) -> bytes:
        """Return the whole lines that were written after so many bytes."""
        try:
            with (self.path / _PROGRESS).open("rb") as file:
                file.seek(since)
                data = file.read()
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]

    def note_ready(self) -> None:
        """Say, as the process that holds the lock, that it may be interrupted from now on."""
        (self.path / _HELD).write_text(str(os.getpid()), encoding="utf-8")

    def interrupt(self) -> bool:
        """Ask the process to stop as ctrl-C does; return False where it is over, or not ready for it yet."""
        number = (self.path / _HELD).read_text(encoding="utf-8")
        if not number or not self._is_held():
            return False
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(int(number), signal.SIGINT)
        return True

    def _is_held(self) -> bool:
        held = hold(self.path, _HELD)
        if held is not None:
            os.close(held)
        return held is None
