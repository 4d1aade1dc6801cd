"""What of that which a look found may be deleted, and deleting it, each thing on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fleet.orphans.judge import Found, Verdict
from fleet.orphans.proofs import Place, place_of
from fleet.orphans.removals import REMOVALS, order_of
from fleet.orphans.report import PROVEN
from fleet.orphans.rounds import SECONDS, Target, Tell, delete_all
from fleet.session import AccountSession
from fleet.sweep import shared_clients
from stacks import naming

ACT = "account.sweep"
ENDED = "thing.deleted"
"""The ledger's event of one thing's end."""
_HOLDS = frozenset({"VPC", "subnet", "security group"})
"""Kinds that cannot go before what lies in them has gone."""

Result = Literal["deleted", "failed", "kept"]


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
    retains: frozenset[tuple[str, str]] = frozenset()
    """Environment and kind of what never goes, for a file says to retain it."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of what may be deleted at all: it is proven to be ours."""
        return PROVEN if self.past_lease else ("orphan",)


@dataclass(frozen=True)
class Choice:
    """What goes, in order, and what stays of what is proven to be ours, with why."""

    goes: tuple[Found, ...]
    stays: tuple[Outcome, ...]


def choose(found: Sequence[Found], wanted: Wanted) -> Choice:
    """Return what may be deleted: what is proven to be ours, wanted, and holds nothing that stays."""
    why = {place_of(each.listed): reason for each in found if (reason := _reason_to_stay(each, wanted))}
    why |= _held(found, why)
    goes = [each for each in found if place_of(each.listed) not in why]
    stays = [
        Outcome(found=each, result="kept", why=why[place_of(each.listed)])
        for each in found
        if place_of(each.listed) in why and each.verdict in PROVEN
    ]
    return Choice(tuple(sorted(goes, key=lambda each: order_of(each.listed.thing.kind))), tuple(stays))


def _reason_to_stay(found: Found, wanted: Wanted) -> str:
    """Return why something stays, "" where it may go."""
    if found.verdict not in wanted.verdicts:
        if found.verdict == "past its lease":
            return f"`fleetform down {found.environment} --base` ends it whole; or say --past-lease"
        return f"it is {found.verdict}"
    if found.listed.thing.kind not in REMOVALS:
        return "fleetform does not know how to delete it: do it by hand"
    if (found.environment, found.listed.thing.kind) in wanted.retains:
        return f"environments/{found.environment}.toml says to retain it (on_teardown)"
    if found.listed.holds_data and not found.listed.comes_along and not wanted.data:
        return "data is lost with it for good: say --data"
    return ""


def _held(found: Sequence[Found], stays: dict[Place, str]) -> dict[Place, str]:
    """Return what cannot go because something lies in it that stays, with what that is."""
    held: dict[Place, str] = {}
    listed = {place_of(each.listed): each.listed for each in found}
    waiting = [listed[place] for place in stays]
    while waiting:
        holder = waiting.pop()
        for link in holder.links:
            place = (link.to, holder.region)
            if link.to.kind in _HOLDS and place not in held and place not in stays:
                held[place] = f"the {holder.thing.kind} {holder.thing.id} lies in it and stays"
                waiting += [listed[place]] if place in listed else []
    return held


def require_right(session: AccountSession) -> None:
    """Raise UserError, on record, where the caller's role does not allow to delete what is left over."""
    with session.recording_refusal(ACT, naming.ACCOUNT_STACK):
        session.require("account.sweep")


def remove(
    session: AccountSession,
    goes: Sequence[Found],
    tell: Tell,
    *,
    seconds: float = SECONDS,
    pause: float = 1.0,
) -> list[Outcome]:
    """Delete what was chosen, in its order, and return what became of each.

    The ledger has the whole list before the first is deleted, and each outcome as it comes. Raises UserError,
    on record, where the caller's role does not allow it, and LedgerError where the ledger can't be written.
    """
    require_right(session)
    regions = {each.listed.region or session.account.region for each in goes}
    clients = {region: shared_clients(session.cloud, region) for region in regions}
    by_target = {
        Target(
            each.listed.thing, clients[each.listed.region or session.account.region], each.listed.comes_along
        ): each
        for each in goes
    }
    outcomes: list[Outcome] = []
    with session.ledger.act(ACT, naming.ACCOUNT_STACK, things=[_about(each) for each in goes]) as act:
        act.details |= {"deleted": [], "failed": []}
        for target, why in delete_all(tuple(by_target), tell, seconds=seconds, pause=pause):
            found = by_target[target]
            result: Result = "failed" if why else "deleted"
            # Part of the act's own end too: what comes next may be what cannot be recorded.
            act.details[result].append(f"{target.thing.kind} {target.thing.id}")
            outcomes.append(Outcome(found=found, result=result, why=why))
            details = {**_about(found), **({"why": why} if why else {})}
            session.ledger.append(ENDED, found.environment, "failed" if why else "succeeded", details)
            tell(f"{result}: {target.thing.kind} {target.thing.id}")
    return outcomes


def _about(found: Found) -> dict[str, Any]:
    """Return what the ledger says of one thing."""
    return {
        "kind": found.listed.thing.kind,
        "id": found.listed.thing.id,
        "region": found.listed.region,
        "environment": found.environment,
        "proof": found.proof,
        "reason": found.reason,
        "usd_per_hour": found.listed.thing.usd_per_hour,
    }
