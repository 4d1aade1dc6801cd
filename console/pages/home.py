"""`/`: my teams' environments, what runs in them, what it costs now, and what needs somebody."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

from fastapi import APIRouter, Response

from console.acts import watch
from console.estate import Standing
from console.pages import act_view
from console.web.visit import AnyVisit, Visit
from console.words.codes import state_name
from console.words.reader import Reader
from fleet import commands
from fleet.glance import Glance
from fleet.runs import RunStatus
from templates.console.home import EnvironmentCard, Figure, HomePage, RunLine, Tone
from templates.console.parts import Link

LEASE_DAYS = 7
"""A lease that ends within so many days needs somebody."""
_TONES: dict[str, Tone] = {"SUCCEEDED": "good", "FAILED": "bad", "TIMED_OUT": "bad", "PREEMPTED": "bad"}

router = APIRouter()


@router.get("/")
def show(visit: AnyVisit) -> Response:
    """Show the environments that this person may see."""
    _ = visit.reader.gettext
    seen = [standing for standing in visit.services.estate.all() if visit.sees(standing)]
    frame = visit.frame(_("Environments"), command=commands.line(commands.show_environments()))
    empty = "" if seen else _empty(visit)
    page = HomePage(
        frame=frame,
        cards=tuple(_card(visit, standing) for standing in seen),
        empty=empty,
        empty_command=commands.line(commands.declare("NAME")) if empty else "",
    )
    return visit.page(page)


def _card(visit: Visit, standing: Standing) -> EnvironmentCard:
    found = card(visit.reader, _visible(visit, standing), _today())
    return replace(found, links=tuple(_links(visit, standing)))


def _links(visit: Visit, standing: Standing) -> Iterator[Link]:
    """Yield where one goes from it: to what is done to it, or was cut off, and to its teardown."""
    place = act_view.place_of(visit)
    newest = [each for each in watch.newest(place, standing.name, 1) if each.state == "lost"]
    acts = (*watch.under_way(place, standing.name), *newest)
    for found in (each for each in acts if act_view.sees(visit, standing, each)):
        yield Link(label=act_view.line(visit.reader, found), href=f"/acts/{found.id}")
    stands = standing.glance is not None and standing.glance.stands
    if stands and any(visit.may("environment.down", team) for team in standing.teams):
        yield Link(label=visit.reader.gettext("Tear it down"), href=f"/environments/{standing.name}/down")


def _visible(visit: Visit, standing: Standing) -> Standing:
    """Return the environment with those of its runs that are this person's to see."""
    if standing.glance is None:
        return standing
    runs = tuple(run for run in standing.glance.runs if visit.sees_run(standing, run))
    return replace(standing, glance=replace(standing.glance, runs=runs))


def card(reader: Reader, standing: Standing, today: datetime.date) -> EnvironmentCard:
    """Return an environment as its card shows it."""
    state, tone = _state(reader, standing)
    glance = standing.glance
    return EnvironmentCard(
        name=standing.name,
        team=standing.spec.team if standing.spec else "",
        state=state,
        tone=tone,
        looked_at=reader.moment(glance.time) if glance else None,
        figures=tuple(_figures(reader, glance)) if glance else (),
        needs=tuple(_needs(reader, standing, today)),
        trouble=(*(f"{each.what}: {each.do}" for each in standing.problems), *_words(standing.trouble)),
        runs=tuple(run_line(reader, run) for run in glance.runs) if glance else (),
    )


def run_line(reader: Reader, run: RunStatus) -> RunLine:
    """Return a run as a list shows it."""
    return RunLine(
        id=run.run_id,
        program=run.program,
        state=state_name(reader, run.state),
        tone="busy" if run.active else _TONES.get(run.state, "plain"),
        submitted=reader.moment(run.submitted),
        took="" if run.seconds is None else reader.span(run.seconds),
    )


def _empty(visit: Visit) -> str:
    """Return the one thing to do where there is no environment to see."""
    _ = visit.reader.gettext
    if not visit.person.grants:
        return _("You are in no team yet. An administrator of this console gives you a role in one.")
    return _("Your teams have no environment yet. Whoever keeps the project's files declares one:")


def _state(reader: Reader, standing: Standing) -> tuple[str, Tone]:
    _ = reader.gettext
    if standing.glance is None:
        return _("not known"), "bad"
    if not standing.glance.stands:
        return _("not built"), "plain"
    return (_("busy"), "busy") if standing.glance.machines.busy else (_("ready"), "good")


def _figures(reader: Reader, glance: Glance) -> Iterator[Figure]:
    _, machines = reader.gettext, glance.machines
    running = sum(run.active for run in glance.runs)
    yield Figure(label=_("Runs under way"), value=reader.number(running), note="")
    busy, idle = reader.number(machines.busy_gpus), reader.number(machines.idle_gpus)
    nodes = reader.ngettext("on {count} node", "on {count} nodes", machines.busy + machines.idle)
    yield Figure(label=_("GPUs busy, idle"), value=f"{busy}, {idle}", note=nodes)
    unpriced = ", ".join(machines.unpriced)
    note = _("without {types}, whose price is not known").format(types=unpriced) if unpriced else ""
    yield Figure(label=_("Cost an hour now, at list price"), value=reader.usd(glance.usd_per_hour), note=note)
    yield Figure(label=_("Lease ends"), value=reader.day(glance.lease_ends), note="")


def _needs(reader: Reader, standing: Standing, today: datetime.date) -> Iterator[str]:
    _ = reader.gettext
    if standing.spec is None:
        yield _("The file of this environment can't be read; whoever keeps the project's files mends it.")
    if standing.trouble:
        yield _("The cloud refused, or did not answer.")
    if standing.glance is None or not standing.glance.stands:
        return
    left = (standing.glance.lease_ends - today).days
    if left < 0:
        yield _("Its lease is over: its machines are ended.")
    elif left <= LEASE_DAYS:
        yield reader.ngettext(
            "Its lease ends in {count} day: fetch what you need, or have it extended.",
            "Its lease ends in {count} days: fetch what you need, or have it extended.",
            left,
        )
    if standing.glance.machines.idle and not standing.glance.machines.busy:
        yield _("All of its nodes are idle and cost money: start something, or tear it down.")


def _words(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
