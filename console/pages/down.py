"""`/environments/NAME/down`: what a teardown would do, and its beginning by typing the environment's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response

from console.acts import start
from console.acts.spec import Down
from console.pages import act_view
from console.web import assets
from console.web.visit import AnyVisit, Visit, see_other
from console.words.said import said
from fleet import commands
from fleet.listings.things import Thing
from fleet.runs import RunStatus
from fleet.session import Session
from fleet.teardown_preview import Preview, find_against, preview, sums
from stacks.problems import UserError
from templates.console.down import DownPage, DownPart, DownView, KindLine
from templates.console.parts import Choice, Field
from templates.console.problem import Said

OneMore = Annotated[str, Query(max_length=1)]

router = APIRouter()


@router.get("/environments/{name}/down")
def show(visit: AnyVisit, name: str, base: OneMore = "", look: OneMore = "") -> Response:
    """Show the page to somebody who may do it and has just proved who they are; with `look`, all of it."""
    session = _open(visit, name)
    found = _look(visit, session, base=bool(base)) if look else None
    view = _view(visit, found, Field(), Field()) if found else None
    return visit.page(_page(visit, name, view, base=bool(base)))


@router.get("/environments/{name}/down/preview")
def show_preview(visit: AnyVisit, name: str, base: OneMore = "") -> Response:
    """Send what would go, once every service was asked."""
    found = _look(visit, _open(visit, name), base=bool(base))
    return visit.page(DownPart(view=_view(visit, found, Field(), Field())))


@router.post("/environments/{name}/down")
def begin(
    visit: AnyVisit,
    name: str,
    base: Annotated[str, Form(max_length=1)] = "",
    typed: Annotated[str, Form(max_length=200)] = "",
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Begin it, where the name was typed, and a reason where something speaks against it."""
    _, session = visit.reader.gettext, _open(visit, name)
    against = find_against(
        session, base=bool(base), runs=_runs(visit, session), safe=visit.services.closer.safe_runs(session)
    )
    name_field, reason_field = Field(value=typed), Field(value=reason)
    if typed.strip() != name:
        name_field = Field(value=typed, fault=_("This is not the environment's name."))
    if against and not reason.strip():
        reason_field = Field(fault=_("Say why, or wait until nothing speaks against it."))
    if name_field.fault or reason_field.fault:
        view = _view(visit, _look(visit, session, base=bool(base)), name_field, reason_field)
        return visit.page(_page(visit, name, view, base=bool(base)), 422)
    act = Down(environment=name, base=bool(base), anyway=" ".join(reason.split()) if against else "")
    place = act_view.place_of(visit)
    return see_other(f"/acts/{start.start(place, visit.person.id, visit.asked_by, act)}")


def _open(visit: Visit, name: str) -> Session:
    """Return the session; raises where the person may not do it, or has not proved who they are."""
    standing = visit.environment(name, "environment.down")
    visit.require_fresh()
    if standing.session is None:
        raise UserError(standing.problems)
    return standing.session


def _look(visit: Visit, session: Session, *, base: bool) -> Preview:
    """Return what would go: every service is asked, which takes seconds."""
    safe = visit.services.closer.safe_runs(session)
    return preview(session, base=base, runs=_runs(visit, session), safe=safe)


def _runs(visit: Visit, session: Session) -> list[RunStatus]:
    """Return every run as it stands now."""
    index = visit.services.runs.of(session).index
    index.read_all()
    return index.known()


def _page(visit: Visit, name: str, view: DownView | None, *, base: bool) -> DownPage:
    _, path = visit.reader.gettext, f"/environments/{name}/down"
    words = commands.tear_down(name, base=base, anyway=view.reason.value if view else "")
    far = "1" if base else ""
    return DownPage(
        frame=visit.frame(_("Tear down {name}").format(name=name), command=commands.line(words)),
        style=assets.url("home.css"),
        script=assets.url("live.js"),
        path=path,
        how_far=(
            Choice(value="", label=_("The machines alone"), chosen=not base),
            Choice(value="1", label=_("Network, keys and storage too"), chosen=base),
        ),
        view=view,
        part_path=f"{path}/preview?base={far}",
        whole_path=f"{path}?base={far}&look=1",
    )


def _view(visit: Visit, found: Preview, typed: Field, reason: Field) -> DownView:
    reader = visit.reader
    return DownView(
        name=found.environment,
        base="1" if found.base else "",
        goes=_kinds(visit, found.goes),
        saves=reader.usd(found.usd_saved_per_hour),
        stays=_kinds(visit, found.stays),
        costs_on=reader.usd(found.usd_kept_per_hour),
        left=_kinds(visit, found.left),
        lost=tuple(said(reader, each) for each in found.lost),
        # What to do about each is said for who types commands; here there is the field for the reason.
        against=tuple(_reason(visit, each.what) for each in found.against),
        unseen=tuple(f"{each.title}: {each.why}" for each in found.not_looked),
        typed=typed,
        reason=reason,
        form_token=visit.form_token,
    )


def _reason(visit: Visit, text: str) -> Said:
    found = said(visit.reader, text)
    return Said(what=found.text, do="", language=found.language)


def _kinds(visit: Visit, things: Sequence[Thing]) -> tuple[KindLine, ...]:
    reader = visit.reader
    return tuple(
        KindLine(
            kind=each.kind,
            count=reader.number(each.count),
            price=reader.usd(each.usd_per_hour) if each.usd_per_hour else "",
        )
        for each in sums(things)
    )
