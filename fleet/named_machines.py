"""A running machine of an environment by what people call it: its id, `head`, or its name in the queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.entry_about import is_machine
from fleet.instances import instances, tag_of
from fleet.session import Session
from stacks import naming
from stacks.problems import UserError, nearest

_SHOWN = 20


@dataclass(frozen=True)
class NamedMachine:
    """One machine that runs."""

    id: str
    name: str
    """`head`, its name in the queue, or "" where it has none."""

    def __str__(self) -> str:
        return f"{self.id} ({self.name})" if self.name else self.id


def find_machine(session: Session, called: str) -> NamedMachine:
    """Return the environment's running machine of that id or name; of several heads the newest.

    Raises UserError, which names those that there are.
    """
    running = sorted(instances(session, ["running"]), key=lambda each: str(each["LaunchTime"]))
    known = [_named(each) for each in running]
    found = [each for each in known if called in (each.id, each.name)]
    if called and found:
        return found[-1]
    raise UserError.of(
        f"{session.spec.name} has no machine {called} that runs", _what_to_do(called, known), path="NODE"
    )


def _named(instance: Mapping[str, Any]) -> NamedMachine:
    is_head = tag_of(instance, naming.TAG_ROLE) == naming.ROLE_HEAD
    name = naming.ROLE_HEAD if is_head else tag_of(instance, naming.TAG_NODE)
    return NamedMachine(str(instance["InstanceId"]), name)


def _what_to_do(called: str, known: Iterable[NamedMachine]) -> str:
    machines = list(known)
    if not machines:
        return "build the environment (`fleetform up`), or wait until its machines have started"
    likely = None if is_machine(called) else nearest(called, [each.name for each in machines if each.name])
    if likely:
        return f"did you mean {likely}?"
    more = f", and {len(machines) - _SHOWN} more" if len(machines) > _SHOWN else ""
    return f"name one of {', '.join(map(str, machines[:_SHOWN]))}{more}"
