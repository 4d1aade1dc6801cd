"""The look before a teardown, put on record before anything is touched, with those of earlier attempts."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from fleet.births import find_births
from fleet.bootstrap import state_written
from fleet.ledger_reading import Entry
from fleet.session import Session
from fleet.sweep import Sweep, sweep
from fleet.teardown_found import EVENT, Found, StackFound, find_unfinished
from fleet.teardown_preview import Scope
from stacks import naming
from stacks.problems import Problem

_BEFORE_BIRTH = datetime.timedelta(days=1)
"""How long before the first of its things an `up`, or before its last write a teardown, may have begun."""


def look_before(
    session: Session, scope: Scope, began: datetime.datetime, anyway: str, against: Sequence[Problem]
) -> Found:
    """Return what stands, with what earlier attempts of this teardown had found; it is on record by then."""
    before, name = sweep(session), session.spec.name
    entries = list(_entries_of_life(session, before))
    births = find_births(entries, name)
    standing = {stack: resources for stack, resources in scope.standing.items() if resources}
    now = Found(
        began=began,
        anyway=anyway,
        overridden=tuple(problem.what for problem in against),
        stacks={
            stack: StackFound(resources=tuple(resources), created=births.get(stack, _seen(before, stack)))
            for stack, resources in standing.items()
        },
        priced=tuple(thing for thing in before.things if thing.usd_per_hour),
        kept=tuple(
            each
            for each in scope.standing[naming.base_stack(name)]
            if any(store.keeps(each) for store in scope.kept)
        ),
    )
    return put_on_record(session, find_unfinished(entries, name, stands=bool(standing)), now)


def put_on_record(session: Session, earlier: Found | None, now: Found) -> Found:
    """Append what was found now to the ledger, and return it together with what was found before."""
    session.ledger.append(EVENT, session.spec.name, "recorded", now.to_details())
    return earlier.then(now) if earlier else now


def _entries_of_life(session: Session, before: Sweep) -> Iterable[Entry]:
    """Return the ledger's entries since the oldest thing that stands, or since the states were last written.

    All of them where things stand and nobody knows their age; none where nothing was ever built. They are
    found by their time, so that a teardown does not read what was written in years before.
    """
    names = naming.environment_stacks(session.spec.name)
    written = (state_written(session.cloud, session.account, name) for name in names)
    moments = [moment for moment in (*written, *(thing.created for thing in before.things)) if moment]
    if not moments and not before.things:
        return ()
    if not moments or min(moments) > datetime.datetime.now(datetime.UTC):
        return session.ledger.entries()  # the sandbox's clock may be ahead of that of the entries
    return session.ledger.entries_since(min(moments) - _BEFORE_BIRTH)


def _seen(before: Sweep, stack: str) -> datetime.datetime | None:
    """Return when the oldest thing of a stack was made."""
    return min((each.created for each in before.things if each.stack == stack and each.created), default=None)
