"""`/record`: what was done in the whole account, newest first, a page at a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from console.pages import record_list, record_view
from console.pages.record_list import Asked
from console.web import assets
from console.web.visit import AnyVisit, Visit
from fleet import commands
from fleet.policy import EVERY_TEAM
from templates.console.parts import Link
from templates.console.record import RecordPage

HERE = "/record"

router = APIRouter()


@router.get(HERE)
def show(visit: AnyVisit, chosen: Annotated[Asked, Depends(record_list.asked)]) -> Response:
    """Show the entries to somebody who reads the record of every team."""
    visit.require("record.read", EVERY_TEAM)
    _ = visit.reader.gettext
    reach = visit.services.record.look()
    found = record_list.listed(visit, reach, chosen, here=HERE)
    command = commands.read_record(
        target=chosen.environment, event=chosen.event, since=str(chosen.day or ""), last=record_list.ROWS
    )
    page = RecordPage(
        frame=visit.frame(_("Record"), command=commands.line(command)),
        style=assets.url("record.css"),
        reached=record_view.reached(visit, reach),
        links=_links(visit),
        intro=_("What was done through fleetform, by whom, and how it ended, from the account's ledger."),
        filters=record_list.filters(visit, chosen, here=HERE, environments=True, person=True),
        rows=found.rows,
        caption=_("Newest first"),
        empty=found.empty,
        looked=found.looked,
        older=found.older,
        newest=found.newest,
    )
    return visit.page(page)


def _links(visit: Visit) -> tuple[Link, ...]:
    """Return where one goes from here: to verify, to export, to review, to each environment's servers."""
    _ = visit.reader.gettext
    asked = (
        (_("Verify it"), "/record/verify", visit.may("record.verify", EVERY_TEAM)),
        (_("Export a pack"), "/record/export", visit.may("record.export", EVERY_TEAM)),
        (_("Reviews"), "/reviews", visit.may("record.verify", EVERY_TEAM)),
    )
    places = [Link(label=label, href=href) for label, href, open_ in asked if open_]
    text = _("Servers of {name}")
    places += [
        Link(label=text.format(name=name), href=f"/record/environments/{name}")
        for name in record_view.environment_names(visit)
    ]
    return tuple(places)
