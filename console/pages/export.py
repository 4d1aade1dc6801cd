"""`/record/export`: evidence packs, made by an act and downloaded by who has just proved who they are."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import FileResponse

from console.acts import start, watch
from console.acts.spec import PACK_FILE, Export
from console.acts.watch import ActStatus
from console.pages import act_view, record_view
from console.store.columns import utc_now
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit, see_other
from fleet import commands
from fleet.policy import EVERY_TEAM
from templates.console.export import ExportPage, PackLine
from templates.console.parts import Choice, Field, Link

_DAYS = 31
_NEWEST = 50

router = APIRouter()


@router.get("/record/export")
def show(visit: AnyVisit) -> Response:
    """Show what can be exported, and what was."""
    _require(visit)
    today = utc_now().date()
    since = Field(value=str(today - datetime.timedelta(days=_DAYS)))
    return visit.page(_page(visit, "", since, Field(value=str(today))))


@router.post("/record/export")
def begin(
    visit: AnyVisit,
    environment: Annotated[str, Form(max_length=40)] = "",
    since: Annotated[str, Form(max_length=10)] = "",
    until: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Begin to make a pack, and lead to its act's page."""
    _require(visit)
    if environment and environment not in record_view.environment_names(visit):
        raise NotThereError
    first, last = _day(since), _day(until)
    _ = visit.reader.gettext
    first_field, last_field = Field(value=since), Field(value=until)
    if first is None:
        first_field = Field(value=since, fault=_("This is no day."))
    if last is None:
        last_field = Field(value=until, fault=_("This is no day."))
    if first and last and last < first:
        last_field = Field(value=until, fault=_("The last day comes before the first."))
    if first is None or last is None or last_field.fault:
        return visit.page(_page(visit, environment, first_field, last_field), 422)
    act = Export(scope=environment, since=first, until=last)
    return see_other(f"/acts/{start.start(act_view.place_of(visit), visit.person.id, visit.asked_by, act)}")


@router.get("/record/packs/{act_id}")
def take(visit: AnyVisit, act_id: str) -> Response:
    """Send a pack; who takes it is on record first."""
    _require(visit)
    place = act_view.place_of(visit)
    found = watch.status(place, act_id)
    if found is None or not isinstance(found.act, Export) or found.state != "done":
        raise NotThereError
    file = place.folder(found.id).path / PACK_FILE
    if not file.is_file():
        raise NotThereError
    details = {"pack_sha256": found.said.get("sha256", "")}
    visit.services.recorder.record(visit.asked_by, "record.take", found.id, "recorded", details)
    return FileResponse(file, media_type="application/zip", filename=f"{_name(found.act)}.zip")


def _require(visit: Visit) -> None:
    visit.require("record.export", EVERY_TEAM)
    visit.require_fresh()


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _name(act: Export) -> str:
    return f"evidence-{act.scope or 'all'}-{act.since:%Y%m%d}-{act.until:%Y%m%d}"


def _page(visit: Visit, environment: str, since: Field, until: Field) -> ExportPage:
    _ = visit.reader.gettext
    every = Choice(value="", label=_("all environments"), chosen=not environment)
    names = record_view.environment_names(visit)
    command = commands.export_pack(environment, since.value or "DAY", until.value or "DAY")
    return ExportPage(
        frame=visit.frame(_("Export the record"), command=commands.line(command)),
        style=assets.url("record.css"),
        links=(Link(label=_("The whole record"), href="/record"),),
        environments=(every, *(Choice(value=each, label=each, chosen=each == environment) for each in names)),
        since=since,
        until=until,
        packs=tuple(_packs(visit)),
    )


def _packs(visit: Visit) -> Iterator[PackLine]:
    place = act_view.place_of(visit)
    for found in watch.newest(place, "", _NEWEST):
        if isinstance(found.act, Export):
            yield _pack(visit, found, has_file=(place.folder(found.id).path / PACK_FILE).is_file())


def _pack(visit: Visit, found: ActStatus, *, has_file: bool) -> PackLine:
    assert isinstance(found.act, Export), "packs are made by exports"
    reader = visit.reader
    scope = found.act.scope or reader.gettext("all environments")
    state, tone = act_view.state_of(reader, found)
    return PackLine(
        what=f"{scope}, {reader.day(found.act.since)} - {reader.day(found.act.until)}",
        at=reader.moment(found.created_at),
        state=state,
        tone=tone,
        href=f"/acts/{found.id}",
        download=f"/record/packs/{found.id}" if has_file and found.state == "done" else "",
        sha256=str(found.said.get("sha256", "")),
    )
