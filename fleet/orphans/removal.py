"""Deleting what was chosen, each thing on record, after what stays has got its tag."""

from __future__ import annotations

from typing import Any

from fleet.ledger import Act
from fleet.orphans.choice import Choice, Outcome, Result
from fleet.orphans.judge import Found
from fleet.orphans.marks import mark, tags_for
from fleet.orphans.proofs import Place, place_of
from fleet.orphans.removals import Clients
from fleet.orphans.rounds import SECONDS, Target, Tell, delete_all
from fleet.session import AccountSession
from fleet.sweep import shared_clients
from stacks import naming

ACT = "account.sweep"
ENDED = "thing.deleted"
"""The ledger's event of one thing's end."""
TAGGED = "thing.tagged"
"""The ledger's event of a thing that stays and got its environment's tag."""


def require_right(session: AccountSession) -> None:
    """Raise UserError, on record, where the caller's role does not allow to delete what is left over."""
    with session.recording_refusal(ACT, naming.ACCOUNT_STACK):
        session.require("account.sweep")


class _Cloud:
    """The clients of each region; what belongs to none is asked for in the account's."""

    def __init__(self, session: AccountSession) -> None:
        self._session = session
        self._made: dict[str, Clients] = {}

    def of(self, found: Found) -> Clients:
        region = found.listed.region or self._session.account.region
        return self._made.setdefault(region, shared_clients(self._session.cloud, region))


def remove(
    session: AccountSession,
    choice: Choice,
    tell: Tell,
    *,
    seconds: float = SECONDS,
    pause: float = 1.0,
) -> list[Outcome]:
    """Tag what needs it, delete what was chosen, in its order, and return what became of each of these.

    Where a tag cannot be put, what proves the thing's owner stays. The ledger has the whole list before the
    first is touched, and each outcome as it comes. Raises UserError, on record, where the caller's role does
    not allow it, and LedgerError where the ledger can't be written.
    """
    require_right(session)
    cloud = _Cloud(session)
    things = [_about(each) for each in choice.goes]
    tagged = [_about(each.found) for each in choice.marks]
    with session.ledger.act(ACT, naming.ACCOUNT_STACK, things=things, to_tag=tagged) as act:
        act.details |= {"deleted": [], "failed": [], "kept": [], "tagged": []}
        outcomes, kept = _tag(session, act, cloud, choice, tell)
        for each in choice.goes:
            if why := kept.get(place_of(each.listed)):
                outcomes.append(Outcome(found=each, result="kept", why=why))
                act.details["kept"].append(_named(each))
        goes = [each for each in choice.goes if place_of(each.listed) not in kept]
        targets = {Target(each.listed.thing, cloud.of(each), each.listed.comes_along): each for each in goes}
        for target, why in delete_all(tuple(targets), tell, seconds=seconds, pause=pause):
            result: Result = "failed" if why else "deleted"
            outcomes.append(
                _ended(session, act, ENDED, Outcome(found=targets[target], result=result, why=why))
            )
            tell(f"{result}: {_named(targets[target])}")
    return outcomes


def _tag(
    session: AccountSession, act: Act, cloud: _Cloud, choice: Choice, tell: Tell
) -> tuple[list[Outcome], dict[Place, str]]:
    """Tag what needs it; return what became of it, and what has to stay where that failed, with why."""
    outcomes: list[Outcome] = []
    kept: dict[Place, str] = {}
    for each in choice.marks:
        if refused := mark(cloud.of(each.found), each.found):
            why = f"it proves whose the {_named(each.found)} is, which could not be tagged: {refused}"
            kept |= {place: kept.get(place, why) for place in each.needs}
            outcome = Outcome(found=each.found, result="kept", why=f"{each.why}; not tagged: {refused}")
        else:
            outcome = Outcome(found=each.found, result="tagged", why=each.why)
        outcomes.append(_ended(session, act, TAGGED, outcome, tags=tags_for(each.found)))
        tell(f"{outcome.result}: {_named(each.found)}")
    return outcomes, kept


def _ended(session: AccountSession, act: Act, event: str, outcome: Outcome, **more: Any) -> Outcome:
    """Put on record what became of a thing, and return it."""
    # Part of the act's own end too: what comes next may be what cannot be recorded.
    act.details[outcome.result].append(_named(outcome.found))
    done = outcome.result in ("deleted", "tagged")
    details = {**_about(outcome.found), **more, **({} if done else {"why": outcome.why})}
    session.ledger.append(event, outcome.found.environment, "succeeded" if done else "failed", details)
    return outcome


def _named(found: Found) -> str:
    return f"{found.listed.thing.kind} {found.listed.thing.id}"


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
