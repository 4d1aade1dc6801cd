"""What a teardown found before it destroyed anything, kept in the ledger: a killed one goes on where it was.

What is destroyed can't be looked at again. So each attempt puts what it finds on record before it touches
anything, and the receipt of the last attempt is made from all of them: it says the same as that of a teardown
that ran once.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from fleet.listings.things import Thing
from fleet.terraform_state import StateResource

EVENT = "teardown.found"
_UP, _DOWN = "environment.up", "environment.down"

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StackFound:
    """One stack as it stood."""

    resources: tuple[StateResource, ...]
    created: datetime.datetime | None
    """When its life began, None where nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An environment as the attempts of one teardown found it."""

    began: datetime.datetime
    """When the first attempt began."""
    anyway: str = ""
    overridden: tuple[str, ...] = ()
    stacks: Mapping[str, StackFound] = field(default_factory=dict)
    """The stacks that stood, by name."""
    priced: tuple[Thing, ...] = ()
    """What cost money by the hour."""
    kept: tuple[StateResource, ...] = ()
    """What holds data that is to be retained: taken out of the state and left standing."""

    def to_details(self) -> dict[str, Any]:
        """Return it as a ledger entry has it."""
        stacks = {
            name: {"created": _text(each.created), "resources": _rows(each.resources)}
            for name, each in self.stacks.items()
        }
        return {
            "began": _text(self.began),
            "anyway": self.anyway,
            "overridden": list(self.overridden),
            "stacks": stacks,
            "priced": [{**asdict(each), "created": _text(each.created)} for each in self.priced],
            "kept": _rows(self.kept),
        }

    @classmethod
    def from_details(cls, details: Mapping[str, Any]) -> Self:
        """Return what a ledger entry says; raises KeyError and the like for what is none of ours."""
        return cls(
            began=datetime.datetime.fromisoformat(details["began"]),
            anyway=details["anyway"],
            overridden=tuple(details["overridden"]),
            stacks={
                name: StackFound(resources=_resources(each["resources"]), created=_moment(each["created"]))
                for name, each in details["stacks"].items()
            },
            priced=tuple(
                Thing(**{**each, "created": _moment(each["created"])}) for each in details["priced"]
            ),
            kept=_resources(details["kept"]),
        )

    def but_for(self, overridden: Sequence[str]) -> Found:
        """Return the same with other things that were overridden."""
        return replace(self, overridden=tuple(overridden))

    def then(self, later: Found) -> Found:
        """Return what this and a later attempt of the same teardown found together.

        Of what both found, the first look counts: by the second one a machine may be ending already.
        """
        stacks = dict(self.stacks)
        for name, each in later.stacks.items():
            before = stacks.get(name)
            stacks[name] = each if before is None or _is_another(before, each) else _joined(before, each)
        known = {(thing.kind, thing.id) for thing in self.priced}
        new = (thing for thing in later.priced if (thing.kind, thing.id) not in known)
        return replace(
            self,
            anyway=self.anyway or later.anyway,
            overridden=tuple(dict.fromkeys((*self.overridden, *later.overridden))),
            stacks=stacks,
            priced=(*self.priced, *new),
            kept=_together(self.kept, later.kept),
        )


def find_unfinished(entries: Iterable[Entry], environment: str, *, stands: bool) -> Found | None:
    """Return what earlier attempts of a teardown that is not over have found, None where there is none.

    `entries` are the ledger's, in order. A teardown is over with the next `up`. It is over, too, once it has
    ended with the proof that nothing is left, where any stack of the environment `stands` now: what goes
    then is another teardown's. Where none stands, going over it again is the same teardown.
    """
    found, proven = list[Found](), False
    for entry in entries:
        if entry["target"] != environment:
            continue
        event, outcome, details = entry["event"], entry["outcome"], entry["details"]
        if event == _UP and outcome == "started":
            found, proven = [], False
        elif event == EVENT:
            if proven and details["stacks"]:
                found = []
            proven = False
            found.append(Found.from_details(details))
        elif event == _DOWN and outcome == "succeeded":
            proven = not details.get("left") and not details.get("not_looked")
    if not found or (proven and stands):
        return None
    together = found[0]
    for each in found[1:]:
        together = together.then(each)
    return together


def _is_another(before: StackFound, now: StackFound) -> bool:
    """Return whether a stack was built anew in between, past fleetform: something of it has another id."""
    ids = {each.address: each.id for each in before.resources}
    return any(ids.get(each.address, each.id) != each.id for each in now.resources)


def _joined(before: StackFound, now: StackFound) -> StackFound:
    return StackFound(
        resources=_together(before.resources, now.resources), created=before.created or now.created
    )


def _together(before: Sequence[StateResource], now: Sequence[StateResource]) -> tuple[StateResource, ...]:
    by_address = {each.address: each for each in (*now, *before)}
    return tuple(by_address[address] for address in sorted(by_address))


def _rows(resources: Iterable[StateResource]) -> list[list[str]]:
    return [[each.address, each.kind, each.id, each.name] for each in resources]


def _resources(rows: Iterable[Sequence[str]]) -> tuple[StateResource, ...]:
    names = ("address", "kind", "id", "name")
    return tuple(StateResource(**dict(zip(names, row, strict=True))) for row in rows)


def _text(moment: datetime.datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _moment(text: str) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(text) if text else None
