"""What stands around every page: where one can go, who one is, how one reads."""

from __future__ import annotations

from collections.abc import Sequence

from console.people.accounts import Person
from console.web import assets
from console.words.languages import LANGUAGES
from console.words.reader import Reader
from templates.console.parts import Choice, Frame, Link, Notice

_SCRIPTS = ("vendor/htmx.min.js", "vendor/htmx-sse.min.js", "zone.js")


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
        places=_places(reader, here) if person else (),
        form_token=form_token,
        here=here,
        notices=tuple(notices),
        command=command,
    )


def _places(reader: Reader, here: str) -> tuple[Link, ...]:
    _ = reader.gettext
    places = ((_("Environments"), "/"),)
    return tuple(Link(label=label, href=href, current=href == here) for label, href in places)


def _themes(reader: Reader, theme: str) -> tuple[Choice, ...]:
    _ = reader.gettext
    names = (("", _("As the system")), ("light", _("Light")), ("dark", _("Dark")))
    return tuple(Choice(value=value, label=label, chosen=value == theme) for value, label in names)
