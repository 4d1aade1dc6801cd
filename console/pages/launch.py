"""`/launch`: the first step of a launch: in an environment that is there, or in a new one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Response

from console import launches
from console.launch_place import region_of
from console.launches import LaunchDraft
from console.pages import launch_places, launch_seen
from console.pages.launch_places import Filled
from console.pages.launch_seen import DATA, PLACE, own_draft, require_launch, step_path
from console.web.mistakes import RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from console.words import said
from fleet.declare import declare
from fleet.policy import teams_of
from fleet.starters import find_starter, starters
from stacks.problems import UserError
from stacks.setting_forms import EMAIL_PATTERN
from templates.console.parts import Field
from templates.console.problem import Said

_NAME = re.compile(r"[a-z][a-z0-9-]{1,19}", re.ASCII)
_TEAM = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)

Text = Annotated[str, Form(max_length=200)]

router = APIRouter()


def _filled(starter: Text = "", name: Text = "", team: Text = "", owner: Text = "") -> Filled:
    """Return the form of a place as it was filled in."""
    return Filled(
        starter=starter,
        name=Field(value=name.strip()),
        team=Field(value=team.strip()),
        owner=Field(value=owner.strip()),
    )


SentPlace = Annotated[Filled, Depends(_filled)]


@router.get("/launch")
def begin(visit: AnyVisit, environment: Annotated[str, Query(max_length=60)] = "") -> Response:
    """Show where one can train."""
    require_launch(visit)
    return visit.page(launch_places.page(visit, None, Filled(), environment))


@router.post("/launch")
def make(visit: AnyVisit, filled: SentPlace, environment: Text = "") -> Response:
    """Make a draft with the place that was chosen."""
    require_launch(visit)
    return _chosen(visit, None, environment, filled)


@router.get("/launch/{draft_id}/place")
def show(visit: AnyVisit, draft_id: str) -> Response:
    """Show where a draft is to train, and where else it could."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, PLACE):
        return answer
    filled = _filled(draft.starter, draft.environment, draft.team, draft.owner) if draft.starter else Filled()
    return visit.page(launch_places.page(visit, draft, filled, "" if draft.starter else draft.environment))


@router.post("/launch/{draft_id}/place")
def choose(visit: AnyVisit, draft_id: str, filled: SentPlace, environment: Text = "") -> Response:
    """Let a draft train elsewhere."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, PLACE):
        return answer
    return _chosen(visit, draft, environment, filled)


@router.post("/launch/{draft_id}/discard")
def discard(visit: AnyVisit, draft_id: str) -> Response:
    """Throw a draft away that was not started."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, PLACE):
        return answer
    with visit.services.database.writing() as database:
        launches.discard(database, draft.id)
    return see_other("/launch")


def _chosen(visit: Visit, draft: LaunchDraft | None, environment: str, filled: Filled) -> Response:
    """Note the place, and lead on to the data; or show what is wrong with it."""
    if environment:
        chosen = _standing_place(visit, environment, filled.team.value)
    else:
        filled = _checked(visit, filled)
        if filled.is_wrong:
            return visit.page(launch_places.page(visit, draft, filled, ""), 422)
        chosen = {
            "environment": filled.name.value,
            "starter": filled.starter,
            "owner": filled.owner.value,
            "team": filled.team.value,
        }
    if draft is None:
        with visit.services.database.writing() as database:
            draft = launches.make(database, visit.person.id, **chosen)
    else:
        with launches.changing(visit.services.database, draft.id) as changing:
            draft = changing.choose(**chosen, fleet="")
    return see_other(step_path(draft, DATA))


def _standing_place(visit: Visit, name: str, team: str) -> Mapping[str, Any]:
    """Return a declared environment as the place; raises where the person may not train there."""
    _, standing = visit.reader.gettext, visit.environment(name, "run.submit")
    if standing.spec is None:
        raise RefusedError(_("The file of this environment can't be read; somebody has to mend it first."))
    mine = [each for each in standing.teams if visit.may("run.submit", each)]
    team = team or mine[0]
    if team not in mine:
        visit.require("run.submit", team)
        raise RefusedError(_("This team has no share in that environment."))
    if not launch_places.stands(standing):
        visit.require("environment.up", standing.spec.team)
    return {"environment": name, "starter": "", "owner": "", "team": team}


def _checked(visit: Visit, filled: Filled) -> Filled:
    """Return what was filled in for a new environment with what is wrong with it, all of it at once."""
    if not teams_of(visit.person.grants, "environment.up"):
        visit.require("environment.up", [grant.team for grant in visit.person.grants])
    _, project = visit.reader.gettext, visit.services.settings.project
    name, team, owner = filled.name.value, filled.team.value, filled.owner.value
    faults = {"name": "", "team": "", "owner": "", "starter": ""}
    if not _NAME.fullmatch(name):
        faults["name"] = _("Take 2 to 20 small letters, digits and hyphens, a letter first.")
    elif project.environment_file(name).exists():
        faults["name"] = _("There is an environment of this name.")
    if not _TEAM.fullmatch(team):
        faults["team"] = _("Take 2 to 40 small letters, digits and hyphens, a letter first.")
    elif not (visit.may("environment.up", team) and visit.may("run.submit", team)):
        faults["team"] = _("You may not build environments for this team.")
    if not re.fullmatch(EMAIL_PATTERN, owner):
        faults["owner"] = _("This is no e-mail address.")
    if filled.starter not in {each.name for each in starters(project)}:
        faults["starter"] = _("Choose what it begins with.")
    lines = tuple(Said(what=each, do="", language="") for each in (faults["starter"],) if each)
    if not any(faults.values()):
        lines = _refused(visit, filled)
    return Filled(
        starter=filled.starter,
        name=Field(value=name, fault=faults["name"]),
        team=Field(value=team, fault=faults["team"]),
        owner=Field(value=owner, fault=faults["owner"]),
        said=lines,
    )


def _refused(visit: Visit, filled: Filled) -> tuple[Said, ...]:
    """Return what the rules for environments have against it."""
    project = visit.services.settings.project
    settings = find_starter(project, filled.starter).settings()
    try:
        declare(
            project.root, filled.name.value, team=filled.team.value, owner=filled.owner.value,
            region=region_of(project), write=False, **settings,
        )  # fmt: skip
    except UserError as error:
        return said.problems(visit.reader, error.problems)
    return ()
