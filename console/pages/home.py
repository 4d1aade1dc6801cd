"""`/`: my teams' environments, what runs in them, what it costs now, and what waits for me."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from console.acts.watch import ActStatus
from console.estate import Standing
from console.pages import environment_view, waiting
from console.pages.environment_now import acts_of, today
from console.pages.run_view import run_line
from console.pages.seen import seen_known
from console.web import assets
from console.web.live_part import digest_of, live_path
from console.web.visit import AnyVisit, AnyWatch, Visit
from console.words.reader import Reader
from fleet import commands
from fleet.policy import Verb, teams_of
from fleet.runs import RunStatus
from templates.console.home import CardsPart, EnvironmentCard, HomePage, Need
from templates.console.parts import Link

NEWEST = 8
"""How many runs a card shows."""

router = APIRouter()


@router.get("/")
def show(visit: AnyVisit) -> Response:
    """Show the environments that this person may see, and what waits for them."""
    _, part = visit.reader.gettext, _part(visit)
    action = _action(visit, part.cards)
    empty = "" if part.cards else _empty(visit, action)
    page = HomePage(
        frame=visit.frame(_("Environments"), command=commands.line(commands.show_environments())),
        style=assets.url("home.css"),
        script=assets.url("live.js"),
        needs=part.needs,
        cards=part.cards,
        live=part.live,
        action=action,
        empty=empty,
        empty_command=commands.line(commands.declare("NAME")) if empty and not action else "",
    )
    return visit.page(page)


@router.get("/cards")
def show_again(visit: AnyWatch, seen: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Send the part of the page that changes, or nothing where it is as it was seen."""
    part = _part(visit)
    return Response(status_code=204) if part.live == live_path("/cards", seen) else visit.page(part)


def _part(visit: Visit) -> CardsPart:
    found = [standing for standing in visit.services.estate.all() if visit.sees(standing)]
    known = {standing.name: seen_known(visit, standing) for standing in found}
    needs = tuple(waiting.for_person(visit, found, known))
    cards = tuple(_card(visit, standing, known[standing.name]) for standing in found)
    return CardsPart(needs=needs, cards=cards, live=live_path("/cards", _digest(needs, cards)))


def _digest(needs: tuple[Need, ...], cards: tuple[EnvironmentCard, ...]) -> str:
    """Return what tells a look from another one; that it was looked again tells once a minute."""
    minutes = [card.looked_at.machine[:16] if card.looked_at else "" for card in cards]
    return digest_of(needs, [replace(card, looked_at=None) for card in cards], minutes)


def _card(visit: Visit, standing: Standing, runs: list[RunStatus]) -> EnvironmentCard:
    """Return an environment as this person may see it, with where they can go from it."""
    going, acts = acts_of(visit, standing)
    every = Link(label=visit.reader.gettext("All runs"), href=f"/environments/{standing.name}/runs")
    links = (*acts, *([every] if runs else []))
    return replace(card(visit.reader, standing, today(), runs, going), links=links)


def card(
    reader: Reader,
    standing: Standing,
    day: datetime.date,
    runs: Sequence[RunStatus] = (),
    going: Sequence[ActStatus] = (),
) -> EnvironmentCard:
    """Return an environment as its card shows it on that day (UTC), with those runs.

    `going` is what is being done to it.
    """
    glance = standing.glance
    newest = [run for run in runs if not run.array_of][:NEWEST]
    return EnvironmentCard(
        name=standing.name,
        team=standing.spec.team if standing.spec else "",
        state=environment_view.state(reader, standing, going),
        looked_at=reader.moment(glance.time) if glance else None,
        figures=tuple(environment_view.figures(reader, glance, runs)) if glance else (),
        needs=tuple(environment_view.needs(reader, standing, day)),
        trouble=environment_view.trouble(reader, standing),
        runs=tuple(run_line(reader, run) for run in newest) if glance else (),
    )


def _action(visit: Visit, cards: Sequence[EnvironmentCard]) -> Link | None:
    """Return the one thing to do first, for whoever may do it: where nothing stands, that means to build."""
    wanted: tuple[Verb, ...] = ("run.submit",) if cards else ("run.submit", "environment.up")
    if not all(teams_of(visit.person.grants, verb) for verb in wanted):
        return None
    return Link(label=visit.reader.gettext("Launch a training"), href="/launch")


def _empty(visit: Visit, action: Link | None) -> str:
    """Return what to say where there is no environment to see."""
    _ = visit.reader.gettext
    if not visit.person.grants:
        return _("You are in no team yet. An administrator of this console gives you a role in one.")
    if action:
        return _(
            "Your teams have no environment yet. A launch makes one: it asks for all that it has to know."
        )
    return _("Your teams have no environment yet. Whoever keeps the project's files declares one:")
