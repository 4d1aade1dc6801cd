"""Who may what: one function for the console and the commands. What it does not allow is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["viewer", "member", "operator", "approver", "auditor", "admin"]
Verb = Literal[
    "environment.see",
    "run.see",
    "run.submit",
    "run.stop",
    "run.resume",
    "data.upload",
    "model.try",
    "model.take",
    "server.enter",
    "environment.up",
    "environment.down",
    "account.look",
    "account.sweep",
    "launch.approve",
    "lease.extend",
    "record.read",
    "record.verify",
    "record.export",
    "people.manage",
    "budget.set",
]

ROLES: tuple[Role, ...] = get_args(Role)
VERBS: tuple[Verb, ...] = get_args(Verb)
EVERY_TEAM = "*"
"""The team of a grant that holds in all of them."""

_SEE: frozenset[Verb] = frozenset({"environment.see", "run.see"})
_TRAIN: frozenset[Verb] = frozenset({"run.submit", "data.upload", "model.try", "model.take"})
_END: frozenset[Verb] = frozenset({"run.stop", "run.resume"})
_ENTER: frozenset[Verb] = frozenset({"server.enter"})
_LOOK: frozenset[Verb] = frozenset({"account.look"})
_BUILD: frozenset[Verb] = frozenset({"environment.up", "environment.down", "account.sweep"})
RIGHTS: Mapping[Role, frozenset[Verb]] = {
    "viewer": _SEE,
    "member": _SEE | _TRAIN | _ENTER,
    "operator": _SEE | _TRAIN | _END | _ENTER | _LOOK | _BUILD,
    "approver": _SEE | {"launch.approve", "lease.extend"},
    "auditor": _SEE | _LOOK | {"record.read", "record.verify", "record.export"},
    "admin": _SEE | _LOOK | {"people.manage", "budget.set"},
}
"""What each role may. An operator can't put off the end of what they build, an auditor changes nothing."""
OWN: Mapping[Role, frozenset[Verb]] = {"member": _END}
"""What each role may with what is their own besides."""


@dataclass(frozen=True)
class Grant:
    """A role in one team, or in every team (`*`)."""

    role: Role
    team: str


@dataclass(frozen=True)
class Decision:
    """Whether something is allowed, and by which role; where it is not, by which roles it would be."""

    allowed: bool
    roles: tuple[Role, ...]


def decide(grants: Iterable[Grant], verb: Verb, team: str, *, own: bool = False) -> Decision:
    """Decide whether whoever has these grants may do that in the team; `own` is what they made themselves.

    `team` may be `*` for what concerns no single team, as the record of the account: only a grant in every
    team counts there.
    """
    held = {grant.role for grant in grants if grant.team in (team, EVERY_TEAM)}
    wanted = tuple(role for role in ROLES if _may(role, verb, own=own))
    having = tuple(role for role in wanted if role in held)
    return Decision(bool(having), having or wanted)


def teams_of(grants: Iterable[Grant], verb: Verb) -> frozenset[str]:
    """Return the teams in which the grants allow that; `*` among them stands for every team."""
    return frozenset(grant.team for grant in grants if _may(grant.role, verb, own=False))


def _may(role: Role, verb: Verb, *, own: bool) -> bool:
    return verb in RIGHTS[role] or (own and verb in OWN.get(role, frozenset()))
