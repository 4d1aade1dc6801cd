"""Destroying an environment's stacks in reverse, and what became of each."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from fleet.bootstrap import read_state_object, state_written
from fleet.destroy import destroy
from fleet.estate import open_stack
from fleet.ledger import Act
from fleet.receipt import Fate, StackReceipt, hourly
from fleet.session import Session
from fleet.stores import empty_buckets, find_kept
from fleet.teardown_found import Found
from fleet.terraform_events import ProgressEvent, Report
from fleet.terraform_state import StateResource, read_state
from stacks import naming


def destroy_stacks(
    session: Session, report: Report, act: Act, found: Found, *, base: bool
) -> list[StackReceipt]:
    """Destroy the fleet, and the base with `base`; return what became of each stack.

    What an earlier attempt of this teardown has destroyed counts as destroyed.
    """
    receipts: list[StackReceipt] = []
    own = naming.base_stack(session.spec.name)
    names = tuple(reversed(naming.environment_stacks(session.spec.name)))
    for name in names:
        resources = _standing(session, name)
        if resources and (base or name != own):
            _destroy(session, report, name, resources, names if base else names[:1])
            resources = []
        receipts.append(_became(session, name, resources, found))
        if receipts[-1].fate == "destroyed":
            act.details.setdefault("destroyed", []).append(name)
    return receipts


def _became(session: Session, name: str, resources: Sequence[StateResource], found: Found) -> StackReceipt:
    """Return what became of a stack that by now holds these resources."""
    before = found.stacks.get(name)
    fate: Fate = "kept on purpose" if resources else "destroyed" if before else "was not there"
    return StackReceipt(
        stack=name,
        fate=fate,
        resources=before.resources if before else tuple(resources),
        created=before.created if before else None,
        ended=_ended(session, name, before.created if before else None) if fate == "destroyed" else None,
        usd_per_hour=hourly(thing for thing in found.priced if thing.stack == name),
    )


def _ended(session: Session, name: str, created: datetime.datetime | None) -> datetime.datetime:
    """Return when the destruction was over: Terraform's last write of the state, whoever waited for it.

    Now, where that tells nothing: there is no state any more, or clocks differ.
    """
    written, now = state_written(session.cloud, session.account, name), datetime.datetime.now(datetime.UTC)
    return written if written and (created or written) <= written <= now else now


def _destroy(
    session: Session, report: Report, name: str, resources: Sequence[StateResource], stacks: Sequence[str]
) -> None:
    """Destroy one stack; what holds data that is to be retained is taken out of it first, and stays."""

    def tell(text: str) -> None:
        report(ProgressEvent(kind="note", stack=name, text=text))

    stack = open_stack(session, name, report)
    if name == naming.base_stack(session.spec.name):
        stores = find_kept(session, resources)
        if kept := [each.address for each in resources if any(store.keeps(each) for store in stores)]:
            stack.forget(kept)
        empty_buckets(session, stores, tell)
    destroy(session, stack, stacks, lambda: _standing(session, name))


def _standing(session: Session, name: str) -> list[StateResource]:
    return read_state(read_state_object(session.cloud, session.account, name))
