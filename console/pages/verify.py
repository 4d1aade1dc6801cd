"""`/record/verify`: how far the record was verified, when and by whom; and to verify it now, as an act."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Response

from console.acts import start, watch
from console.acts.spec import Verify
from console.pages import act_view, record_view
from console.records.verified import Verified, last_verified
from console.store import entry_rows
from console.store.columns import utc_now
from console.store.entry_rows import Where
from console.web import assets
from console.web.visit import AnyVisit, Visit, see_other
from fleet import commands, verification
from fleet.policy import EVERY_TEAM
from templates.console.parts import Choice, Link
from templates.console.verify import VerifyPage

DAYS = (1, 7, 31, 92)
_CHOSEN = 7
_ROWS = 10

router = APIRouter()


@router.get("/record/verify")
def show(visit: AnyVisit) -> Response:
    """Show the last verifications, to who may verify."""
    visit.require("record.verify", EVERY_TEAM)
    _ = visit.reader.gettext
    reach = visit.services.record.look()
    with visit.services.database.reading() as database:
        rows = entry_rows.page(database, Where(event=verification.EVENT), limit=_ROWS).rows
    last = last_verified(visit.services.database, visit.services.record)
    details: Mapping[str, Any] = last.details if last else {}
    since = utc_now() - datetime.timedelta(days=_CHOSEN)
    lines = (commands.verify_ledger(), commands.verify_trail(f"{since:%Y-%m-%d}"))
    page = VerifyPage(
        frame=visit.frame(_("Verify the record"), command="\n".join(map(commands.line, lines))),
        style=assets.url("record.css"),
        links=(Link(label=_("The whole record"), href="/record"),),
        reached=record_view.reached(visit, reach),
        facts=tuple(_facts(visit, last)) if last else (),
        findings=tuple(map(str, details.get("findings", ()))),
        unchecked=tuple(map(str, details.get("trail_unchecked", ()))),
        days=tuple(
            Choice(
                value=str(each),
                label=visit.reader.ngettext("{count} day", "{count} days", each),
                chosen=each == _CHOSEN,
            )
            for each in DAYS
        ),
        going=tuple(_going(visit)),
        rows=record_view.lines(visit, rows, reach),
        caption=_("Earlier verifications"),
    )
    return visit.page(page)


@router.post("/record/verify")
def begin(visit: AnyVisit, days: Annotated[str, Form(max_length=4)] = "") -> Response:
    """Begin one, and lead to its page."""
    visit.require("record.verify", EVERY_TEAM)
    chosen = int(days) if days in map(str, DAYS) else _CHOSEN
    act = Verify(days=chosen)
    return see_other(f"/acts/{start.start(act_view.place_of(visit), visit.person.id, visit.asked_by, act)}")


def _going(visit: Visit) -> Iterator[Link]:
    for found in watch.under_way(act_view.place_of(visit), ""):
        if isinstance(found.act, Verify):
            yield Link(label=act_view.line(visit.reader, found), href=f"/acts/{found.id}")


def _facts(visit: Visit, last: Verified) -> Iterator[tuple[str, str]]:
    _, reader, told = visit.reader.gettext, visit.reader, last.details
    yield _("When"), reader.moment(last.at).shown
    yield _("Who"), last.by
    yield _("Outcome"), _("nothing is wrong") if last.sound else _("something is wrong")
    yield _("Entries"), reader.number(int(told.get("entries", 0)))
    yield _("Head, to note down elsewhere"), str(told.get("head", ""))
    yield _("CloudTrail's files borne out by digests"), reader.number(int(told.get("trail_intact", 0)))
    yield _("Too new for a digest"), reader.number(int(told.get("trail_waiting", 0)))
    yield (
        _("CloudTrail was looked at for"),
        reader.ngettext("{count} day", "{count} days", int(told.get("trail_days", 0))),
    )
