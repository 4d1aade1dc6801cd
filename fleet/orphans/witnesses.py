"""What a deletion would leave behind that nothing proves to be ours any more, and what proves it now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from fleet.listings.listed import Listed
from fleet.orphans.judge import Found
from fleet.orphans.proofs import Account, Place, find_hangs, find_proofs, place_of
from fleet.orphans.report import LEFT, PROVEN
from stacks import naming


def find_unproven(
    found: Sequence[Found],
    stays: Collection[Place],
    account: Account,
    tagged: Collection[Place] = (),
) -> list[Found]:
    """Return what is proven to be ours and stays, and would not be proven where only `stays` were left.

    Those of `tagged` count as if they had their environment's tag.
    """
    left = [
        _tagged(each) if place in tagged else each.listed
        for each in found
        if (place := place_of(each.listed)) in stays and each.verdict in LEFT
    ]
    proofs = find_proofs(left, account)
    return [
        each
        for each in found
        if each.verdict in PROVEN
        and (place := place_of(each.listed)) in stays
        and (place not in proofs or proofs[place].environment != each.environment)
    ]


def _tagged(found: Found) -> Listed:
    tags = {**found.listed.tags, naming.TAG_ENVIRONMENT: found.environment}
    return replace(found.listed, tags=tags)


def find_witnesses(unproven: Found, found: Sequence[Found], stays: Collection[Place]) -> frozenset[Place]:
    """Return what goes of all that a thing hangs on, over any number of steps.

    What a witness itself hangs on is among it: a group that is deleted ends its machines. Where a thing hangs
    on nothing that goes, it is known by its environment's name, and whatever else proves that is a witness.
    """
    ours = [each.listed for each in found if each.verdict in LEFT]
    hangs = {**{place_of(each): each.links for each in ours}, **find_hangs(ours)}
    seen, waiting = set[Place](), [place_of(unproven.listed)]
    while waiting:
        place = waiting.pop()
        near = {(link.to, region) for link in hangs[place] for region in (place[1], "")}
        new = (near & hangs.keys()) - seen
        seen |= new
        waiting += new
    by_name = {place_of(each.listed) for each in found if each.environment == unproven.environment}
    return frozenset(seen - set(stays) or by_name - set(stays))
