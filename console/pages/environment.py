"""`/environments/NAME`: one environment: what stands, what it costs, who may enter, what was done to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response

from console.acts import start
from console.acts.spec import Up
from console.acts.watch import ActStatus
from console.estate import Standing
from console.pages import act_view, environment_later
from console.pages.environment_now import acts_of, build_now
from console.web import assets
from console.web.live_part import live_path
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, AnyWatch, Visit, see_other
from console.words.reader import Reader
from fleet import commands
from fleet.session import Session
from stacks.price_rules import costs_per_hour
from templates.console.environment import EnvironmentPage, MoneyPart, NowPart
from templates.console.home import Figure
from templates.console.parts import Link

router = APIRouter()


@router.get("/environments/{name}")
def show(visit: AnyVisit, name: str, look: Annotated[str, Query(max_length=1)] = "") -> Response:
    """Show an environment; with `look`, at once with what else comes a moment later."""
    _, reader = visit.reader.gettext, visit.reader
    standing = visit.environment(name)
    session, going = standing.session, acts_of(visit, standing)[0]
    wanted = session if look else None
    changes = environment_later.changes(visit, standing) if wanted else None
    page = EnvironmentPage(
        frame=visit.frame(_("Environment {name}").format(name=name), command=_commands(name)),
        style=assets.url("home.css"),
        script=assets.url("live.js"),
        now=build_now(visit, standing),
        links=tuple(_links(visit, standing)),
        build=_build(visit, standing, going),
        build_label=_("Go on building it") if _is_begun(standing) else _("Build it"),
        agreed=_agreed(session) if session else "",
        about=tuple(_about(reader, session)) if session else (),
        entering=tuple(_entering(reader, session)) if session else (),
        money=environment_later.money(visit, standing, wanted) if wanted else None,
        changes=changes.changes if changes else None,
        path=f"/environments/{name}",
    )
    return visit.page(page)


@router.get("/environments/{name}/now")
def show_now(visit: AnyWatch, name: str, seen: Annotated[str, Query(max_length=40)] = "") -> Response:
    """Send how it stands now, or nothing where it is as it was seen."""
    now = build_now(visit, visit.environment(name))
    if now.live == live_path(f"/environments/{name}/now", seen):
        return Response(status_code=204)
    return visit.page(NowPart(now=now))


@router.get("/environments/{name}/money")
def show_money(visit: AnyVisit, name: str) -> Response:
    """Send what it has cost this month."""
    standing = visit.environment(name)
    if standing.session is None:
        raise NotThereError
    return visit.page(MoneyPart(money=environment_later.money(visit, standing, standing.session)))


@router.get("/environments/{name}/changes")
def show_changes(visit: AnyVisit, name: str) -> Response:
    """Send what was done to it lately."""
    return visit.page(environment_later.changes(visit, visit.environment(name)))


@router.post("/environments/{name}/up")
def build(visit: AnyVisit, name: str, agreed: Annotated[str, Form(max_length=60)] = "") -> Response:
    """Build it, or go on building it, where it still costs what was shown to whoever agrees."""
    session = visit.environment(name, "environment.up").session
    if session is None or agreed != _agreed(session):
        text = visit.reader.gettext("It costs something else than was shown to you. Read it again.")
        raise RefusedError(text)
    act = Up(environment=name)
    return see_other(f"/acts/{start.start(act_view.place_of(visit), visit.person.id, visit.asked_by, act)}")


def _commands(name: str) -> str:
    """Return the commands that show the same."""
    found = (
        commands.show_nodes(name),
        commands.show_budget(name),
        commands.show_runs(name, active=True),
        commands.show_lease(name),
    )
    return "\n".join(commands.line(words) for words in found)


def _links(visit: Visit, standing: Standing) -> Iterator[Link]:
    """Yield where one goes from here."""
    _, path = visit.reader.gettext, f"/environments/{standing.name}"
    if standing.session is None:
        return
    if any(visit.may("run.submit", team) for team in standing.teams):
        yield Link(label=_("Launch a training"), href=f"/launch?environment={standing.name}")
    yield Link(label=_("All runs"), href=f"{path}/runs")
    if any(visit.may("run.see", team) for team in standing.teams):
        yield Link(label=_("Costs"), href=f"{path}/cost")
    yield Link(label=_("Lease"), href=f"{path}/lease")
    if any(visit.may("record.read", team) for team in standing.teams):
        yield Link(label=_("Record"), href=f"/record/environments/{standing.name}")
    if _is_begun(standing) and any(visit.may("environment.down", team) for team in standing.teams):
        yield Link(label=_("Tear it down"), href=f"{path}/down")


def _is_begun(standing: Standing) -> bool:
    """Return whether something of it stands."""
    return standing.glance is not None and standing.glance.built != "nothing"


def _build(visit: Visit, standing: Standing, going: list[ActStatus]) -> str:
    """Return what building it means, "" where there is nothing to build, or it is not this person's to do."""
    _, glance, session = visit.reader.gettext, standing.glance, standing.session
    if glance is None or glance.stands or session is None or going:
        return ""
    if not any(visit.may("environment.up", team) for team in standing.teams):
        return ""
    idle, most = _prices(session)
    if idle == most:
        text = _("Building it takes some minutes. From then on it costs {idle} an hour, at list price.")
    else:
        text = _(
            "Building it takes some minutes. From then on it costs {idle} an hour at list price, and up to "
            "{most} while runs have all of its machines."
        )
    return text.format(idle=visit.reader.usd(idle), most=visit.reader.usd(most))


def _prices(session: Session) -> tuple[float, float]:
    """Return what it costs an hour while nothing runs on it, and at most; US dollars at list price."""
    spec, region = session.spec, session.account.region
    idle, most = costs_per_hour(spec, region, grown=False), costs_per_hour(spec, region)
    return sum(idle.values()), sum(most.values())


def _agreed(session: Session) -> str:
    """Return what a form sends back, so that nothing is built at another price than somebody has read."""
    return " ".join(f"{usd:.6f}" for usd in _prices(session))


def _about(reader: Reader, session: Session) -> Iterator[Figure]:
    _, spec = reader.gettext, session.spec
    teams = ", ".join((spec.team, *spec.further_teams))
    for label, value in (
        (_("Team"), teams),
        (_("Whom to ask about it"), spec.owner),
        (_("Region"), spec.region),
        (_("Cloud"), session.cloud.name),
    ):
        yield Figure(label=label, value=value, note="")


def _entering(reader: Reader, session: Session) -> Iterator[str]:
    """Yield who may enter its machines, as its files say (docs/roles.md, docs/entry-paths.md)."""
    _, trusted = reader.gettext, session.account.people.trusted
    yield _(
        "Its machines have no public address. People enter by Session Manager alone, and that is recorded."
    )
    if trusted:
        text = _("Members and operators may enter. These take on such a role: {trusted}.")
        yield text.format(trusted=", ".join(trusted))
    else:
        yield _("Its files trust nobody with a role: whoever the account itself lets in may enter.")
    if session.spec.further_teams:
        text = _("Members of these teams hand in runs and enter no machine: {teams}.")
        yield text.format(teams=", ".join(session.spec.further_teams))
