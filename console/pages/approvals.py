"""`/approvals`: launches that would go over the budget, for who may let them; nobody answers their own."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Response

from console import launches
from console.launches import Approval, Asked, LaunchDraft
from console.pages import launch_seen
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from console.words.reader import Reader
from fleet import commands
from fleet.policy import EVERY_TEAM, teams_of
from templates.console.approvals import ApprovalLine, ApprovalsPage
from templates.console.parts import Field

router = APIRouter()


@router.get("/approvals")
def show(visit: AnyVisit) -> Response:
    """Show what waits for an answer in the teams for which the person may give one."""
    if not teams_of(visit.person.grants, "launch.approve"):
        visit.require("launch.approve", [grant.team for grant in visit.person.grants] or [EVERY_TEAM])
    return visit.page(_page(visit, "", Field()))


@router.post("/approvals/{draft_id}")
def answer(
    visit: AnyVisit,
    draft_id: str,
    answer: Annotated[Literal["approved", "refused"], Form()],
    version: Annotated[str, Form(max_length=60)] = "",
    said: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Approve a launch that was read like this, or refuse it with a reason."""
    _, draft = visit.reader.gettext, _asked(visit, draft_id)
    text = " ".join(said.split())
    if draft.approval.answer != "waiting" or draft.version != version:
        raise RefusedError(
            _("It was changed, answered or taken back meanwhile. Read it again before you answer.")
        )
    if answer == "refused" and not text:
        return visit.page(_page(visit, draft_id, Field(fault=_("Say why not."))), 422)
    details = {
        "environment": draft.environment, "team": draft.team, "answer": answer, "usd": draft.approval.usd,
        "said": text, "asked_by_person": draft.person,
    }  # fmt: skip
    visit.services.recorder.record(visit.asked_by, "launch.approve", draft.id, "recorded", details)
    with launches.changing(visit.services.database, draft.id) as changing:
        if changing.draft.version != version:
            raise RefusedError(
                _("It was changed, answered or taken back meanwhile. Read it again before you answer.")
            )
        approval = draft.approval.model_copy(update={"answer": answer, "said": text})
        changing.note(approval=approval, approved_by=visit.person.id)
    return see_other("/approvals")


def _asked(visit: Visit, draft_id: str) -> LaunchDraft:
    """Return a launch that the person may answer; their own is refused, on record, as a missing role is."""
    with visit.services.database.reading() as database:
        draft = launches.find(database, draft_id)
    if draft is None:
        raise NotThereError
    visit.require("launch.approve", draft.team)
    if draft.person == visit.person.id:
        details = {"verb": "launch.approve", "own": True, "path": visit.request.url.path[:200]}
        visit.services.recorder.record(visit.asked_by, "console.refuse", "launch.approve", "refused", details)
        raise RefusedError(
            visit.reader.gettext("Nobody approves their own launch: somebody else answers it.")
        )
    return draft


def _page(visit: Visit, at: str, said: Field) -> ApprovalsPage:
    """Return the page; `said` is what was filled in at the launch `at`."""
    with visit.services.database.reading() as database:
        waiting = launches.waiting(database)
    mine = [each for each in waiting if visit.may("launch.approve", each.draft.team)]
    return ApprovalsPage(
        frame=visit.frame(
            visit.reader.gettext("Approvals"),
            command=commands.line(commands.read_record(event="launch.approve")),
        ),
        lines=tuple(_line(visit, each, said if each.draft.id == at else Field()) for each in mine),
        style=launch_seen.style(),
    )


def _line(visit: Visit, asked: Asked, said: Field) -> ApprovalLine:
    reader, draft = visit.reader, asked.draft
    approval: Approval = draft.approval
    title = reader.gettext("{person} wants to train on {name} (team {team})")
    return ApprovalLine(
        id=draft.id,
        title=title.format(person=asked.person_name, name=draft.environment, team=draft.team),
        what=launch_seen.want_title(reader, draft.want),
        data=launch_seen.set_title(reader, draft.known) if draft.known else reader.gettext("Their own data"),
        size=_size(reader, draft),
        usd=reader.usd(approval.usd),
        left=reader.usd(max(0.0, approval.left)),
        reason=approval.reason,
        asked=reader.moment(draft.changed),
        version=draft.version,
        own=draft.person == visit.person.id,
        said=said,
    )


def _size(reader: Reader, draft: LaunchDraft) -> str:
    nodes = reader.ngettext("{count} machine", "{count} machines", draft.nodes)
    text = reader.gettext("{machines}, for {span} at most")
    return text.format(machines=nodes, span=reader.span(draft.minutes * 60))
