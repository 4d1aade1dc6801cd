"""`/cost` and `/environments/NAME/cost`: what environments came to, in pictures with their tables."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response

from console.estate import Standing
from console.pages.cost_view import by_name, view
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit
from fleet import commands
from fleet.at_once import each_at_once
from fleet.costs.read import EnvironmentCosts
from fleet.costs.report import BY
from fleet.costs.told import Chosen, CostReport, cost_report, period_of
from fleet.policy import EVERY_TEAM
from templates.console.cost import CostPage, CostPart, Costs, CostWait
from templates.console.parts import Choice, Link

router = APIRouter()
_PATIENCE_SECONDS, _PATIENCE_WITHOUT_SCRIPTS = 1.0, 20.0
"""How long a part waits for what is being added up, before it says so and is asked again; a whole page."""
_OFFERED = tuple(by for by in BY if by not in ("day", "use"))
"""By what a page puts lines together; it shows days and uses in any case."""


@dataclass(frozen=True)
class Asked:
    """Which costs somebody wants to see."""

    since: str
    until: str
    by: str
    look: bool
    """Whether they are to be in the page itself."""

    @property
    def query(self) -> dict[str, str]:
        """What of it an address says."""
        told = {"since": self.since, "until": self.until, "by": self.by}
        return {name: value for name, value in told.items() if value}

    def path(self, path: str, **more: str) -> str:
        """Return the address of a page or a part that shows the same costs."""
        query = urlencode({**self.query, **more})
        return f"{path}?{query}" if query else path


def _asked(
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
    by: Annotated[str, Query(max_length=20)] = "team",
    look: Annotated[str, Query(max_length=1)] = "",
) -> Asked:
    return Asked(since, until, by if by in _OFFERED else "team", bool(look))


AnyAsked = Annotated[Asked, Depends(_asked)]


@router.get("/cost")
def show(visit: AnyVisit, asked: AnyAsked) -> Response:
    """Show what all environments came to that this person may see."""
    standings = _seen(visit)
    links = tuple(
        Link(label=each.name, href=asked.path(f"/environments/{each.name}/cost")) for each in standings
    )
    return _page(visit, asked, standings, "", visit.reader.gettext("Costs"), links)


@router.get("/cost/table")
def show_table(visit: AnyVisit, asked: AnyAsked) -> Response:
    """Send the pictures and tables of the same."""
    return _part(visit, asked, _seen(visit), "/cost")


@router.get("/environments/{name}/cost")
def show_one(visit: AnyVisit, name: str, asked: AnyAsked) -> Response:
    """Show what one environment came to."""
    _, standing = visit.reader.gettext, _one(visit, name)
    links = (
        Link(label=_("All environments"), href=asked.path("/cost")),
        Link(label=name, href=f"/environments/{name}"),
    )
    return _page(visit, asked, [standing], name, _("Costs of {name}").format(name=name), links)


@router.get("/environments/{name}/cost/table")
def show_one_table(visit: AnyVisit, name: str, asked: AnyAsked) -> Response:
    """Send the pictures and tables of the same."""
    return _part(visit, asked, [_one(visit, name)], f"/environments/{name}/cost")


def _one(visit: Visit, name: str) -> Standing:
    standing = visit.environment(name, "run.see")
    if standing.session is None:
        raise NotThereError
    return standing


def _seen(visit: Visit) -> list[Standing]:
    """Return the environments some of whose runs the person may see."""
    return [
        each
        for each in visit.services.estate.all()
        if each.session is not None and any(visit.may("run.see", team) for team in each.teams)
    ]


def _part(visit: Visit, asked: Asked, standings: list[Standing], here: str) -> Response:
    """Send the pictures and tables, or what asks for them again."""
    costs = _costs(visit, asked, standings, _PATIENCE_SECONDS)
    if costs is None:
        return visit.page(CostWait(part=asked.path(f"{here}/table"), whole=asked.path(here, look="1")))
    return visit.page(CostPart(costs=costs))


def _page(
    visit: Visit, asked: Asked, standings: list[Standing], name: str, title: str, links: tuple[Link, ...]
) -> Response:
    period_of(asked.since, asked.until, datetime.datetime.now(datetime.UTC))  # what is wrong is said at once
    here = f"/environments/{name}/cost" if name else "/cost"
    command = commands.show_cost(name, since=asked.since, until=asked.until, by=asked.by)
    return visit.page(
        CostPage(
            frame=visit.frame(title, command=commands.line(command)),
            style=assets.url("cost.css"),
            here=here,
            since=asked.since,
            until=asked.until,
            by=tuple(
                Choice(value=by, label=by_name(visit.reader, by), chosen=by == asked.by) for by in _OFFERED
            ),
            links=links,
            costs=_costs(visit, asked, standings, _PATIENCE_WITHOUT_SCRIPTS) if asked.look else None,
            part=asked.path(f"{here}/table"),
            whole=asked.path(here, look="1"),
        )
    )


def _costs(visit: Visit, asked: Asked, standings: list[Standing], seconds: float) -> Costs | None:
    """Return what there is to show, None where it is still being added up."""
    now = datetime.datetime.now(datetime.UTC)
    since, until = period_of(asked.since, asked.until, now)
    if not asked.until:  # to the day: what is remembered serves all who look
        until = now.replace(hour=0, minute=0, second=0, microsecond=0) + datetime.timedelta(days=1)

    def look(standing: Standing) -> EnvironmentCosts | None:
        assert standing.session is not None, "it is seen"
        costs = visit.services.costs.of(standing.session, (since, until), seconds)
        return costs and _theirs(visit, standing, costs)

    found = [costs for costs in each_at_once(look, standings) if costs is not None]
    if len(found) < len(standings):
        return None
    report: CostReport = cost_report(found, since, min(until, now), asked.by, Chosen())
    leftovers = "/leftovers" if visit.may("account.look", EVERY_TEAM) else ""
    return replace(view(visit.reader, report, now), leftovers=leftovers)


def _theirs(visit: Visit, standing: Standing, costs: EnvironmentCosts) -> EnvironmentCosts:
    """Return of an environment's costs what this person may see: notes name runs of all teams."""
    lines = tuple(line for line in costs.lines if visit.may("run.see", line.team))
    whole = all(visit.may("run.see", team) for team in standing.teams)
    return EnvironmentCosts(
        environment=costs.environment, lines=lines, prices=costs.prices, notes=costs.notes if whole else ()
    )
