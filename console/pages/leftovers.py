"""`/leftovers`: what is left over in the whole account, for who sees all of it; to be looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Response

from console.acts import watch
from console.acts.spec import Sweep
from console.leftovers import Looked
from console.pages import act_view, leftovers_view
from console.web import assets
from console.web.visit import AnyVisit, AnyWatch, Visit, see_other
from fleet import commands
from fleet.policy import EVERY_TEAM, Verb
from templates.console.leftovers import LeftoversPage, LeftoversPart, LeftoversView, LeftoversWait
from templates.console.parts import Link

router = APIRouter()
_CHANGING: tuple[Verb, ...] = ("account.sweep", "environment.up", "environment.down")
"""Acts after which something else is left over."""
_NEWEST, _SHOWN = 50, 5
"""Among so many acts that are of no environment it is looked for deletions, of which so many are shown."""
_PATIENCE_SECONDS, _PATIENCE_WITHOUT_SCRIPTS = 0.5, 20.0
"""How long a part waits for a look, before it says so and is asked again; a whole page."""


@dataclass(frozen=True)
class Asked:
    """What of all that was found somebody wants to see."""

    environment: str
    kind: str

    def path(self, path: str, **more: str) -> str:
        """Return the address of a page or a part that shows the same."""
        told = {"environment": self.environment, "kind": self.kind, **more}
        query = urlencode({name: value for name, value in told.items() if value})
        return f"{path}?{query}" if query else path


def _asked(
    environment: Annotated[str, Query(max_length=256)] = "",
    kind: Annotated[str, Query(max_length=100)] = "",
) -> Asked:
    return Asked(environment, kind)


AnyAsked = Annotated[Asked, Depends(_asked)]


@router.get("/leftovers")
def show(visit: AnyVisit, asked: AnyAsked, look: Annotated[str, Query(max_length=1)] = "") -> Response:
    """Show what is left over, at once where it is known; with `look`, wait until it is."""
    _require(visit)
    looked = known(visit, _PATIENCE_WITHOUT_SCRIPTS if look else 0.0)
    page = LeftoversPage(
        frame=visit.frame(
            visit.reader.gettext("Leftovers"), command=commands.line(commands.sweep(asked.environment))
        ),
        style=assets.url("leftovers.css"),
        script=assets.url("live.js"),
        acts=tuple(islice(_acts(visit), _SHOWN)),
        left=_view(visit, looked, asked) if looked else None,
        part=asked.path("/leftovers/list"),
        whole=asked.path("/leftovers", look="1"),
    )
    return visit.page(page)


@router.get("/leftovers/list")
def show_list(visit: AnyWatch, asked: AnyAsked) -> Response:
    """Send what is left over, or what asks for it again."""
    _require(visit)
    looked = known(visit, _PATIENCE_SECONDS)
    if looked is None:
        whole = asked.path("/leftovers", look="1")
        return visit.page(LeftoversWait(part=asked.path("/leftovers/list"), whole=whole))
    return visit.page(LeftoversPart(left=_view(visit, looked, asked)))


@router.post("/leftovers/look")
def look_again(
    visit: AnyVisit,
    environment: Annotated[str, Form(max_length=256)] = "",
    kind: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Begin to look again, and show what that finds."""
    _require(visit)
    visit.services.leftovers.forget()
    return see_other(Asked(environment, kind).path("/leftovers"))


def known(visit: Visit, seconds: float) -> Looked | None:
    """Return the last look, None where one is under way that takes longer than so many seconds.

    What has been built, torn down or deleted since then makes another one necessary.
    """
    place, leftovers = act_view.place_of(visit), visit.services.leftovers
    watch.under_way(place, "")  # what has ended since somebody looked is noted
    looked, ended = leftovers.within(seconds), watch.last_end(place, *_CHANGING)
    if looked is not None and ended is not None and ended > looked.begun:
        leftovers.forget()
        return leftovers.within(seconds)
    return looked


def _require(visit: Visit) -> None:
    visit.require("account.look", EVERY_TEAM)


def _acts(visit: Visit) -> Iterator[Link]:
    """Yield the last deletions, newest first."""
    for found in watch.newest(act_view.place_of(visit), "", _NEWEST):
        if isinstance(found.act, Sweep):
            at = visit.reader.moment(found.created_at).shown
            yield Link(label=f"{at}: {act_view.line(visit.reader, found)}", href=f"/acts/{found.id}")


def _view(visit: Visit, looked: Looked, asked: Asked) -> LeftoversView:
    may = visit.may("account.sweep", EVERY_TEAM)
    return leftovers_view.view(
        visit.reader,
        looked,
        environment=asked.environment,
        kind=asked.kind,
        delete=Asked(asked.environment, "").path("/leftovers/delete") if may else "",
        form_token=visit.form_token,
    )
