"""Every text of the console that is translated, as it stands in code and templates.

`python -m tests.console.messages` prints those that the Korean catalogues lack, as they would stand there.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import write_po

from console.words.languages import KOREAN, catalogue

ROOT = Path(__file__).parents[2]
OPTIONS = {"**.html.j2": {"trimmed": "true", "silent": "false"}}


def found() -> Catalog:
    """Return every message with the places where it stands."""
    messages = Catalog()
    for room, methods in (
        ("console", [("**.py", "python")]),
        ("templates/console", [("**.html.j2", "jinja2")]),
    ):
        folder = ROOT / room
        for name, line, message, comments, context in extract_from_dir(
            folder, method_map=methods, options_map=OPTIONS
        ):
            messages.add(message, None, [(f"{room}/{name}", line)], auto_comments=comments, context=context)
    return messages


def missing() -> Iterator[object]:
    """Yield the ids of messages that have no Korean translation."""
    known = catalogue(KOREAN)
    for message in (each for each in found() if each.id):
        translated = known.get(message.id)
        if translated is None or not translated.string or translated.fuzzy:
            yield message.id


def main() -> None:
    """Print what is missing."""
    lacking, whole = Catalog(locale=KOREAN), found()
    for identity in missing():
        lacking[identity] = whole[identity]
    text = BytesIO()
    write_po(text, lacking, omit_header=True, width=0)
    print(text.getvalue().decode())


if __name__ == "__main__":
    main()
