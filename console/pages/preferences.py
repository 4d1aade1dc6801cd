"""`/preferences`: how one reads, kept with the person, or in the browser of a guest."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.store.people_tables import PersonRow
from console.web import cookies
from console.web.next_page import safe_path
from console.web.visit import AnyGuest, see_other
from console.words.languages import LANGUAGES

THEMES = ("", "light", "dark")

router = APIRouter()


@router.post("/preferences")
def change(
    guest: AnyGuest,
    language: Annotated[str | None, Form()] = None,
    theme: Annotated[str | None, Form()] = None,
    next_page: Annotated[str, Form()] = "/",
) -> Response:
    """Keep what was chosen; what there is not is left out."""
    chosen: dict[cookies.Cookie, str] = {}
    if language in LANGUAGES:
        chosen["language"] = str(language)
    if theme in THEMES:
        chosen["theme"] = str(theme)
    if guest.signed_in and chosen:
        with guest.services.database.writing() as database:
            person = database.get_one(PersonRow, guest.signed_in.person.id)
            person.language = chosen.get("language", person.language)
            person.theme = chosen.get("theme", person.theme)
    answer = see_other(safe_path(next_page))
    for name, value in chosen.items():
        cookies.put(answer, name, value, guest.services.settings)
    return answer
