"""The languages: no hole in Korean, nothing in it that nobody says, the same blanks to fill in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from console.words.languages import FOLDER, KOREAN, catalogue, choose, translations
from console.words.reader import Reader, known_zone
from tests.console.messages import found, missing

_BLANK = re.compile(r"\{\w*\}|%\(\w+\)[sd]")
FILES = sorted((FOLDER / KOREAN).glob("*.po"))
SEOUL = Reader(KOREAN, "Asia/Seoul")
LONDON = Reader("en", "Europe/London")


def test_korean_has_no_hole() -> None:
    assert list(missing()) == []


def test_korean_has_nothing_that_no_page_says() -> None:
    said = {str(message.id) for message in found()}
    assert {str(message.id) for message in catalogue(KOREAN) if message.id} <= said


def test_a_translation_has_the_same_blanks_to_fill_in() -> None:
    for message in catalogue(KOREAN):
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        source = message.id[0] if isinstance(message.id, tuple) else message.id
        for text in texts:
            assert set(_BLANK.findall(text)) == set(_BLANK.findall(str(source))) or not message.id, source


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_no_message_stands_in_two_catalogues(file: Path) -> None:
    with file.open("rb") as opened:
        own = {str(message.id) for message in read_po(opened, locale=KOREAN) if message.id}
    others = set()
    for other in FILES:
        if other != file:
            with other.open("rb") as opened:
                others |= {str(message.id) for message in read_po(opened, locale=KOREAN) if message.id}
    assert own & others == set()


def test_a_translated_text_is_korean() -> None:
    assert translations(KOREAN).gettext("Sign in") == "로그인"


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        ((), "ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        ((), "de-DE,en;q=0.5,ko;q=0.7", "ko"),
        ((), "fr", "en"),
        ((), "", "en"),
        ((), "ko;q=many", "en"),
        (("", "en"), "ko", "en"),
        (("xx", ""), "ko", "ko"),
    ],
)
def test_the_language_is_what_was_chosen_else_what_the_browser_asks_for(
    wanted: tuple[str, ...], accepted: str, language: str
) -> None:
    assert choose(wanted, accepted) == language


def test_times_are_in_the_readers_zone_with_utc_beside() -> None:
    moment = SEOUL.moment("2026-11-23T15:30:00+00:00")
    assert moment.shown == "2026. 11. 24. 00:30:00"
    assert LONDON.moment("2026-06-23T15:30:00Z").shown == "23 Jun 2026, 16:30:00"
    assert moment.utc == "2026-11-23 15:30:00 UTC" and moment.machine == "2026-11-23T15:30:00+00:00"


def test_an_unknown_zone_is_the_languages_own() -> None:
    assert known_zone("Mars/Olympus", "ko") == "Asia/Seoul"
    assert known_zone("../../etc/passwd", "en") == "UTC"
    assert known_zone("Europe/Berlin", "ko") == "Europe/Berlin"


def test_money_and_spans_are_written_as_the_reader_writes_them() -> None:
    assert (LONDON.usd(1234.5), LONDON.usd(0.0123), LONDON.usd(0)) == ("$1,234.50", "$0.0123", "$0.00")
    assert (SEOUL.usd(1234.5), SEOUL.span(65), LONDON.span(65)) == ("US$1,234.50", "1분 5초", "1 min 5 sec")
    assert (LONDON.span(0.2), LONDON.span(90061)) == ("0 sec", "1 day 1 hr")
