"""`/leftovers`: what is left over in the whole account, for who sees all of it; to be looked at again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Response

from console.leftovers import Looked
from console.pages import leftovers_view
from console.web import assets
from console.web.visit import AnyVisit, AnyWatch, Visit, see_other
from fleet import commands
from fleet.policy import EVERY_TEAM
from templates.console.leftovers import LeftoversPage, LeftoversPart, LeftoversView, LeftoversWait

router = APIRouter()
_PATIENCE_SECONDS, _PATIENCE_WITHOUT_SCRIPTS = 0.5, 60.0
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
        acts=(),
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
    """Return the last look, None where one is under way that takes longer than so many seconds."""
    return visit.services.leftovers.within(seconds)


def _require(visit: Visit) -> None:
    visit.require("account.look", EVERY_TEAM)


def _view(visit: Visit, looked: Looked, asked: Asked) -> LeftoversView:
    return leftovers_view.view(
        visit.reader,
        looked,
        environment=asked.environment,
        kind=asked.kind,
        delete="",
        form_token=visit.form_token,
    )
