"""Deleting what is left over in the account, of what somebody was shown on the page before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, get_args

from console.acts.folder import Task
from console.acts.launching import in_name
from console.acts.spec import Sweep, verb_of
from fleet.clearing import Cleared, clear
from fleet.listings.listed import Key
from fleet.orphans.choice import Choice, Outcome, Result, Wanted
from fleet.orphans.judge import Found
from fleet.orphans.proofs import Place, place_of
from fleet.orphans.report import LEFT
from fleet.session import open_account
from fleet.terraform_events import Kind, ProgressEvent, Report

STACK = "leftovers"
"""What its progress is told of."""
_MOST = 500
"""So many things of one outcome are told on the act's page; the record has all."""
_RESULTS = get_args(Result)


def sweep(task: Task, act: Sweep, report: Report) -> dict[str, Any]:
    """Carry it out; return what went, what is held still, what stays and what remains, for the act's page."""
    account = replace(open_account(task.cloud, project=task.project), asked_by=task.asked_by)
    session = in_name(account, verb_of(act))
    count = Counter[str]()

    def begun(choice: Choice) -> None:
        count["total"] = len(choice.goes) + len(choice.marks)
        tell("looked again")

    def tell(text: str) -> None:
        """Tell one line, and count it where it tells the end of a thing."""
        count["done"] += text.partition(":")[0] in _RESULTS
        kind: Kind = "done" if count["total"] else "note"
        report(ProgressEvent(kind=kind, stack=STACK, text=text, done=count["done"], total=count["total"]))

    tell("looking again")
    wanted = Wanted(data=act.data, past_lease=act.past_lease)
    shown: set[Place] = {(Key(kind, identity), region) for kind, identity, region in act.shown}
    scope = (act.scope,) if act.scope else ()
    return _said(clear(session, wanted, shown, tell, environments=scope, begun=begun), shown)


def _said(cleared: Cleared, shown: set[Place]) -> dict[str, Any]:
    """Return what came of it."""
    choice = cleared.choice
    rest = [*(each.found for each in choice.stays), *(each.found for each in choice.marks)]
    known = [*choice.goes, *rest]
    ended = {result: [each for each in cleared.outcomes if each.result == result] for result in _RESULTS}
    after = cleared.after
    return {
        "gone_before": len(shown - {place_of(each.listed) for each in known}),
        "whole": not ended["failed"] and not ended["kept"],
        "counts": {result: len(some) for result, some in ended.items()},
        "deleted": _told(ended["deleted"]),
        "tagged": _told(ended["tagged"]),
        "held": _told([*ended["failed"], *ended["kept"]]),
        "stays": _told(choice.stays),
        "left": {verdict: len(after.of(verdict)) for verdict in LEFT},
        "not_looked": [f"{each.title}: {each.why}" for each in after.not_looked],
    }


def _told(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    told = [{**_named(each.found), "why": each.why} for each in outcomes]
    return told[:_MOST]


def _named(found: Found) -> dict[str, str]:
    thing = found.listed.thing
    return {"kind": thing.kind, "id": thing.id, "environment": found.environment}
