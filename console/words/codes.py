"""What the codes of the product are called in the reader's language: states of runs, roles."""

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
