"""`/people`: who has which role, for those who manage it; to invite, to grant, to take away, to keep out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.people import members
from console.people.members import INVITATION_DAYS, Member
from console.store.database import Session
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from console.words.codes import role_name
from fleet.policy import EVERY_TEAM, ROLES, Grant, teams_of
from templates.console.parts import Choice
from templates.console.people import Held, Invitation, PeoplePage, PersonLine

router = APIRouter()

Team = Annotated[str, Form(max_length=40)]
RoleName = Annotated[str, Form(max_length=16)]


@router.get("/people")
def show(visit: AnyVisit) -> Response:
    """Show everybody in the teams whose people this person manages."""
    return _page(visit, _managed(visit), None)


@router.post("/people/invite")
def invite(visit: AnyVisit, team: Team, role: RoleName) -> Response:
    """Make an invitation, and show its token this once."""
    grant = _grant(visit, team, role)
    with visit.services.database.writing() as database:
        token = members.invite(database, grant, visit.person.id)
        _record(visit, database, "people.invite", "people", grant)
    address = f"{visit.services.settings.public_url}/join"
    invitation = Invitation(token=token, address=address, days=INVITATION_DAYS)
    return _page(visit, _managed(visit), invitation)


@router.post("/people/{person_id}/grant")
def give(visit: AnyVisit, person_id: str, team: Team, role: RoleName) -> Response:
    """Give somebody a role."""
    grant = _grant(visit, team, role)
    with visit.services.database.writing() as database:
        _find(database, person_id, _managed(visit))
        if members.add_grant(database, person_id, grant, visit.person.id):
            _record(visit, database, "people.grant", person_id, grant)
    return see_other("/people")


@router.post("/people/{person_id}/take")
def take(visit: AnyVisit, person_id: str, team: Team, role: RoleName) -> Response:
    """Take a role away from somebody; it is gone at their next click."""
    grant = _grant(visit, team, role)
    with visit.services.database.writing() as database:
        _find(database, person_id, _managed(visit))
        if grant == Grant("admin", EVERY_TEAM):
            _require_another_admin(visit, database, person_id)
        if members.take_grant(database, person_id, grant):
            _record(visit, database, "people.take", person_id, grant)
    return see_other("/people")


@router.post("/people/{person_id}/disable")
def disable(visit: AnyVisit, person_id: str) -> Response:
    """Keep somebody out, and end their sessions."""
    return _set_disabled(visit, person_id, disabled=True)


@router.post("/people/{person_id}/enable")
def enable(visit: AnyVisit, person_id: str) -> Response:
    """Let somebody in again."""
    return _set_disabled(visit, person_id, disabled=False)


def _set_disabled(visit: Visit, person_id: str, *, disabled: bool) -> Response:
    """Keep somebody out or let them in: only who manages every team's people may."""
    visit.require("people.manage", EVERY_TEAM)
    visit.require_fresh()
    with visit.services.database.writing() as database:
        _find(database, person_id, {EVERY_TEAM})
        if disabled:
            _require_another_admin(visit, database, person_id)
        members.set_disabled(database, person_id, disabled=disabled)
        _record(visit, database, "people.disable" if disabled else "people.enable", person_id)
    return see_other("/people")


def _managed(visit: Visit) -> frozenset[str]:
    """Return the teams whose people this person manages; refused where there are none."""
    teams = teams_of(visit.person.grants, "people.manage")
    if not teams:
        visit.require("people.manage", EVERY_TEAM)
    return teams


def _grant(visit: Visit, team: str, role: str) -> Grant:
    """Return the role in the team, where this person may give and take it and has just proved themselves."""
    if role not in ROLES or not (team == EVERY_TEAM or _is_team(team)):
        raise NotThereError
    visit.require("people.manage", team)
    visit.require_fresh()
    return Grant(members.role_of(role), team)


def _is_team(text: str) -> bool:
    """Return whether it can be a team's name, as environments' files have it."""
    return 2 <= len(text) <= 40 and text[0].isalpha() and text.replace("-", "a").isalnum() and text.islower()


def _find(database: Session, person_id: str, teams: Collection[str]) -> Member:
    found = members.find_member(database, person_id, teams)
    if found is None:
        raise NotThereError
    return found


def _require_another_admin(visit: Visit, database: Session, person_id: str) -> None:
    """Raise RefusedError where nobody would be left who manages people."""
    if members.is_last_admin(database, person_id):
        _ = visit.reader.gettext
        text = _("Nobody else manages the people of every team. Make somebody else an administrator first.")
        raise RefusedError(text)


def _record(visit: Visit, database: Session, event: str, target: str, grant: Grant | None = None) -> None:
    details = {"role": grant.role, "team": grant.team} if grant else {}
    visit.services.recorder.record(visit.asked_by, event, target, "succeeded", details, within=database)


def _page(visit: Visit, teams: frozenset[str], invitation: Invitation | None) -> Response:
    _, reader = visit.reader.gettext, visit.reader
    with visit.services.database.reading() as database:
        found = members.read_members(database, teams)
    known = {team for standing in visit.services.estate.all() for team in standing.teams}
    known |= {grant.team for each in found for grant in each.person.grants}
    offered = known | {EVERY_TEAM} if EVERY_TEAM in teams else teams
    page = PeoplePage(
        frame=visit.frame(_("People")),
        people=tuple(_line(visit, each, teams) for each in found),
        teams=tuple(
            Choice(value=team, label=_team(visit, team), chosen=False)
            for team in sorted(offered, key=_last_of_all)
        ),
        roles=tuple(
            Choice(value=role, label=role_name(reader, role), chosen=role == "member") for role in ROLES
        ),
        manages_all=EVERY_TEAM in teams,
        invitation=invitation,
    )
    return visit.page(page)


def _line(visit: Visit, member: Member, teams: frozenset[str]) -> PersonLine:
    person = member.person
    return PersonLine(
        id=person.id,
        name=person.name,
        known_as=person.subject,
        disabled=member.disabled,
        roles=tuple(
            Held(
                role=grant.role,
                team=grant.team,
                text=f"{role_name(visit.reader, grant.role)}, {_team(visit, grant.team)}",
                mine_to_take=bool({grant.team, EVERY_TEAM} & teams),
            )
            for grant in person.grants
        ),
    )


def _team(visit: Visit, team: str) -> str:
    return visit.reader.gettext("every team") if team == EVERY_TEAM else team


def _last_of_all(team: str) -> tuple[bool, str]:
    """Sort every team at once behind each single one: what gives most is not what is offered first."""
    return team == EVERY_TEAM, team
