"""`/environments/NAME/down`: what a teardown would do, and its beginning by typing the environment's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response

from console.acts import start
from console.acts.spec import Down
from console.pages import act_view
from console.web.visit import AnyVisit, Visit, see_other
from fleet import commands
from fleet.sweepers.things import Thing
from fleet.teardown_preview import Preview, preview, sums
from stacks.problems import UserError
from templates.console.down import DownPage, KindLine
from templates.console.parts import Choice, Field
from templates.console.problem import Said

router = APIRouter()


@router.get("/environments/{name}/down")
def show(visit: AnyVisit, name: str, base: Annotated[str, Query(max_length=1)] = "") -> Response:
    """Show what would go, to somebody who may do it and has just proved who they are."""
    found = _look(visit, name, base=bool(base))
    return visit.page(_page(visit, found, Field(), Field()))


@router.post("/environments/{name}/down")
def begin(
    visit: AnyVisit,
    name: str,
    base: Annotated[str, Form(max_length=1)] = "",
    typed: Annotated[str, Form(max_length=200)] = "",
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Begin it, where the name was typed, and a reason where something speaks against it."""
    _ = visit.reader.gettext
    found = _look(visit, name, base=bool(base))
    name_field, reason_field = Field(value=typed), Field(value=reason)
    if typed.strip() != name:
        name_field = Field(value=typed, fault=_("This is not the environment's name."))
    if found.against and not reason.strip():
        reason_field = Field(fault=_("Say why, or wait until nothing speaks against it."))
    if name_field.fault or reason_field.fault:
        return visit.page(_page(visit, found, name_field, reason_field), 422)
    act = Down(environment=name, base=bool(base), anyway=" ".join(reason.split()) if found.against else "")
    place = act_view.place_of(visit)
    return see_other(f"/acts/{start.start(place, visit.person.id, visit.asked_by, act)}")


def _look(visit: Visit, name: str, *, base: bool) -> Preview:
    """Return what would go; raises where the person may not do it, or has not proved who they are."""
    standing = visit.environment(name, "environment.down")
    visit.require_fresh()
    if standing.session is None:
        raise UserError(standing.problems)
    return preview(standing.session, base=base)


def _page(visit: Visit, found: Preview, typed: Field, reason: Field) -> DownPage:
    _, reader = visit.reader.gettext, visit.reader
    command = commands.tear_down(found.environment, base=found.base, anyway=reason.value)
    return DownPage(
        frame=visit.frame(
            _("Tear down {name}").format(name=found.environment), command=commands.line(command)
        ),
        name=found.environment,
        how_far=(
            Choice(value="", label=_("The machines alone"), chosen=not found.base),
            Choice(value="1", label=_("Network, keys and storage too"), chosen=found.base),
        ),
        base="1" if found.base else "",
        goes=_kinds(visit, found.goes),
        saves=reader.usd(found.usd_saved_per_hour),
        stays=_kinds(visit, found.stays),
        costs_on=reader.usd(found.usd_kept_per_hour),
        left=_kinds(visit, found.left),
        lost=found.lost,
        # What to do about each is said for who types commands; here there is the field for the reason.
        against=tuple(Said(what=each.what, do="") for each in found.against),
        unseen=tuple(f"{each.title}: {each.why}" for each in found.not_looked),
        typed=typed,
        reason=reason,
    )


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
