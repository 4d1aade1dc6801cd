"""The languages of the console: English, in which it is written, and Korean, from catalogues."""

from __future__ import annotations

import gettext
from collections.abc import Iterable
from functools import cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH, KOREAN = "en", "ko"
LANGUAGES = {ENGLISH: "English", KOREAN: "한국어"}
"""Every language with its own name for itself."""
ZONES = {ENGLISH: "UTC", KOREAN: "Asia/Seoul"}
"""The zone of a reader who has named none and whose browser tells none."""
FOLDER = Path(__file__).parent


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the language's translations; of English, what the code itself says."""
    if language == ENGLISH:
        return gettext.NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def catalogue(language: str) -> Catalog:
    """Return all messages of a language: of each of its files, one for each part of the console."""
    whole = Catalog(locale=language)
    for file in sorted((FOLDER / language).glob("*.po")):
        with file.open("rb") as opened:
            for message in read_po(opened, locale=language):
                if message.id:
                    whole[message.id] = message
    return whole


def choose(wanted: Iterable[str], accepted: str) -> str:
    """Return the first of the wanted languages that there is, else what a browser accepts most, else English.

    `accepted` is the header Accept-Language; what is malformed in it is left out.
    """
    for each in wanted:
        if each in LANGUAGES:
            return each
    ranked = sorted(_ranked(accepted), key=lambda pair: -pair[0])
    return next((name for _, name in ranked if name in LANGUAGES), ENGLISH)


def _ranked(accepted: str) -> Iterable[tuple[float, str]]:
    for part in accepted[:500].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            yield float(weight or 1), tag.strip().partition("-")[0].lower()
        except ValueError:
            continue
