"""`/acts/ACT`: how far an act is, live, and how it ended; stop it, or do it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from console.acts import start, watch
from console.acts.spec import Check, Down, Export, Launch, Sweep, verb_of
from console.acts.watch import ActStatus, Place
from console.estate import Standing
from console.pages import act_view
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit, guest_of, see_other
from fleet.policy import EVERY_TEAM
from templates.console.act import ActPage, ActPart, ActView

_LOOK_SECONDS, _ASK_AGAIN_SECONDS = 0.5, 30.0
"""How often a stream looks for news, and how often it asks whether its reader may still see them."""
_RETRY_MS = 2000

router = APIRouter()


@dataclass(frozen=True)
class SeenAct:
    """An act that the person may see."""

    visit: Visit
    place: Place
    standing: Standing
    status: ActStatus

    @property
    def may_act(self) -> bool:
        """Whether the person may stop it, and do it again: whoever may do such a thing."""
        act = self.status.act
        own = self.status.person_id == self.visit.person.id
        teams = act_view.teams_of(self.standing, self.status)
        return any(self.visit.may(verb_of(act), team, own=own) for team in teams)


def _seen(visit: AnyVisit, act_id: str) -> SeenAct:
    """Return an act that is the person's to see; raises NotThereError for any other."""
    place = act_view.place_of(visit)
    status = watch.status(place, act_id)
    if status is None:
        raise NotThereError
    if not status.act.environment:
        if isinstance(status.act, Check):  # the upload's own page shows it
            raise NotThereError
        # Whoever sees what is left over sees what becomes of it.
        looks = isinstance(status.act, Sweep)
        visit.require("account.look" if looks else verb_of(status.act), EVERY_TEAM)
        return SeenAct(visit, place, Standing(name="", session=None, glance=None), status)
    standing = visit.environment(status.act.environment)
    visit.require("run.see", act_view.teams_of(standing, status))
    return SeenAct(visit, place, standing, status)


AnySeenAct = Annotated[SeenAct, Depends(_seen)]


@router.get("/acts/{act_id}")
def show(seen: AnySeenAct) -> Response:
    """Show the act as it stands."""
    visit, status = seen.visit, seen.status
    page = ActPage(
        frame=visit.frame(act_view.title(visit.reader, status), command=status.command),
        act=_view(seen, status),
        style=assets.url("acts.css"),
        stream=f"/acts/{status.id}/events" if status.under_way else "",
    )
    return visit.page(page)


@router.get("/acts/{act_id}/events", response_class=EventSourceResponse)
async def follow(seen: AnySeenAct) -> AsyncIterator[ServerSentEvent]:
    """Send the act anew whenever something has happened to it, and `over` once it has ended.

    What is sent is all of it, as it then stands: who comes back after a break has missed nothing.
    """
    shown, asked = "", time.monotonic()
    while True:
        html, over = await run_in_threadpool(_look, seen)
        if html != shown:
            shown = html
            yield ServerSentEvent(event="act", raw_data=html, retry=_RETRY_MS)
        if over:
            yield ServerSentEvent(event="over", raw_data="")
            return
        await asyncio.sleep(_LOOK_SECONDS)
        if time.monotonic() - asked > _ASK_AGAIN_SECONDS:
            asked = time.monotonic()
            if not await run_in_threadpool(_may_go_on, seen):
                return


@router.post("/acts/{act_id}/stop")
def stop(seen: AnySeenAct) -> Response:
    """Ask it to stop."""
    _require(seen)
    start.interrupt(seen.place, seen.status.id)
    return see_other(f"/acts/{seen.status.id}")


@router.post("/acts/{act_id}/repeat")
def repeat(seen: AnySeenAct) -> Response:
    """Do it again; what deletes or exports only for somebody who has just proved who they are."""
    _require(seen)
    if isinstance(seen.status.act, Down | Export | Sweep):
        seen.visit.require_fresh()
    visit = seen.visit
    return see_other(f"/acts/{start.repeat(seen.place, visit.person.id, visit.asked_by, seen.status.id)}")


def _require(seen: SeenAct) -> None:
    own = seen.status.person_id == seen.visit.person.id
    act, visit = seen.status.act, seen.visit
    visit.require(verb_of(act), act_view.teams_of(seen.standing, seen.status), own=own)
    if isinstance(act, Launch) and act.build:
        visit.require("environment.up", seen.standing.teams)


def _view(seen: SeenAct, status: ActStatus) -> ActView:
    visit = seen.visit
    steps = watch.news(seen.place, status.id).steps
    return act_view.view(
        visit.reader,
        status,
        steps,
        may=seen.may_act,
        form_token=visit.form_token,
        put_away=not seen.place.folder(status.id).path.is_dir(),
    )


def _look(seen: SeenAct) -> tuple[str, bool]:
    """Return the act's part of the page as it stands now, and whether the act has ended."""
    status = watch.status(seen.place, seen.status.id)
    assert status is not None, "rows of acts stay"
    render = seen.visit.services.renderers[seen.visit.reader.language]
    return render(ActPart(act=_view(seen, status))), not status.under_way


def _may_go_on(seen: SeenAct) -> bool:
    """Return whether the reader is still signed in, and may still see the environment."""
    guest = guest_of(seen.visit.request)
    if guest.signed_in is None:
        return False
    return Visit(guest.request, guest.services, guest.reader, guest.signed_in).sees(seen.standing)
