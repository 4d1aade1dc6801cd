"""`/record/environments/NAME`: what was done to one environment, and who entered its machines."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from console.pages import record_list, record_view
from console.pages.record_list import Asked
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit, see_other
from fleet import commands
from fleet.aws import is_cloud_error
from fleet.entry_about import is_environment, is_machine
from fleet.machines_seen import SeenMachine
from fleet.policy import EVERY_TEAM
from fleet.session import Session
from templates.console.record import MachineLine, RecordPage

router = APIRouter()


@router.get("/record/environments/{name}")
def show(
    visit: AnyVisit,
    name: str,
    chosen: Annotated[Asked, Depends(record_list.asked)],
    instance: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show its entries; with `instance`, as the form sends it, lead to that machine's page."""
    session = _readable(visit, name)
    here = f"/record/environments/{name}"
    if instance.strip():
        if not is_machine(instance.strip()):
            raise NotThereError
        return see_other(f"{here}/servers/{instance.strip()}")
    _ = visit.reader.gettext
    reach = visit.services.record.look()
    found = record_list.listed(visit, reach, chosen, environment=name, here=here)
    machines, trouble = _machines(visit, session)
    command = commands.read_record(
        target=name, event=chosen.event, since=str(chosen.day or ""), last=record_list.ROWS
    )
    page = RecordPage(
        frame=visit.frame(_("Record of {name}").format(name=name), command=commands.line(command)),
        style=assets.url("record.css"),
        reached=record_view.reached(visit, reach),
        links=record_view.to_whole(visit),
        filters=record_list.filters(visit, chosen, here=here, environments=False, person=True),
        machines=tuple(_machine(visit, here, each) for each in machines),
        machine_form=here if session else "",
        machine_trouble=trouble,
        rows=found.rows,
        caption=_("What was done, newest first"),
        empty=found.empty,
        looked=found.looked,
        older=found.older,
        newest=found.newest,
    )
    return visit.page(page)


def _readable(visit: Visit, name: str) -> Session | None:
    """Return the environment's session, None where its file is gone or can't be read.

    What there was of one that is declared no more, only somebody sees who reads the record of every team.
    """
    if not is_environment(name):
        raise NotThereError
    if visit.services.estate.standing(name) is None:
        visit.require("record.read", EVERY_TEAM)
        return None
    return visit.environment(name, "record.read").session


def _machines(visit: Visit, session: Session | None) -> tuple[list[SeenMachine], str]:
    """Return the machines that EC2 knows, and why they could not be listed where they could not."""
    if session is None:
        return [], ""
    try:
        return visit.services.closer.machines(session), ""
    except Exception as error:
        if not is_cloud_error(error):
            raise
        return [], str(error)


def _machine(visit: Visit, here: str, found: SeenMachine) -> MachineLine:
    _ = visit.reader.gettext
    parts = {"head": _("head node"), "node": _("node")}
    return MachineLine(
        id=found.id,
        href=f"{here}/servers/{found.id}",
        role=parts.get(found.role, found.role),
        state=found.state,
        started=visit.reader.moment(found.started),
    )
