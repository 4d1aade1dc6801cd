"""What the codes of the product are called in the reader's language: states, roles, settings, rooms."""

from __future__ import annotations

from console.words.reader import Reader
from fleet.policy import Role


def state_name(reader: Reader, state: str) -> str:
    """Return what a run's state is called."""
    _ = reader.gettext
    names = {
        "SUBMITTED": _("handed in"),
        "QUEUED": _("waiting"),
        "HELD": _("held back"),
        "PROVISIONING": _("getting its nodes"),
        "RUNNING": _("running"),
        "REQUEUED": _("waiting again"),
        "SUCCEEDED": _("finished"),
        "FAILED": _("failed"),
        "CANCELLED": _("stopped"),
        "TIMED_OUT": _("out of time"),
        "PREEMPTED": _("interrupted"),
        "IDLE": _("its progress"),
    }
    return names.get(state, state)


def role_name(reader: Reader, role: Role) -> str:
    """Return what a role is called."""
    _ = reader.gettext
    names: dict[Role, str] = {
        "viewer": _("viewer"),
        "member": _("member"),
        "operator": _("operator"),
        "approver": _("approver"),
        "auditor": _("auditor"),
        "admin": _("administrator"),
    }
    return names[role]


def setting_name(reader: Reader, name: str) -> str:
    """Return what a setting of a run is called; those of recipes keep their names."""
    _ = reader.gettext
    names = {
        "program": _("What"),
        "arguments": _("Arguments"),
        "code": _("Code"),
        "data": _("Data set"),
        "fleet": _("Fleet"),
        "machines": _("Machines"),
        "spot": _("Spot"),
        "nodes": _("Nodes"),
        "processes on each": _("Processes on each"),
    }
    return names.get(name, name)


def room_name(reader: Reader, room: str) -> str:
    """Return what a room of an environment is called (fleet/kinds.py has them)."""
    _ = reader.gettext
    names = {
        "network": _("Network"),
        "storage": _("Storage and keys"),
        "machines": _("Machines and their disks"),
        "people and roles": _("People and roles"),
        "commands and entry": _("Commands and ways in"),
        "lease": _("Lease"),
        "audit": _("Logs and alarms"),
        "other": _("Other things"),
    }
    return names.get(room, room)


def outcome_name(reader: Reader, outcome: str) -> str:
    """Return what an entry of the ledger says of how something ended."""
    _ = reader.gettext
    names = {
        "started": _("begun"),
        "succeeded": _("done"),
        "failed": _("failed"),
        "refused": _("refused"),
        "interrupted": _("interrupted"),
        "recorded": _("on record"),
    }
    return names.get(outcome, outcome)
