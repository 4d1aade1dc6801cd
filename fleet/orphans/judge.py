"""What of an account is left over: ours, and of no environment that stands; and what looks like it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fleet.listings.listed import Key, Listed
from fleet.orphans.lives import Life, Lives
from fleet.orphans.others import owner_of
from fleet.orphans.proofs import (
    Account,
    Place,
    Proof,
    find_likely,
    find_proofs,
    find_teams,
    inherit,
    place_of,
)
from stacks import naming

Verdict = Literal["orphan", "past its lease", "ending by itself", "not proven", "another's"]
VERDICTS: tuple[Verdict, ...] = ("orphan", "past its lease", "not proven", "ending by itself", "another's")
"""In the order in which they are shown."""
_NEVER_TAGGED = ("KMS alias", "schedule")


@dataclass(frozen=True, kw_only=True)
class Found:
    """One thing that somebody has to know of."""

    listed: Listed
    verdict: Verdict
    environment: str
    team: str
    proof: str
    """Why it is ours, or why it looks as if it were."""
    reason: str
    """What is wrong with it, or who owns it."""
    stack: str = ""
    """The stack that the proof tells, "" where it tells none."""


def judge(listed: Collection[Listed], lives: Lives | None, account: Account) -> list[Found]:
    """Return everything of fleetform's that no standing environment has, and what looks like it.

    `lives` is None where nobody could look at what says which environments stand: nothing is then proven.
    What another tool owns is among it where it has our tag or our name, or hangs on something of ours.
    """
    listed = _with_companions(listed)
    others = {place_of(each): owner for each in listed if (owner := owner_of(each, account.id))}
    proofs = find_proofs([each for each in listed if place_of(each) not in others], account)
    likely, teams = find_likely(listed, proofs, account), find_teams(listed)
    found: list[Found] = []
    for each in listed:
        place = place_of(each)
        proof = proofs.get(place)
        if place in others:
            proof = _resemblance(each, proofs)
        looks = proof or likely.get(place)
        if looks is None:
            continue
        looks = replace(looks, team=looks.team or teams.get(looks.environment, ""))
        if place in others:
            found.append(_found(each, "another's", looks, f"{others[place]} owns it"))
        elif proof is None:
            found.append(_found(each, "not proven", looks, "anybody may have given it that name"))
        else:
            found += _ours(each, looks, lives, account)
    return found


def _with_companions(listed: Collection[Listed]) -> list[Listed]:
    """Return the things, with those marked that came with another one."""
    brought = {
        (Key("network interface", each), bringer.region) for bringer in listed for each in bringer.brings
    }
    return [replace(each, comes_along=True) if place_of(each) in brought else each for each in listed]


def _resemblance(listed: Listed, proofs: Mapping[Place, Proof]) -> Proof | None:
    """Return why another tool's thing could be taken for ours, None where nothing speaks for it."""
    tagged = listed.tags.get(naming.TAG_ENVIRONMENT)
    if tagged == naming.ACCOUNT_STACK:
        return None
    if tagged:
        return Proof(environment=tagged, region="", why=f"the tag {naming.TAG_ENVIRONMENT}={tagged}")
    return inherit(listed.links, listed.region, proofs)


def _ours(listed: Listed, proof: Proof, lives: Lives | None, account: Account) -> Iterator[Found]:
    """Yield what is ours, unless an environment that stands has it."""
    if listed.thing.ends_by_itself:
        yield _found(listed, "ending by itself", proof, listed.thing.note or "it is being deleted")
        return
    if lives is None:
        yield _found(listed, "not proven", proof, "nobody could look which environments stand")
        return
    life, name = lives.of(proof.environment, proof.region), proof.environment
    over = life.ends is not None and life.ends <= account.now
    reason = f"the lease of {name} ended on {life.ends:%Y-%m-%d}" if over else _gone(proof, life)
    if reason and name in lives.at_work:
        reason = f"somebody builds {name} or tears it down: Terraform's state is locked"
        yield _found(listed, "not proven", proof, reason)
    elif reason and proof.region and proof.region not in account.regions:
        reason = f"{name} would be in {proof.region}, which was not looked at"
        yield _found(listed, "not proven", proof, reason)
    elif reason:
        yield _found(listed, "past its lease" if over else "orphan", proof, reason)
    elif proof.by_link and not listed.comes_along and listed.thing.kind not in _NEVER_TAGGED:
        reason = f"{name} stands and may need it: see `fleetform drift {name}`"
        yield _found(listed, "not proven", proof, reason)


def _gone(proof: Proof, life: Life) -> str:
    """Return in words which of its stacks is gone, "" where all stands that it may belong to."""
    if not life.base and not life.fleet:
        return f"no environment {proof.environment} stands"
    if proof.stack == naming.fleet_stack(proof.environment) and not life.fleet:
        return f"the fleet of {proof.environment} was torn down"
    return ""


def _found(listed: Listed, verdict: Verdict, proof: Proof, reason: str) -> Found:
    return Found(
        listed=listed,
        verdict=verdict,
        environment=proof.environment,
        team=proof.team,
        proof=proof.why,
        reason=reason,
        stack=proof.stack,
    )
