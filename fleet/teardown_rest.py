"""What is left after the stacks are gone: looked for, and deleted where it is a stack's that was destroyed.

An apply that was cut off right after the cloud had made something leaves that in no state. It carries the
tags of its stack, by which it is known to go with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.ledger import Act
from fleet.listings.things import Thing
from fleet.orphans.rounds import delete_things
from fleet.receipt import StackReceipt
from fleet.session import Session
from fleet.stores import RETAIN
from fleet.sweep import Leftovers, find_leftovers
from fleet.teardown_found import Found
from fleet.terraform_events import ProgressEvent, Report
from fleet.terraform_state import StateResource

_DATA = frozenset({"S3 bucket", "EBS snapshot", "machine image", "FSx backup"})
"""What somebody may have made to keep something: it is told of, and left."""
_FILE_SYSTEMS = ("FSx file system", "EFS file system", "EFS mount target", "EFS access point")
_PLACES = frozenset({"VPC", "subnet", "security group", "network interface", "route table"})
"""What a file system may stand in."""
_KEYS = frozenset({"KMS key", "KMS alias"})
"""What data may be encrypted with."""


def find_rest(
    session: Session, report: Report, act: Act, stacks: Sequence[StackReceipt], found: Found
) -> Leftovers:
    """Return what is left, after what goes with the stacks that were destroyed has been deleted too."""
    alone = [each.stack for each in stacks if each.fate == "kept on purpose"]
    kept = [*found.kept, *(each for stack in stacks if stack.stack in alone for each in stack.resources)]
    gone = frozenset(each.stack for each in stacks if each.fate == "destroyed")
    leftovers = find_leftovers(session, alone, kept)
    going = list(_going(session, leftovers, gone, found.kept))
    if not going:
        return leftovers

    def tell(text: str) -> None:
        report(ProgressEvent(kind="note", stack=session.spec.name, text=text))

    names = ", ".join(f"{each.kind} {each.id}" for each in going)
    tell(f"deleting what is in no state and goes with it: {names}")
    stayed = delete_things(session.cloud, session.spec.region, session.account.region, going, tell)
    there = {(each.kind, each.id) for each, _ in stayed}
    for each, why in stayed:
        tell(f"{each.kind} {each.id} could not be deleted: {why}")
    act.details["in_no_state"] = [
        f"{each.kind} {each.id}" for each in going if (each.kind, each.id) not in there
    ]
    return find_leftovers(session, alone, kept)


def _going(
    session: Session, leftovers: Leftovers, gone: frozenset[str], kept: Sequence[StateResource]
) -> Iterator[Thing]:
    """Yield what bears the tag of a stack that was destroyed, but for stores whose data is to be retained.

    Where such a store stays, so does what it may stand in and its key: the cloud would refuse, or nobody
    could read the data any more.
    """
    fast, shared = session.spec.fsx.on_teardown == RETAIN, session.spec.efs.on_teardown == RETAIN
    stay = {*_DATA, *(_FILE_SYSTEMS[:1] if fast else ()), *(_FILE_SYSTEMS[1:] if shared else ())}
    if kept or any(each.kind in stay and each.kind in _FILE_SYSTEMS for each in leftovers.left):
        stay |= _PLACES
    if kept or any(each.kind in stay for each in leftovers.left):
        stay |= _KEYS
    yield from (each for each in leftovers.left if each.stack in gone and each.kind not in stay)
