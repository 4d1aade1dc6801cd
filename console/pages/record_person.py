"""`/record/people/WHO`: what somebody did and what others did to them; one's own is open to everybody."""

from __future__ import annotations

import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from console.pages import record_list, record_view
from console.pages.record_list import Asked
from console.people import names
from console.records.index import Reach
from console.store import entry_rows
from console.store.columns import utc_now
from console.store.entry_rows import Where
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit
from fleet import commands
from fleet.policy import EVERY_TEAM
from templates.console.record import EntryLine, RecordPage

LOOKED, READ = "record.look", "record.transcript"
_ONCE_IN = datetime.timedelta(minutes=15)
"""A look at somebody's record is an entry once in so long, for each who looks."""
_LONGEST = 200
_WATCHERS = 50

router = APIRouter()


@router.get("/record/people/{who:path}")
def show(visit: AnyVisit, who: str, chosen: Annotated[Asked, Depends(record_list.asked)]) -> Response:
    """Show what they did; that somebody else looked is on record first."""
    if len(who) > _LONGEST or not who.isprintable():
        raise NotThereError
    own = who == visit.person.id
    if not own:
        visit.require("record.read", EVERY_TEAM)
    keys, called = record_view.keys_of(visit, who), _name(visit, who)
    reach = visit.services.record.look()
    if not own and not _looked_lately(visit, who):
        visit.services.recorder.record(visit.asked_by, LOOKED, who, "recorded", {"name": called})
        reach = visit.services.record.look()
    here = record_view.person_href(who)
    found = record_list.listed(visit, reach, chosen, people=keys, here=here)
    _ = visit.reader.gettext
    page = RecordPage(
        frame=visit.frame(_title(visit, called, own=own), command=_command(keys, chosen)),
        style=assets.url("record.css"),
        reached=record_view.reached(visit, reach),
        links=record_view.to_whole(visit),
        intro=_("This is what the record has of you. Who looks at it is on record, too, and listed below.")
        if own
        else "",
        filters=record_list.filters(visit, chosen, here=here, environments=False, person=False),
        rows=found.rows,
        caption=_("What was done, newest first"),
        empty=found.empty,
        looked=found.looked,
        older=found.older,
        newest=found.newest,
        watchers=_done_to(visit, keys, reach),
        watchers_title=_("Who looked at this, and what else others did to your account")
        if own
        else _("Who looked at this, and what else others did to this account"),
    )
    return visit.page(page)


def _name(visit: Visit, person: str) -> str:
    with visit.services.database.reading() as database:
        known = names.names_of(database, [person])
    return record_view.who_of(visit, person, known)[0]


def _title(visit: Visit, called: str, *, own: bool) -> str:
    _ = visit.reader.gettext
    return _("My record") if own else _("Record of {name}").format(name=called)


def _command(keys: tuple[str, ...], chosen: Asked) -> str:
    """Return the command for the same person, as the cloud knows them."""
    words = commands.read_record(
        person=keys[-1], event=chosen.event, since=str(chosen.day or ""), last=record_list.ROWS
    )
    return commands.line(words)


def _looked_lately(visit: Visit, person: str) -> bool:
    """Return whether the reader's look at this record is an entry already."""
    where = Where(targets=(person,))
    with visit.services.database.reading() as database:
        rows = entry_rows.page(database, where, limit=_WATCHERS).rows
    since = utc_now() - _ONCE_IN
    return any(row.event == LOOKED and row.person == visit.person.id and row.at > since for row in rows)


def _done_to(visit: Visit, keys: tuple[str, ...], reach: Reach) -> tuple[EntryLine, ...]:
    """Return what others did that is about this person, newest first.

    Who looked at their record or read what they typed, sign-ins under their name that failed, roles.
    """
    with visit.services.database.reading() as database:
        rows = entry_rows.page(database, Where(targets=keys), limit=4 * _WATCHERS).rows
    others = [row for row in rows if row.person not in keys]
    return record_view.lines(visit, others[:_WATCHERS], reach)
