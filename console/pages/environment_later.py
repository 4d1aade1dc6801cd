"""What comes a moment after an environment's page: what it has cost this month, what was done to it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from console.estate import Standing
from console.pages.record_view import entry_href
from console.records.latest import latest
from console.web.visit import Visit
from console.words.codes import outcome_name
from console.words.events import event_name
from console.words.reader import Reader
from console.words.said import said
from fleet.at_once import each_at_once
from fleet.budget import Budget
from fleet.identity import person
from fleet.ledger_reading import Entry
from fleet.session import Session
from fleet.team_budgets import TeamBudget
from templates.console.environment import AmountRow, ChangeRow, ChangesPart, EnvironmentMoney, TeamMoney
from templates.console.home import Tone
from templates.console.phrase import Phrase

MOST = 8
"""Changes that are shown."""
_ENTRIES = 2 * MOST + 2
"""An act has two entries, its beginning and its end."""
_LONGEST = 300
"""Of what is said of a change."""
_TONES: dict[str, Tone] = {"succeeded": "good", "started": "busy", "failed": "bad", "refused": "bad"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One act on an environment, or one thing that its account did to it."""

    sequence: int
    """The entry that says how it ended; where none does, that of its beginning."""
    time: str
    """When it ended, or where it has not when it began; UTC, ISO 8601."""
    event: str
    outcome: str
    """`started` where nothing says how it ended."""
    actor: Mapping[str, Any]
    details: Mapping[str, Any]
    """Those of its beginning and of its end."""


def money(visit: Visit, standing: Standing, session: Session) -> EnvironmentMoney:
    """Return what the environment has cost this month, and what is left of its budget."""
    _, reader = visit.reader.gettext, visit.reader
    counted = visit.services.closer.counted(session)
    budget = counted.budget
    parts = (
        (_("Machines that run, and what stands beside them"), budget.machines),
        (_("What was torn down this month"), budget.torn_down),
        (_("Runs on machines that have gone"), budget.runs),
    )
    return EnvironmentMoney(
        month=reader.month(datetime.date.fromisoformat(f"{budget.month}-01")),
        spent=tuple(AmountRow(label=label, amount=reader.usd(round(usd, 4))) for label, usd in parts),
        total=reader.usd(budget.spent),
        reserved=reader.usd(budget.reserved),
        limit="" if budget.limit is None else reader.usd(budget.limit),
        left="" if budget.left is None else reader.usd(max(0.0, budget.left)),
        over=budget.left is not None and budget.left <= 0,
        teams=tuple(_team(reader, each) for each in budget.teams if visit.may("run.see", each.team)),
        bill=tuple(said(reader, line) for line in counted.net.lines()) if counted.net else (),
        notes=(*_notes(visit, standing, budget), *(said(reader, each) for each in counted.unseen)),
        at=reader.moment(counted.at),
    )


def _team(reader: Reader, found: TeamBudget) -> TeamMoney:
    text = reader.gettext(
        "The own limit of the team {team} is used up for this month: it starts no run until its runs end, "
        "the month does, or the limit is raised."
    )
    return TeamMoney(
        team=found.team,
        spent=reader.usd(found.spent),
        reserved=reader.usd(found.reserved),
        limit="" if found.limit is None else reader.usd(found.limit),
        left="" if found.left is None else reader.usd(max(0.0, found.left)),
        over=text.format(team=found.team) if found.left is not None and found.left <= 0 else "",
    )


def _notes(visit: Visit, standing: Standing, budget: Budget) -> tuple[Phrase, ...]:
    """Return what could not be counted; it names runs, which not all may see of teams that share it."""
    if not all(visit.may("run.see", team) for team in standing.teams):
        return ()
    return tuple(said(visit.reader, note) for note in budget.notes)


def changes(visit: Visit, standing: Standing) -> ChangesPart:
    """Return what was done to the environment lately, newest first."""
    services = visit.services
    rows = latest(services.database, services.record, standing.name, limit=_ENTRIES)
    entries = each_at_once(services.record.entry, [row.sequence for row in reversed(rows)])
    linked = any(visit.may("record.read", team) for team in standing.teams)
    found = changes_of([each for each in entries if each is not None])[:MOST]
    return ChangesPart(changes=tuple(_change(visit, each, linked=linked) for each in found))


def changes_of(entries: Iterable[Entry]) -> list[Change]:
    """Return what entries on one environment tell, oldest first, as changes, newest first: an act once."""
    found: list[Change] = []
    begun: dict[str, Change] = {}
    for entry in entries:
        event, details = entry["event"], entry["details"]
        if entry["outcome"] != "started" and (earlier := begun.pop(event, None)) is not None:
            found.remove(earlier)
            details = {**earlier.details, **details}
        change = Change(
            sequence=entry["sequence"], time=entry["time"], event=event, outcome=entry["outcome"],
            actor=entry["actor"], details=details,
        )  # fmt: skip
        if change.outcome == "started":
            begun[event] = change
        found.append(change)
    return found[::-1]


def _change(visit: Visit, change: Change, *, linked: bool) -> ChangeRow:
    reader, details = visit.reader, change.details
    reason = details.get("cause") or details.get("reason") or details.get("anyway") or ""
    said = details.get("problems") or [reason]
    return ChangeRow(
        at=reader.moment(change.time),
        what=event_name(reader, change.event),
        href=entry_href(change.sequence) if linked else "",
        who=_who(change.actor),
        outcome=outcome_name(reader, change.outcome),
        tone=_TONES.get(change.outcome, "plain"),
        why="; ".join(str(each) for each in said)[:_LONGEST],
    )


def _who(actor: Mapping[str, Any]) -> str:
    """Return who did it: who asked through the console, else the person that the cloud vouches for."""
    asked, identity = actor.get("asked_by", {}).get("name"), str(actor.get("identity", ""))
    return str(asked or actor.get("person") or person(identity) or identity.rpartition("/")[2])
