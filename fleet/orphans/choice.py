"""What of that which a look found may go, what stays with why, and what of that needs a tag first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.listings.listed import Key
from fleet.orphans.judge import Found, Verdict
from fleet.orphans.marks import MARKS
from fleet.orphans.proofs import Account, Place, place_of
from fleet.orphans.removals import REMOVALS, order_of
from fleet.orphans.report import PROVEN
from fleet.orphans.witnesses import find_unproven, find_witnesses

_HOLDS = frozenset({"VPC", "subnet", "security group"})
"""Kinds that cannot go before what lies in them has gone."""
_PART_OF = frozenset({"is of", "is attached to", "is for"})
"""How what comes along with something hangs on it."""
_NEW = "it was not there when you were asked: look again"

Result = Literal["deleted", "failed", "kept", "tagged"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one thing."""

    found: Found
    result: Result
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be deleted of what a look found."""

    data: bool = False
    """Also what data is lost with for good."""
    past_lease: bool = False
    """Also what stands past its lease, which a teardown ends better."""
    shown: frozenset[Place] | None = None
    """What somebody was shown and said yes to: nothing else goes. None where nobody was asked yet."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of what may be deleted at all: it is proven to be ours."""
        return PROVEN if self.past_lease else ("orphan",)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that stays and gets the environment's tag, for what alone proves whose it is goes."""

    found: Found
    why: str
    """Why it stays."""
    needs: frozenset[Place]
    """What stays too where the tag cannot be put: its proof, and what that hangs on."""


@dataclass(frozen=True)
class Choice:
    """What goes, in order, and what stays of what is proven to be ours, with why."""

    goes: tuple[Found, ...]
    stays: tuple[Outcome, ...]
    marks: tuple[Mark, ...] = ()
    """What stays and gets the tag first; none of it is among `stays`."""


def choose(found: Sequence[Found], wanted: Wanted, account: Account) -> Choice:
    """Return what may be deleted: what is proven to be ours, wanted, and holds nothing that stays.

    What would no longer be proven to be ours afterwards gets the tag; of a kind that takes none, the proof
    stays.
    """
    why = {place_of(each.listed): reason for each in found if (reason := _reason(each, wanted, account))}
    why |= _held(found, why)
    # Last, so that what was seen to stay keeps its reason.
    why |= {
        place: _NEW for each in found if (place := place_of(each.listed)) not in why and _is_new(each, wanted)
    }
    why |= _held(found, why)
    while True:
        unproven = find_unproven(found, why, account)
        marks = [each for each in unproven if each.listed.thing.kind in MARKS]
        lost = find_unproven(found, why, account, tagged={place_of(each.listed) for each in marks})
        more = {
            place: f"it alone proves whose the {each.listed.thing.kind} {each.listed.thing.id} is, "
            "which fleetform cannot tag"
            for each in lost
            for place in find_witnesses(each, found, why)
        }
        if not more:
            break
        why |= more
        why |= _held(found, why)
    return _choice(found, why, marks)


def _choice(found: Sequence[Found], why: Mapping[Place, str], marks: Sequence[Found]) -> Choice:
    """Return the choice by the reasons of what stays."""
    marked = {place_of(each.listed) for each in marks}
    goes = [each for each in found if place_of(each.listed) not in why]
    stays = [
        Outcome(found=each, result="kept", why=why[place])
        for each in found
        if (place := place_of(each.listed)) in why and place not in marked and each.verdict in PROVEN
    ]
    return Choice(
        tuple(sorted(goes, key=lambda each: order_of(each.listed.thing.kind))),
        tuple(stays),
        tuple(
            Mark(found=each, why=why[place_of(each.listed)], needs=_needs(each, found, why)) for each in marks
        ),
    )


def _needs(marked: Found, found: Sequence[Found], why: Mapping[Place, str]) -> frozenset[Place]:
    """Return what of that which goes has to stay for a thing to be proven without a tag."""
    witnesses = dict.fromkeys(find_witnesses(marked, found, why), "")
    return frozenset(witnesses | _held(found, {**why, **witnesses}))


def _reason(found: Found, wanted: Wanted, account: Account) -> str:
    """Return why something stays, "" where it may go."""
    if found.verdict not in wanted.verdicts:
        if found.verdict == "past its lease":
            return f"`fleetform down {found.environment} --base` ends it whole; or say --past-lease"
        return f"it is {found.verdict}"
    if found.listed.thing.kind not in REMOVALS:
        return "fleetform does not know how to delete it: do it by hand"
    if (found.environment, found.listed.thing.kind) in account.retains:
        return f"environments/{found.environment}.toml says to retain it (on_teardown)"
    if found.listed.holds_data and not found.listed.comes_along and not wanted.data:
        return "data is lost with it for good: say --data"
    return ""


def _is_new(found: Found, wanted: Wanted) -> bool:
    """Return whether something may go, and nobody was shown it."""
    return wanted.shown is not None and place_of(found.listed) not in wanted.shown


def _held(found: Sequence[Found], stays: Mapping[Place, str]) -> dict[Place, str]:
    """Return what cannot go because of something that stays, with what that is.

    Something lies in it that stays, or it came with something that stays and goes with that.
    """
    held: dict[Place, str] = {}
    listed, parts = {place_of(each.listed): each.listed for each in found}, _parts(found)
    waiting = [place for place in stays if place in listed]
    while waiting:
        place = waiting.pop()
        holder = listed[place]
        named = f"the {holder.thing.kind} {holder.thing.id}"
        lies_in = [(link.to, holder.region) for link in holder.links if link.to.kind in _HOLDS]
        reasons = {
            **dict.fromkeys(lies_in, f"{named} lies in it and stays"),
            **dict.fromkeys(parts[place], f"it goes with {named}, which stays"),
        }
        new = {each: why for each, why in reasons.items() if each not in held and each not in stays}
        held |= new
        waiting += [each for each in new if each in listed]
    return held


def _parts(found: Collection[Found]) -> defaultdict[Place, list[Place]]:
    """Return what came with each thing."""
    parts: defaultdict[Place, list[Place]] = defaultdict(list)
    listed = {place_of(each.listed): each.listed for each in found}
    for place, each in listed.items():
        for interface in each.brings:
            brought = (Key("network interface", interface), each.region)
            parts[place] += [brought] if brought in listed else []
        for link in each.links if each.comes_along else ():
            if link.how in _PART_OF:
                parts[link.to, each.region].append(place)
    return parts
