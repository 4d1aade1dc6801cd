"""The one door to the terraform process: init, plan, apply, destroy, import and state of one stack's folder.

Every operation that takes time runs in a session of its own and writes to a file that we read: where
fleetform is killed, Terraform finishes and saves its state, and the next command on the stack follows it
until it has.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fleet.cloud import Cloud
from fleet.terraform_events import (
    Changes,
    Diagnostic,
    PlanResult,
    ProgressEvent,
    Report,
    Stream,
    TerraformError,
    quiet,
)
from fleet.terraform_find import child_environment, find_plugin_dir, find_terraform
from fleet.terraform_lock import DIED, UNWRITTEN, LockHeldError, RunRecord, StateLock, hold, proof_of_death
from fleet.terraform_run import Tail, follow, passing_interrupts, prune_logs, watch
from fleet.terraform_state import StateResource, drop_cut_off_backend, read_state
from fleet.whole_file import write_whole

CONFIGURATION = "cdk.tf.json"
ADOPTED = "adopt.tf.json"
"""Import blocks for what an interrupted apply had made and its state lacks; there for one apply only."""
_INIT_KEY = ".terraform/fleetform.init"
_PARALLELISM = "-parallelism=30"
"""Waits of the provider side by side; 10, the default, made 135 resources take 34 s instead of 25."""


@dataclass
class Stack:
    """A synthesized stack in its folder, and Terraform at work on it."""

    name: str
    folder: Path
    """Holds cdk.tf.json; Terraform runs in it."""
    cloud: Cloud
    cache: Path
    """File that keeps where the provider was found."""
    report: Report = quiet
    on_unlock: Callable[[StateLock, str], None] = lambda lock, proof: None
    """Called after the lock of one who is dead was broken, with what proves it."""
    _environment: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._environment = child_environment(self.cloud.process_environment())

    def init(self) -> None:
        """Initialize the folder unless it is for this provider, backend and cloud already."""
        terraform = find_terraform(self._environment)
        settings = self.configuration()["terraform"]
        constraint = settings.get("required_providers", {}).get("aws", {}).get("version", "")
        words = json.dumps([str(terraform), settings, self.cloud.endpoint], sort_keys=True)
        key = hashlib.sha256(words.encode()).hexdigest()
        mark = self.folder / _INIT_KEY
        if mark.is_file() and mark.read_text() == key and (self.folder / ".terraform.lock.hcl").is_file():
            return
        plugin_dir = find_plugin_dir(self.cache, constraint, self._environment)
        arguments = ["-reconfigure", "-upgrade", *([f"-plugin-dir={plugin_dir}"] if plugin_dir else [])]
        drop_cut_off_backend(self.folder)
        self._operate("init", arguments)
        mark.write_text(key)

    def plan(self, *, out: Path | None = None, destroy: bool = False, lock: bool = True) -> PlanResult:
        """Return what an apply (or a destroy) would do; `out` keeps the plan for `apply`."""
        self._prepare(push=lock)
        arguments = [_PARALLELISM, "-detailed-exitcode", *(["-destroy"] if destroy else [])]
        arguments += [] if lock else ["-lock=false"]
        arguments += [f"-out={out}"] if out else []
        code, stream = self._operate("plan", arguments, good=(0, 2))
        warnings = tuple(each for each in stream.diagnostics if each.severity == "warning")
        planned = tuple(each for each in stream.planned if each.action not in ("noop", "read"))
        return PlanResult(
            empty=code == 0, changes=stream.changes or Changes(), planned=planned, warnings=warnings
        )

    def show(self, plan: Path) -> dict[str, Any]:
        """Return a saved plan as data; Terraform starts the provider for it, which takes some seconds."""
        return dict(json.loads(self._ask("show", ["show", "-json", str(plan)])))

    def apply(self, plan: Path | None = None) -> Changes:
        """Make what the configuration says, or what was planned; return what was done."""
        self._prepare()
        _, stream = self._operate(
            "apply", [_PARALLELISM, str(plan)] if plan else [_PARALLELISM, "-auto-approve"]
        )
        (self.folder / DIED).unlink(missing_ok=True)
        return stream.changes or Changes()

    def apply_adopting(self, imports: Iterable[tuple[str, str]]) -> Changes:
        """Apply once more, first taking over the existing things given as (address, id)."""
        blocks = [{"to": address, "id": identity} for address, identity in imports]
        file = self.folder / ADOPTED
        write_whole(file, json.dumps({"import": blocks}, indent=2))
        try:
            return self.apply()
        finally:
            file.unlink(missing_ok=True)

    def destroy(self) -> Changes:
        """Destroy all that the state holds; return what was done. Going over an empty state is no error."""
        self._prepare()
        _, stream = self._operate("destroy", [_PARALLELISM, "-auto-approve"])
        (self.folder / DIED).unlink(missing_ok=True)
        return stream.changes or Changes()

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs by name."""
        self._prepare()
        answer = json.loads(self._ask("output", ["output", "-json"]) or "{}")
        return {name: each["value"] for name, each in answer.items()}

    def resources(self) -> list[StateResource]:
        """Return what the state says exists."""
        self._prepare()
        return read_state(self._ask("state pull", ["state", "pull"]))

    def forget(self, addresses: Sequence[str]) -> None:
        """Take resources out of the state and leave them standing."""
        self._prepare()
        self._ask("state rm", ["state", "rm", *addresses])

    def wait(self) -> bool:
        """Follow the terraform that is at work in this folder until it ends; False where none is."""
        return self.folder.is_dir() and follow(self.folder, self._stream())

    @property
    def died(self) -> bool:
        """Whether a terraform of ours died in this folder and no apply has succeeded since."""
        record = RunRecord.read(self.folder)
        return (self.folder / DIED).exists() or (record is not None and not record.ended)

    def configuration(self) -> dict[str, Any]:
        """Return the stack's synthesized configuration."""
        data: dict[str, Any] = json.loads((self.folder / CONFIGURATION).read_text(encoding="utf-8"))
        return data

    def _prepare(self, *, push: bool = True) -> None:
        """Initialize, and write the state that an earlier operation could not write."""
        self.init()
        unwritten = self.folder / UNWRITTEN
        if push and unwritten.exists():
            self._note(f"{self.name}: writing the state that could not be written last time")
            self._ask("state push", ["state", "push", unwritten.name])
            unwritten.unlink()

    def _operate(
        self, operation: str, arguments: Sequence[str], good: Sequence[int] = (0,)
    ) -> tuple[int, Stream]:
        """Run an operation; a lock whose holder is proven dead is broken, once."""
        code, stream = self._run(operation, arguments)
        lock = StateLock.from_diagnostics(stream.errors)
        if lock and self._break_lock(lock):
            code, stream = self._run(operation, arguments)
            lock = StateLock.from_diagnostics(stream.errors)
        if lock:
            raise LockHeldError(self.name, lock)
        if code not in good:
            raise TerraformError(self.name, operation, stream.failure(code), self._hint())
        return code, stream

    def _break_lock(self, lock: StateLock) -> bool:
        proof = proof_of_death(lock, self.folder)
        if not proof:
            return False
        self._note(f"{self.name}: breaking the lock of a dead `terraform {lock.operation}`: {proof}")
        self._ask("force-unlock", ["force-unlock", "-force", lock.id])
        self.on_unlock(lock, proof)
        return True

    def _run(self, operation: str, arguments: Sequence[str]) -> tuple[int, Stream]:
        """Start Terraform in a session of its own and read along until it ends; return its exit code."""
        argv = [str(find_terraform(self._environment)), operation, "-json", "-input=false", *arguments]
        if operation == "destroy":  # the same command, but one that every version knows with -json
            argv[1:2] = ["apply", "-destroy"]
        held = self._take_folder()
        record = RunRecord.begin(operation)
        record.write(self.folder)
        stream = self._stream()
        with (self.folder / record.log).open("wb") as log:
            child = subprocess.Popen(
                argv, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[held],
            )  # fmt: skip
        os.close(held)
        record = replace(record, pid=child.pid)
        record.write(self.folder)
        with passing_interrupts(child.pid, stream) as interrupted:
            watch(Tail(self.folder / record.log, stream), lambda: child.poll() is not None)
        if child.returncode >= 0:  # otherwise a signal killed it, and its lock may be left
            record = replace(record, ended=True)
            record.write(self.folder)
        prune_logs(self.folder)
        if interrupted():
            raise KeyboardInterrupt
        return child.returncode, stream

    def _take_folder(self) -> int:
        """Return the open file that holds the folder, after following whatever terraform is at work in it."""
        held = hold(self.folder)
        while held is None:
            self.wait()
            held = hold(self.folder)
        previous = RunRecord.read(self.folder)
        if previous is not None and not previous.ended:
            previous.write(self.folder, DIED)
        return held

    def _ask(self, what: str, words: Sequence[str]) -> str:
        """Run a short command and return its output."""
        argv = [str(find_terraform(self._environment)), *words]
        answer = subprocess.run(
            argv, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        if answer.returncode:
            diagnostic = Diagnostic(severity="error", summary=answer.stderr.strip() or answer.stdout.strip())
            raise TerraformError(self.name, what, (diagnostic,), self._hint())
        return answer.stdout

    def _stream(self) -> Stream:
        try:
            sources = json.loads((self.folder / "sources.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            sources = {}
        return Stream(self.name, sources, self.report)

    def _hint(self) -> str:
        if not (self.folder / UNWRITTEN).exists():
            return ""
        return (
            f"    the state could not be written; it lies in {self.folder / UNWRITTEN}, and the next "
            "command on this stack writes it before anything else"
        )

    def _note(self, text: str) -> None:
        self.report(ProgressEvent(kind="note", stack=self.name, text=text))
