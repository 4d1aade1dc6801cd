"""`/leftovers/delete`: what of what is left over goes and what stays, and its deletion by typing a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response

from console.acts import start, watch
from console.acts.spec import Sweep
from console.leftovers import Looked
from console.pages import act_view, leftovers_view
from console.pages.leftovers import Asked, known
from console.web import assets
from console.web.live_part import digest_of
from console.web.visit import AnyVisit, Visit, see_other
from console.words.reader import Reader
from console.words.said import said
from fleet import commands
from fleet.orphans.choice import Choice, Outcome, Wanted, choose
from fleet.orphans.judge import Found
from fleet.orphans.proofs import place_of
from fleet.orphans.report import usd_per_hour
from fleet.policy import EVERY_TEAM
from fleet.teardown_preview import sums
from stacks.catalog import HOURS_PER_MONTH
from templates.console.act import EndedThing
from templates.console.leftovers_delete import KindLine, LeftoversDeletePage
from templates.console.parts import Field, Link
from templates.console.phrase import Phrase

router = APIRouter()
Name = Annotated[str, Query(max_length=256)]
Tick = Annotated[str, Query(max_length=1)]


@dataclass(frozen=True)
class Review:
    """What would be deleted of what a look found."""

    looked: Looked
    environment: str
    wanted: Wanted
    choice: Choice

    @property
    def digest(self) -> str:
        """What tells it from what another look, or other ticks, would delete."""
        marked = [place_of(each.found.listed) for each in self.choice.marks]
        return digest_of(sorted(place_of(each.listed) for each in self.choice.goes), sorted(marked))


@router.get("/leftovers/delete")
def show(visit: AnyVisit, environment: Name = "", data: Tick = "", past_lease: Tick = "") -> Response:
    """Show what would go to somebody who may delete it and has just proved who they are."""
    _require(visit)
    looked = known(visit, 0.0)
    if looked is None:
        return see_other(_back(environment))
    return visit.page(_page(visit, _review(looked, environment, data, past_lease), Field()))


@router.post("/leftovers/delete")
def begin(
    visit: AnyVisit,
    environment: Annotated[str, Form(max_length=256)] = "",
    data: Annotated[str, Form(max_length=1)] = "",
    past_lease: Annotated[str, Form(max_length=1)] = "",
    shown: Annotated[str, Form(max_length=40)] = "",
    typed: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Begin it, where the word was typed and what would go is what was shown."""
    _require(visit)
    looked = known(visit, 0.0)
    if looked is None:
        return see_other(_back(environment))
    review = _review(looked, environment, data, past_lease)
    _ = visit.reader.gettext
    if review.digest != shown or not review.choice.goes:
        return visit.page(_page(visit, review, Field(), changed=True), 409)
    if typed.strip().lower() not in ("delete", _("delete")):
        fault = Field(value=typed, fault=_("This is not the word."))
        return visit.page(_page(visit, review, fault), 422)
    act = Sweep(
        scope=environment,
        data=review.wanted.data,
        past_lease=review.wanted.past_lease,
        shown=tuple((*each.listed.key, each.listed.region) for each in review.choice.goes),
    )
    return see_other(f"/acts/{start.start(act_view.place_of(visit), visit.person.id, visit.asked_by, act)}")


def _require(visit: Visit) -> None:
    visit.require("account.sweep", EVERY_TEAM)
    visit.require_fresh()


def _back(environment: str) -> str:
    return Asked(environment, "").path("/leftovers")


def _review(looked: Looked, environment: str, data: str, past_lease: str) -> Review:
    wanted = Wanted(data=bool(data), past_lease=bool(past_lease))
    found = leftovers_view.chosen(looked, environment)
    return Review(looked, environment, wanted, choose(found, wanted, looked.swept.account))


def _page(visit: Visit, review: Review, typed: Field, *, changed: bool = False) -> LeftoversDeletePage:
    reader, choice, wanted = visit.reader, review.choice, review.wanted
    _ = reader.gettext
    command = commands.sweep(review.environment, delete=True, data=wanted.data, past_lease=wanted.past_lease)
    going = watch.under_way(act_view.place_of(visit), "")
    return LeftoversDeletePage(
        frame=visit.frame(_("Delete what is left over"), command=commands.line(command)),
        style=assets.url("leftovers.css"),
        links=(Link(label=_("Leftovers"), href=_back(review.environment)),),
        going=next(
            (
                Link(label=act_view.line(reader, each), href=f"/acts/{each.id}")
                for each in going
                if isinstance(each.act, Sweep)
            ),
            None,
        ),
        environments=leftovers_view.environment_choices(reader, review.looked, review.environment),
        environment=review.environment,
        data=wanted.data,
        past_lease=wanted.past_lease,
        at=reader.moment(review.looked.begun),
        unseen=tuple((each.title, each.why) for each in review.looked.swept.not_looked),
        kinds=tuple(_kinds(reader, choice.goes)),
        goes=tuple(_thing(reader, each, said(reader, each.reason)) for each in choice.goes),
        saves=_saves(reader, choice.goes),
        tagged=tuple(
            _thing(reader, each.found, leftovers_view.why_it_stays(reader, each.why)) for each in choice.marks
        ),
        stays=tuple(_stays(reader, choice.stays)),
        shown=review.digest,
        changed=changed,
        word=_("delete"),
        typed=typed,
    )


def _saves(reader: Reader, goes: Sequence[Found]) -> str:
    hour = usd_per_hour(goes)
    text = reader.gettext("This saves {hour} an hour, {month} a month, at list price.")
    return text.format(hour=reader.usd(hour), month=reader.usd(hour * HOURS_PER_MONTH))


def _kinds(reader: Reader, goes: Iterable[Found]) -> Iterator[KindLine]:
    for each in sums([found.listed.thing for found in goes]):
        hour = reader.usd(each.usd_per_hour) if each.usd_per_hour else ""
        yield KindLine(kind=said(reader, each.kind), count=reader.number(each.count), hour=hour)


def _stays(reader: Reader, stays: Iterable[Outcome]) -> Iterator[EndedThing]:
    for each in stays:
        yield _thing(reader, each.found, leftovers_view.why_it_stays(reader, each.why))


def _thing(reader: Reader, found: Found, why: Phrase) -> EndedThing:
    thing = found.listed.thing
    return EndedThing(kind=said(reader, thing.kind), id=thing.id, environment=found.environment, why=why)
