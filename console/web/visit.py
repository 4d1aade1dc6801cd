"""One request and who makes it: how they read, what they may, and the pages that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from console.estate import Standing
from console.people import sessions
from console.people.accounts import Person
from console.people.sessions import SignedIn
from console.recorder import asked_by, nobody
from console.services import Services
from console.store.columns import utc_now
from console.web import cookies, frames, session_end
from console.web.form_token import secret_of, token_of
from console.web.mistakes import NotAllowedError, NotProvedError, NotSignedInError, NotThereError
from console.words.languages import choose
from console.words.reader import Reader, known_zone
from fleet.policy import EVERY_TEAM, Verb, decide
from fleet.runs import RunStatus
from templates.console.parts import Frame, Notice
from templates.engine import Context

Answer = TypeVar("Answer", bound=Response)


@dataclass(frozen=True)
class Guest:
    """Anybody who asks, signed in or not."""

    request: Request
    services: Services
    reader: Reader
    signed_in: SignedIn | None

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.request.client.host if self.request.client else ""

    @property
    def asked_by(self) -> dict[str, str]:
        """Who asks, as the ledger says it."""
        return asked_by(self.signed_in.person, self.address) if self.signed_in else nobody(self.address)

    @property
    def form_token(self) -> str:
        """What every form of this browser's sends back."""
        return token_of(secret_of(self.request, self.services))

    def frame(self, title: str, *, notices: Sequence[Notice] = (), command: str = "") -> Frame:
        """Return what stands around a page with that title."""
        request, services = self.request, self.services
        return frames.build(
            self.reader,
            title=title,
            person=self.signed_in.person if self.signed_in else None,
            theme=self._theme,
            form_token=self.form_token,
            here=request.url.path,
            notices=notices,
            command=command,
            session_wait=session_end.wait(self.signed_in, services.settings.limits) if self.signed_in else 0,
        )

    def page(self, context: Context, status: int = 200) -> HTMLResponse:
        """Answer with a page in the reader's language."""
        answer = HTMLResponse(self.services.renderers[self.reader.language](context), status)
        return self.with_form_secret(answer)

    def with_form_secret(self, answer: Answer) -> Answer:
        """Return the answer with the secret of this browser's forms, where it has just got one."""
        if secret := getattr(self.request.state, "new_form_secret", ""):
            cookies.put(answer, "form", secret, self.services.settings)
        return answer

    @property
    def _theme(self) -> str:
        if self.signed_in:
            return self.signed_in.person.theme
        return cookies.read(self.request, "theme", self.services.settings)


@dataclass(frozen=True)
class Visit(Guest):
    """Somebody who is signed in."""

    @property
    def person(self) -> Person:
        """Who it is."""
        assert self.signed_in is not None, "a visit is somebody's"
        return self.signed_in.person

    def may(self, verb: Verb, team: str, *, own: bool = False) -> bool:
        """Return whether the person may do that in the team; for what a page offers and leaves out."""
        return decide(self.person.grants, verb, team, own=own).allowed

    def require(self, verb: Verb, teams: str | Sequence[str], *, own: bool = False) -> None:
        """Raise NotAllowedError, on record, where the person may not do that in any of the teams.

        Where they may not even see the environment, NotThereError: what others have is not told. Not within a
        transaction that writes: the refusal is put on record in one of its own.
        """
        wanted = (teams,) if isinstance(teams, str) else tuple(teams)
        if any(self.may(verb, team, own=own) for team in wanted):
            return
        details = {"verb": verb, "teams": list(wanted), "path": self.request.url.path[:200]}
        self.services.recorder.record(self.asked_by, "console.refuse", verb, "refused", details)
        if not any(self.may("environment.see", team) for team in wanted):
            raise NotThereError
        team = next(iter(wanted), "")
        raise NotAllowedError(verb, team, decide(self.person.grants, verb, team, own=own).roles)

    def sees(self, standing: Standing) -> bool:
        """Return whether they may see the environment; where its file says no team, who sees all of them."""
        return any(self.may("environment.see", team) for team in standing.teams or (EVERY_TEAM,))

    def sees_run(self, standing: Standing, run: RunStatus) -> bool:
        """Return whether a run of the environment is of a team whose runs the person may see."""
        return self.may("run.see", standing.team_of(run))

    def environment(self, name: str, verb: Verb = "environment.see") -> Standing:
        """Return the environment of that name, where the person may do that in one of its teams.

        Raises NotThereError where there is none or it is not theirs to see, NotAllowedError as `require`.
        """
        standing = self.services.estate.standing(name)
        if standing is None:
            raise NotThereError
        self.require(verb, standing.teams or (EVERY_TEAM,))
        return standing

    def require_fresh(self) -> None:
        """Raise NotProvedError where the person proved who they are too long ago for what can't be undone."""
        assert self.signed_in is not None, "a visit is somebody's"
        if utc_now() - self.signed_in.proved_at > self.services.settings.limits.fresh:
            raise NotProvedError


def guest_of(request: Request) -> Guest:
    """Return who makes a request."""
    services: Services = request.app.state.services
    secret, signed_in = cookies.read(request, "session", services.settings), None
    if secret:
        with services.database.reading() as database:
            signed_in = sessions.find(database, secret, services.settings.limits)
    return Guest(request, services, _reader(request, services, signed_in), signed_in)


def _visit(guest: AnyGuest) -> Visit:
    visit = _watch(guest)
    assert guest.signed_in is not None, "a visit is somebody's"
    if utc_now() - guest.signed_in.seen_at > sessions.SEEN_EVERY:
        with guest.services.database.writing() as database:
            sessions.note_use(database, guest.signed_in.secret)
    return visit


def _watch(guest: AnyGuest) -> Visit:
    if guest.signed_in is None:
        raise NotSignedInError
    return Visit(guest.request, guest.services, guest.reader, guest.signed_in)


def _reader(request: Request, services: Services, signed_in: SignedIn | None) -> Reader:
    """Return who reads: as they have said themselves, else as their browser says."""
    person, settings = signed_in.person if signed_in else None, services.settings
    said = (person.language if person else "", cookies.read(request, "language", settings))
    language = choose(said, request.headers.get("accept-language", ""))
    zone = (person.zone if person else "") or cookies.read(request, "zone", settings)
    return Reader(language, known_zone(zone, language))


def see_other(path: str) -> RedirectResponse:
    """Lead the browser to another page of ours after a form was sent."""
    return RedirectResponse(path, 303)


AnyGuest = Annotated[Guest, Depends(guest_of)]
"""What a page asks for that anybody may see."""
AnyVisit = Annotated[Visit, Depends(_visit)]
"""What a page asks for that needs somebody who is signed in."""
AnyWatch = Annotated[Visit, Depends(_watch)]
"""The same for what a page asks for by itself, again and again: an idle session ends in spite of it."""
