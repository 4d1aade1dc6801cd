"""`/launch/DRAFT/review`: the last step of a launch, in plain words; over budget or quota it ends here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Response

from console import launches
from console.launch_data import ChosenData, chosen_data
from console.launch_place import place_of
from console.launches import LaunchDraft
from console.pages import launch_seen, launch_view
from console.pages.launch_seen import DATA, REVIEW, own_draft, step_path
from console.web.visit import AnyVisit, Visit, see_other
from templates.console.launch_review import LaunchReviewPart
from templates.console.parts import Field

_LONGEST_NUMBER = 6

Number = Annotated[str, Form(max_length=20)]

router = APIRouter()


@router.get("/launch/{draft_id}/review")
def show(visit: AnyVisit, draft_id: str, look: Annotated[str, Query(max_length=1)] = "") -> Response:
    """Show the page; with `look`, at once with what would be started, for which the cloud is asked."""
    found = _open(visit, draft_id)
    if isinstance(found, Response):
        return found
    draft, data = found
    seen = launch_view.review(visit, draft, data) if look else None
    return visit.page(launch_view.page(visit, draft, launch_view.view(visit, seen) if seen else None))


@router.get("/launch/{draft_id}/review/now")
def show_now(visit: AnyVisit, draft_id: str) -> Response:
    """Send what would be started, once the cloud has answered."""
    found = _open(visit, draft_id)
    if isinstance(found, Response):
        return Response(status_code=204, headers={"HX-Redirect": found.headers["location"]})
    seen = launch_view.review(visit, *found)
    return visit.page(LaunchReviewPart(review=launch_view.view(visit, seen)))


def _open(visit: Visit, draft_id: str) -> tuple[LaunchDraft, ChosenData] | Response:
    """Return the draft and its data, or an answer that leads to where it is."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, REVIEW):
        return answer
    data = chosen_data(visit.services, draft, visit.person)
    return (draft, data) if data is not None else see_other(step_path(draft, DATA))


@router.post("/launch/{draft_id}/review")
def resize(
    visit: AnyVisit, draft_id: str, nodes: Number = "", minutes: Number = "", fleet: Number = ""
) -> Response:
    """Take another number of machines, or another time, and reckon again."""
    found = _open(visit, draft_id)
    if isinstance(found, Response):
        return found
    draft, data = found
    place = place_of(visit.services, draft)
    sized = draft.model_copy(update={"fleet": fleet if fleet in place.fleets else ""})
    size = (
        _number(visit, nodes, place.most_nodes(sized)),
        _number(visit, minutes, place.site.longest_minutes),
    )
    if any(each.fault for each in size):
        view = launch_view.view(visit, launch_view.review(visit, draft, data), size)
        return visit.page(launch_view.page(visit, draft, view), 422)
    with launches.changing(visit.services.database, draft.id) as changing:
        changing.choose(fleet=sized.fleet, nodes=int(size[0].value), minutes=int(size[1].value))
    return see_other(step_path(draft, REVIEW))


def _number(visit: Visit, text: str, most: int) -> Field:
    """Return a whole number from 1 on as it was filled in, with what is wrong with it."""
    value = text.strip()
    digits = value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
    if digits and 1 <= int(value) <= most:
        return Field(value=str(int(value)))
    fault = visit.reader.gettext("Take a whole number from 1 to {most}.")
    return Field(value=value, fault=fault.format(most=visit.reader.number(most)))
