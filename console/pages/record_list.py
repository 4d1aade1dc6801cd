"""What lists of entries share: the filters that are asked for, the page of entries, the links around it."""

from __future__ import annotations

import datetime
import zoneinfo
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query

from console.pages import record_view
from console.people import names
from console.records.index import Reach
from console.store import entry_rows
from console.store.entry_rows import EntryPage, Where
from console.web.visit import Visit
from console.words.codes import outcome_name
from console.words.events import event_names
from templates.console.parts import Choice
from templates.console.record import EntryLine, Filters

ROWS = 50
_A_DAY = datetime.timedelta(days=1)
OUTCOMES = ("started", "succeeded", "failed", "refused", "interrupted", "recorded")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a list is narrowed down to, as it stands in the address."""

    environment: str
    event: str
    outcome: str
    person: str
    since: str
    until: str
    before: str

    def filtered(self) -> dict[str, str]:
        """Return the filters that are set, by their names."""
        named = {"environment": self.environment, "event": self.event, "outcome": self.outcome}
        named |= {"person": self.person, "since": self.since, "until": self.until}
        return {name: value for name, value in named.items() if value}

    @property
    def day(self) -> datetime.date | None:
        """The day since which, None for none or for what is no day."""
        return _day(self.since)

    @property
    def last_day(self) -> datetime.date | None:
        """The last day, None for none or for what is no day."""
        return _day(self.until)


def _day(text: str) -> datetime.date | None:
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        return None
    return found if found < datetime.date.max else None  # there is no day after it


def asked(
    environment: Annotated[str, Query(max_length=40)] = "",
    event: Annotated[str, Query(max_length=64)] = "",
    outcome: Annotated[str, Query(max_length=16)] = "",
    person: Annotated[str, Query(max_length=200)] = "",
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    before: Annotated[str, Query(max_length=12)] = "",
) -> Asked:
    """Return the filters of a request; what is none of ours filters nothing."""
    return Asked(
        environment=environment.strip(),
        event=event.strip(),
        outcome=outcome if outcome in OUTCOMES else "",
        person=person.strip(),
        since=since,
        until=until,
        before=before if before.isascii() and before.isdigit() else "",
    )


@dataclass(frozen=True)
class Listed:
    """One page of a list."""

    rows: tuple[EntryLine, ...]
    older: str
    newest: str
    looked: str
    empty: str


def listed(
    visit: Visit,
    reach: Reach,
    chosen: Asked,
    *,
    environment: str = "",
    people: tuple[str, ...] = (),
    here: str = "",
) -> Listed:
    """Return the page that is asked for, of the environment's or the person's entries where one is named."""
    zone, last = zoneinfo.ZoneInfo(visit.reader.zone), chosen.last_day
    where = Where(
        environment=environment or chosen.environment,
        people=people or _people(visit, chosen.person),
        event=chosen.event,
        outcome=chosen.outcome,
        since=datetime.datetime.combine(chosen.day, datetime.time(), zone) if chosen.day else None,
        until=datetime.datetime.combine(last + _A_DAY, datetime.time(), zone) if last else None,
    )
    with visit.services.database.reading() as database:
        before = int(chosen.before) if chosen.before else None
        found = entry_rows.page(database, where, before=before, limit=ROWS)
    query = chosen.filtered()
    return Listed(
        rows=record_view.lines(visit, found.rows, reach),
        older=_link(here, {**query, "before": str(found.older)}) if found.older is not None else "",
        newest=_link(here, query) if chosen.before else "",
        looked=_looked(visit, found),
        empty="" if found.rows else _empty(visit, found),
    )


def filters(visit: Visit, chosen: Asked, *, here: str, environments: bool, person: bool) -> Filters:
    """Return the form that narrows a list down."""
    _ = visit.reader.gettext
    every = Choice(value="", label=_("all"), chosen=False)
    known = record_view.environment_names(visit) if environments else []
    events = sorted(event_names(visit.reader).items(), key=lambda pair: pair[1])
    outcomes = [(each, outcome_name(visit.reader, each)) for each in OUTCOMES]
    return Filters(
        here=here,
        environments=(every, *(_choice(each, each, chosen.environment) for each in known)) if known else (),
        events=(every, *(_choice(code, name, chosen.event) for code, name in events)),
        outcomes=(every, *(_choice(code, name, chosen.outcome) for code, name in outcomes)),
        person=chosen.person,
        asks_person=person,
        since=chosen.since if chosen.day else "",
        until=chosen.until if chosen.last_day else "",
    )


def _choice(value: str, label: str, chosen: str) -> Choice:
    return Choice(value=value, label=label, chosen=value == chosen)


def _people(visit: Visit, typed: str) -> tuple[str, ...]:
    """Return by what the record knows whoever is meant; what is nobody's name is taken as it is."""
    if not typed:
        return ()
    with visit.services.database.reading() as database:
        ids = names.find_ids(database, typed)
    return tuple(key for each in ids for key in record_view.keys_of(visit, each)) or (typed,)


def _looked(visit: Visit, found: EntryPage) -> str:
    if found.older is None or found.looked_to <= 1 or found.looked_to != found.older:
        return ""
    text = visit.reader.gettext("Looked at down to entry {number}; older ones come with the next page.")
    return text.format(number=visit.reader.number(found.looked_to))


def _empty(visit: Visit, found: EntryPage) -> str:
    _ = visit.reader.gettext
    if found.older is not None:
        return _("No entry is like this so far. Older ones may be: see below.")
    return _("No entry is like this.")


def _link(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
