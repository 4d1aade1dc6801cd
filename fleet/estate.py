"""An environment's stacks as folders in which Terraform works: the account's, the base and the fleet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fleet.session import Session
from fleet.synth import output_folder, stack_folder
from fleet.terraform import Stack
from fleet.terraform_events import Report
from fleet.terraform_lock import RunRecord, StateLock
from stacks import naming


def stack_names(session: Session) -> tuple[str, ...]:
    """Return the three stacks in the order of creation."""
    return (naming.ACCOUNT_STACK, *naming.environment_stacks(session.spec.name))


def open_stack(session: Session, name: str, report: Report, folder: Path | None = None) -> Stack:
    """Return a stack of the environment; a lock of a dead terraform that it breaks is put on record."""

    def record_unlock(lock: StateLock, dead: RunRecord) -> None:
        details = {"stack": name, "lock": lock.id, "held_by": str(dead)}
        session.ledger.append("state.unlock", session.spec.name, "recorded", details)

    return Stack(
        name=name,
        folder=folder or stack_folder(output_folder(session), name),
        cloud=session.cloud,
        cache=session.project.home / "provider.json",
        report=report,
        on_unlock=record_unlock,
    )


def wait_for_running(session: Session, report: Report) -> None:
    """Follow each terraform still at work on the environment's stacks, before these are written anew."""
    for stack in _stacks(session, report):
        stack.wait()


def _stacks(session: Session, report: Report) -> Iterator[Stack]:
    return (open_stack(session, name, report) for name in stack_names(session))
