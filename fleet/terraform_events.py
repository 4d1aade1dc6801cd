"""What Terraform says of its work (`-json`), as typed values: progress, diagnostics, counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fleet.errors import ActError

Kind = Literal["note", "planned", "started", "working", "done", "failed", "summary", "warning", "error"]

_DONE_KINDS: dict[str, Kind] = {
    "apply_start": "started",
    "apply_progress": "working",
    "apply_complete": "done",
    "apply_errored": "failed",
}
"""Terraform's hook messages -> our kinds; https://developer.hashicorp.com/terraform/internals/machine-readable-ui"""
_EXPECTED = {"Incomplete lock file information for providers"}
"""Warnings that follow from what we do ourselves (a local provider folder) and that nobody can act on."""
_CHOSEN = "lifecycle_rule is deprecated"
"""Beginning of a warning about what `stacks/buckets.py` uses on purpose; its code says why."""
_WORDS = {
    "create": "creating",
    "update": "changing",
    "delete": "destroying",
    "read": "reading",
    "import": "importing",
}


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A provider's or Terraform's own message, and where it points to."""

    severity: str
    summary: str
    detail: str = ""
    address: str = ""
    """The resource, "" where the message is about none."""
    place: str = ""
    """Where our code declares the resource (`stacks/base_stack.py:42`), "" where that is unknown."""

    def __str__(self) -> str:
        where = " at ".join(part for part in (self.address, self.place) if part)
        text = "\n".join(part.rstrip() for part in (self.summary, self.detail) if part)
        return f"{where}: {text}" if where else text


@dataclass(frozen=True, kw_only=True)
class Changes:
    """How many resources a plan or an apply touches; a replacement counts as one added and one destroyed."""

    add: int = 0
    change: int = 0
    destroy: int = 0
    imports: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return self == Changes()

    def __str__(self) -> str:
        text = f"{self.add} to add, {self.change} to change, {self.destroy} to destroy"
        return f"{text}, {self.imports} to import" if self.imports else text


@dataclass(frozen=True, kw_only=True)
class PlannedChange:
    """What a plan means to do with one resource."""

    address: str
    action: str
    reason: str = ""
    """Terraform's word for why it replaces or deletes it, "" where it gives none."""


@dataclass(frozen=True, kw_only=True)
class PlanResult:
    """What Terraform would do to a stack."""

    empty: bool
    """Whether there is nothing to do, outputs included (exit code 0 of `plan -detailed-exitcode`)."""
    changes: Changes
    planned: tuple[PlannedChange, ...]
    warnings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ProgressEvent:
    """One thing to tell the user while Terraform works."""

    kind: Kind
    stack: str
    text: str
    """The event as a sentence, ready to print."""
    address: str = ""
    action: str = ""
    done: int = 0
    """Resources finished so far, of `total`."""
    total: int = 0
    seconds: float = 0.0
    """How long the resource has taken so far."""


Report = Callable[[ProgressEvent], None]
"""What takes the progress: a terminal's line, a log, nothing."""


def quiet(event: ProgressEvent) -> None:
    """Take progress and show none of it."""


class TerraformError(ActError):
    """Terraform failed; the message is the providers' own, with the resource and its place in our code."""

    def __init__(
        self, stack: str, operation: str, diagnostics: tuple[Diagnostic, ...], hint: str = ""
    ) -> None:
        """Make the error of one operation on one stack."""
        self.stack = stack
        self.operation = operation
        self.diagnostics = diagnostics
        lines = [f"terraform {operation} of {stack} failed", *(str(each) for each in diagnostics)]
        super().__init__("\n".join([*lines, hint] if hint else lines))


@dataclass
class Stream:
    """Reads the lines of one operation and adds up what they say."""

    stack: str
    sources: Mapping[str, str]
    """Resource address -> place in our code."""
    report: Report
    planned: list[PlannedChange] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    changes: Changes | None = None
    """The last summary, of the plan or of what was done."""
    finished: bool = False
    """Whether an apply or a destroy said that it completed."""
    done: int = 0

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that made the operation fail."""
        return tuple(each for each in self.diagnostics if each.severity == "error")

    def failure(self, code: int) -> tuple[Diagnostic, ...]:
        """Return what to show for an operation that ended with `code`; never nothing."""
        last = f"it ended with {'signal' if code < 0 else 'exit code'} {abs(code)} and gave no reason"
        others = tuple(each for each in self.diagnostics if each.severity == "output")
        return self.errors or others or (Diagnostic(severity="error", summary=last),)

    @property
    def total(self) -> int:
        """How many resources the plan touches, each step of a replacement counted."""
        weights = {"replace": 2, "noop": 0, "read": 0, "move": 0, "import": 0}
        return sum(weights.get(each.action, 1) for each in self.planned)

    def read_line(self, line: str) -> None:
        """Take one line in; one that is not JSON is kept as an error's text, for Terraform may crash."""
        try:
            message = json.loads(line)
        except ValueError:
            if line.strip():
                self.diagnostics.append(Diagnostic(severity="output", summary=line.rstrip()))
            return
        handler = {
            "planned_change": self._planned,
            "change_summary": self._summary,
            "diagnostic": self._diagnostic,
        }.get(message.get("type", ""))
        if handler:
            handler(message)
        elif message.get("type") in _DONE_KINDS:
            self._hook(message)

    def _planned(self, message: Mapping[str, Any]) -> None:
        change = message["change"]
        action = "import" if change.get("importing") and change["action"] == "noop" else change["action"]
        planned = PlannedChange(
            address=change["resource"]["addr"],
            action=action,
            reason=change.get("reason", "").replace("_", " "),
        )
        self.planned.append(planned)
        self._tell("planned", f"{planned.address}: to {planned.action}", planned.address, planned.action)

    def _summary(self, message: Mapping[str, Any]) -> None:
        counts = message["changes"]
        self.changes = Changes(
            add=counts["add"],
            change=counts["change"],
            destroy=counts["remove"],
            imports=counts.get("import", 0),
        )
        self.finished = counts.get("operation") in ("apply", "destroy")
        self._tell("summary", message["@message"])

    def _diagnostic(self, message: Mapping[str, Any]) -> None:
        found = message["diagnostic"]
        if found["summary"] in _EXPECTED or found.get("detail", "").startswith(_CHOSEN):
            return
        address = found.get("address", "")
        diagnostic = Diagnostic(
            severity=found["severity"],
            summary=found["summary"],
            detail=found.get("detail", ""),
            address=address,
            place=self.sources.get(address.split("[")[0], ""),
        )
        self.diagnostics.append(diagnostic)
        self._tell("error" if diagnostic.severity == "error" else "warning", str(diagnostic), address)

    def _hook(self, message: Mapping[str, Any]) -> None:
        hook, kind = message["hook"], _DONE_KINDS[message["type"]]
        action, address = hook["action"], hook["resource"]["addr"]
        if action == "read":
            return
        self.done += kind == "done"
        seconds = float(hook.get("elapsed_seconds", 0))
        word = "done" if kind == "done" else "failed" if kind == "failed" else _WORDS.get(action, action)
        text = f"{address}: {word}" + (f" after {seconds:.0f} s" if kind != "started" else "")
        self._tell(kind, text, address, action, seconds)

    def _tell(self, kind: Kind, text: str, address: str = "", action: str = "", seconds: float = 0.0) -> None:
        self.report(
            ProgressEvent(
                kind=kind,
                stack=self.stack,
                text=text,
                address=address,
                action=action,
                done=self.done,
                total=self.total,
                seconds=seconds,
            )
        )
