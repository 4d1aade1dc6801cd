"""`/launch/DRAFT/start` and `/ask`: starts a launch, once however often it is clicked, or asks for more."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Form, Response

from console import launches
from console.acts import start
from console.launch_data import chosen_data
from console.launch_place import region_of
from console.launches import Approval, LaunchDraft
from console.pages import act_view, launch_seen, launch_view
from console.pages.launch_seen import DATA, REVIEW, own_draft, step_path
from console.pages.launch_view import Reviewed
from console.people import accounts
from console.web.visit import AnyVisit, Visit, see_other
from fleet import commands
from fleet.declare import declare
from fleet.starters import find_starter
from fleet.submit import new_run_id
from templates.console.parts import Field

_ONE_AT_A_TIME = threading.Lock()
"""So that of two clicks the second finds what the first has begun."""

Version = Annotated[str, Form(max_length=60)]

router = APIRouter()


@router.post("/launch/{draft_id}/start")
def begin(visit: AnyVisit, draft_id: str, version: Version = "") -> Response:
    """Start the launch as it was reviewed; what has changed since or can't be started is shown instead."""
    seen = _reviewed(visit, draft_id, version)
    if isinstance(seen, Response):
        return seen
    if not seen.place.stands:
        visit.require("environment.up", seen.place.spec.team)
    if not seen.may_start:
        return visit.page(launch_view.page(visit, seen.draft, launch_view.view(visit, seen)), 422)
    with _ONE_AT_A_TIME:
        draft = own_draft(visit, draft_id)
        if answer := launch_seen.elsewhere(draft, REVIEW):
            return answer
        if draft.version != version:
            return see_other(step_path(draft, REVIEW))
        return see_other(f"/acts/{_start(visit, seen)}")


@router.post("/launch/{draft_id}/ask")
def ask(
    visit: AnyVisit,
    draft_id: str,
    version: Version = "",
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Ask for an approval to go over the budget."""
    seen = _reviewed(visit, draft_id, version)
    if isinstance(seen, Response):
        return seen
    plan, why = seen.plan, " ".join(reason.split())
    if not seen.may_ask or plan is None or plan.ask.usd is None:
        return see_other(step_path(seen.draft, REVIEW))
    if not why:
        field = Field(fault=visit.reader.gettext("Say why it is worth it."))
        view = launch_view.view(visit, seen, reason=field)
        return visit.page(launch_view.page(visit, seen.draft, view), 422)
    approval = Approval(answer="waiting", usd=plan.ask.usd, left=plan.left or 0.0, reason=why)
    about = {"environment": seen.draft.environment, "team": seen.draft.team, "usd": plan.ask.usd}
    details = {**about, "reason": why}
    visit.services.recorder.record(visit.asked_by, "launch.ask", seen.draft.id, "recorded", details)
    with launches.changing(visit.services.database, seen.draft.id) as changing:
        if changing.draft.version == version:
            changing.note(approval=approval, approved_by="")
    return see_other(step_path(seen.draft, REVIEW))


def _reviewed(visit: Visit, draft_id: str, version: str) -> Reviewed | Response:
    """Return the draft as it was reviewed, or an answer that leads to where it is now."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, REVIEW):
        return answer
    if draft.version != version:
        return see_other(step_path(draft, REVIEW))
    data = chosen_data(visit.services, draft, visit.person)
    if data is None:
        return see_other(step_path(draft, DATA))
    return launch_view.review(visit, draft, data)


def _start(visit: Visit, seen: Reviewed) -> str:
    """Start the act and return its id; the draft has the run's id first, so that done again finds the run."""
    assert seen.plan is not None, "it may be started"
    draft, services = seen.draft, visit.services
    run_id = draft.run or new_run_id(seen.place.further_team(draft))
    approved_by = _approver(visit, draft) if seen.plan.is_over else ""
    if draft.starter:
        _declare(visit, draft)
    with launches.changing(services.database, draft.id) as changing:
        changing.note(run=run_id, starter="", owner="")
    act_id = start.start(
        act_view.place_of(visit), visit.person.id, visit.asked_by, seen.plan.act(run_id, approved_by)
    )
    with launches.changing(services.database, draft.id) as changing:
        changing.note(act=act_id)
    return act_id


def _declare(visit: Visit, draft: LaunchDraft) -> None:
    """Write the new environment's file, on record; raises UserError where the rules are against it by now."""
    project = visit.services.settings.project
    words = commands.declare_begun(draft.environment, draft.team, draft.owner, draft.starter)
    details = {"team": draft.team, "starter": draft.starter, "command": commands.line(words)}
    visit.services.recorder.record(
        visit.asked_by, "environment.declare", draft.environment, "recorded", details
    )
    declare(
        project.root, draft.environment, team=draft.team, owner=draft.owner, region=region_of(project),
        **find_starter(project, draft.starter).settings(),
    )  # fmt: skip


def _approver(visit: Visit, draft: LaunchDraft) -> str:
    """Return the name of whoever has approved it."""
    with visit.services.database.reading() as database:
        return accounts.read_person(database, draft.approved_by).name
