"""Whose each thing of an account is, with the proof: its tag, its name, what it says, or what it hangs on."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fleet.listings.listed import Key, Link, Listed
from fleet.listings.names import bucket_names, likely_names, own_name, region_at_end
from fleet.listings.networks import VOUCHING
from stacks import naming

Place = tuple[Key, str]
"""A thing's key and the region that it was listed in."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whose a thing is, and why."""

    environment: str
    region: str
    """Where that environment is; "" where nothing tells."""
    why: str
    stack: str = ""
    team: str = ""
    by_link: bool = False
    """Whether it is ours only by what it hangs on."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a judgement is about, beside the things."""

    id: str
    organization: str
    regions: tuple[str, ...]
    now: datetime.datetime
    environments: frozenset[str] = frozenset()
    """Names that the project's files declare; more are learnt from the things."""
    fleets: frozenset[str] = frozenset()
    """The same of fleets."""
    retains: frozenset[tuple[str, str]] = frozenset()
    """Environment and kind of what the files say that a teardown keeps."""


def place_of(listed: Listed) -> Place:
    """Return what a thing is known by among those of all regions."""
    return listed.key, listed.region


def is_untagged(listed: Listed) -> bool:
    """Return whether a thing lacks the tag by which an environment's things are told."""
    return naming.TAG_ENVIRONMENT not in listed.tags


def find_proofs(listed: Collection[Listed], account: Account) -> dict[Place, Proof]:
    """Return the proof of each thing that is an environment's; those of other tools must be left out."""
    proofs = {place_of(each): proof for each in listed if (proof := _direct(each))}
    names, regions = _environments(proofs.values(), account), _regions(proofs.values(), account)
    buckets = bucket_names(account.organization, names, regions)
    for each in listed:
        if each.thing.kind == "S3 bucket" and is_untagged(each) and (named := buckets.get(each.thing.id)):
            why = f"the name of a bucket of {named.environment}, with {account.organization} before it"
            proofs[place_of(each)] = Proof(environment=named.environment, region=named.region, why=why)
    hangs = find_hangs(listed)
    while more := dict(_inherited(hangs, proofs)):
        proofs |= more
    return proofs


def _direct(listed: Listed) -> Proof | None:
    """Return the proof that a thing carries itself; a tag outweighs the name, and that what it says."""
    named, tagged = own_name(listed.key, listed.name), listed.tags.get(naming.TAG_ENVIRONMENT)
    region = (named.region if named else "") or listed.region or region_at_end(listed.name)
    if tagged == naming.ACCOUNT_STACK:
        return None
    if tagged:
        return Proof(
            environment=tagged, region=region, why=f"the tag {naming.TAG_ENVIRONMENT}={tagged}",
            stack=listed.thing.stack, team=listed.tags.get(naming.TAG_TEAM, ""),
        )  # fmt: skip
    if named:
        return Proof(environment=named.environment, region=region, why="a name that fleetform alone gives")
    if listed.says and listed.says.environment != naming.ACCOUNT_STACK:
        return Proof(environment=listed.says.environment, region=region, why=listed.says.how)
    return None


def find_hangs(listed: Iterable[Listed]) -> dict[Place, tuple[Link, ...]]:
    """Return what each thing without a tag hangs on.

    An interface hangs on what brought it too, and a VPC on those of its parts that prove it.
    """
    hangs = {place_of(each): each.links for each in listed if is_untagged(each)}
    for each in listed:
        for interface in each.brings:
            place = (Key("network interface", interface), each.region)
            if place in hangs:
                hangs[place] = (*hangs[place], Link("came with", each.key))
        if each.thing.kind in VOUCHING and not is_untagged(each):
            for link in each.links:
                place = (link.to, each.region)
                if link.to.kind == "VPC" and place in hangs:
                    hangs[place] = (*hangs[place], Link("has", each.key))
    return hangs


def _inherited(
    hangs: Mapping[Place, tuple[Link, ...]], proofs: Mapping[Place, Proof]
) -> Iterator[tuple[Place, Proof]]:
    """Yield the proof of each thing without one that hangs on something of ours."""
    for place, links in hangs.items():
        if place not in proofs and (found := inherit(links, place[1], proofs)):
            yield place, found


def inherit(links: Iterable[Link], region: str, proofs: Mapping[Place, Proof]) -> Proof | None:
    """Return what the first of the links that leads to something of ours proves, None where none does."""
    for link in links:
        ours = proofs.get((link.to, region)) or proofs.get((link.to, ""))
        if ours is not None:
            why = f"it {link.how} the {link.to.kind} {link.to.id} of {ours.environment}"
            return replace(ours, why=why, by_link=True)
    return None


def find_likely(
    listed: Collection[Listed], proofs: Mapping[Place, Proof], account: Account
) -> dict[Place, Proof]:
    """Return whose the unproven things may be that are named as the stacks name theirs: no proof at all."""
    names, regions = _environments(proofs.values(), account), _regions(proofs.values(), account)
    likely = likely_names(names, regions, _fleets(listed, account))
    found = {}
    for each in listed:
        named = likely.get(Key(each.thing.kind, each.name))
        if named and is_untagged(each) and place_of(each) not in proofs:
            why = "the name that the stacks would give it"
            found[place_of(each)] = Proof(environment=named.environment, region=named.region, why=why)
    return found


def find_teams(listed: Iterable[Listed]) -> dict[str, str]:
    """Return the team of each environment by the tags of its things, none where they disagree."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for each in listed:
        if team := each.tags.get(naming.TAG_TEAM):
            told[each.tags.get(naming.TAG_ENVIRONMENT, "")].add(team)
    return {environment: min(teams) for environment, teams in told.items() if len(teams) == 1}


def _environments(proofs: Iterable[Proof], account: Account) -> frozenset[str]:
    return account.environments | {each.environment for each in proofs}


def _regions(proofs: Iterable[Proof], account: Account) -> frozenset[str]:
    return frozenset(account.regions) | {each.region for each in proofs if each.region}


def _fleets(listed: Iterable[Listed], account: Account) -> frozenset[str]:
    """Return the names of fleets: those of the files, and those that tags of machines and groups tell."""
    tagged = {each.tags[naming.TAG_FLEET] for each in listed if each.tags.get(naming.TAG_FLEET)}
    return account.fleets | tagged
