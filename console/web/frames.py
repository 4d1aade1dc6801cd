"""What stands around every page: where one can go, who one is, how one reads."""

from __future__ import annotations

from collections.abc import Sequence

from console.people.accounts import Person
from console.web import assets
from console.words.languages import LANGUAGES
from console.words.reader import Reader
from fleet.policy import EVERY_TEAM, Verb, teams_of
from templates.console.parts import Choice, Frame, Link, Notice

_SCRIPTS = ("vendor/htmx.min.js", "vendor/htmx-sse.min.js", "zone.js", "rows.js")


def build(
    reader: Reader,
    *,
    title: str,
    person: Person | None,
    theme: str,
    form_token: str,
    here: str,
    notices: Sequence[Notice],
    command: str,
    session_wait: int,
) -> Frame:
    """Return the frame of one page."""
    return Frame(
        title=title,
        language=reader.language,
        languages=tuple(
            Choice(value=code, label=name, chosen=code == reader.language) for code, name in LANGUAGES.items()
        ),
        theme=theme if theme in ("light", "dark") else "",
        themes=_themes(reader, theme),
        style=assets.url("app.css"),
        icon=assets.url("icon.svg"),
        scripts=tuple(assets.url(name) for name in _SCRIPTS),
        person=person.name if person else "",
        places=_places(reader, here, person) if person else (),
        form_token=form_token,
        here=here,
        notices=tuple(notices),
        command=command,
        session_wait=session_wait,
    )


def _places(reader: Reader, here: str, person: Person) -> tuple[Link, ...]:
    """Return where this person can go: a place that their roles do not open is not shown."""
    _ = reader.gettext
    places = [
        (_("Environments"), "/", True),
        (_("Launch"), "/launch", _may(person, "run.submit")),
        (_("Data"), "/uploads", _may(person, "data.upload")),
        (_("Costs"), "/cost", _may(person, "run.see")),
        (_("Approvals"), "/approvals", _may(person, "launch.approve")),
        (_("Leftovers"), "/leftovers", _may(person, "account.look", EVERY_TEAM)),
        (_("Record"), "/record", _may(person, "record.read", EVERY_TEAM)),
        (_("People"), "/people", _may(person, "people.manage")),
    ]
    return tuple(Link(label=label, href=href, current=href == here) for label, href, open_ in places if open_)


def _may(person: Person, verb: Verb, team: str = "") -> bool:
    """Return whether they may do that in the team, or for "" in any."""
    teams = teams_of(person.grants, verb)
    return team in teams if team else bool(teams)


def _themes(reader: Reader, theme: str) -> tuple[Choice, ...]:
    _ = reader.gettext
    names = (("", _("As the system")), ("light", _("Light")), ("dark", _("Dark")))
    return tuple(Choice(value=value, label=label, chosen=value == theme) for value, label in names)
