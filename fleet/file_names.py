"""Names of files that people bring, in a folder or an archive: which are taken, what is wrong with others."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator

from stacks.problems import Problem

MOST_BYTES, MOST_PART_BYTES, MOST_PARTS = 1024, 255, 16
"""Bytes of a whole name, bytes of what is between two slashes, and how many of those there may be."""
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}
)
"""What Windows takes for a device, whatever comes after a point in the name."""
SHOWN = 80
"""Characters of a name that a problem tells."""
_RUBBISH = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""What systems put beside people's files, in lower case; so is everything that begins with a dot."""
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, halves of characters and ends of lines."""
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of writing: with it a name looks like another."""


def plain_name(name: str) -> str:
    """Return the name in the form in which two that look alike are alike (NFC): macOS writes another."""
    return unicodedata.normalize("NFC", name)


def is_rubbish(name: str) -> bool:
    """Return whether the file is none of the person's own, or hidden."""
    parts = name.lower().split("/")
    return any((part.startswith(".") and part.strip(".")) or part in _RUBBISH for part in parts)


def shown(name: str) -> str:
    """Return the name as it can be printed anywhere: what is not seen is spelled out, and it is not long."""
    spelled = "".join(f"\\u{ord(each):04x}" if _is_unseen(each) else each for each in name)
    return spelled if len(spelled) <= SHOWN else f"{spelled[: SHOWN - 1]}…"


def name_problems(names: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with names of files, relative and with `/`, that are to lie together."""
    seen: set[str] = set()
    folders = {_folded(name[:at]) for name in names for at, each in enumerate(name) if each == "/"}
    for name in names:
        what, folded = _fault(name), _folded(name)
        if not what and folded in seen:
            what = "is there twice, or with other capital letters"
        if not what and folded in folders:
            what = "is a file, and a folder of other files too"
        seen.add(folded)
        if what:
            yield Problem(what=what, do="rename it", file=shown(name))


def _folded(name: str) -> str:
    return plain_name(name).casefold()


def _is_unseen(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _UNSEEN


def _fault(name: str) -> str:
    """Return what is wrong with one name, "" where nothing is."""
    parts = name.split("/")
    if any(map(_is_unseen, name)):
        return "has a character in its name that is not seen"
    if "\\" in name or name[1:2] == ":" or any(part in ("", ".", "..") for part in parts):
        return "is no name of a file in this folder"
    if any(part.endswith(".") or part.partition(".")[0].lower() in _DEVICES for part in parts):
        return "has a name that Windows can't keep"
    if any(part != part.strip() for part in parts):
        return "has a name that begins or ends with a space"
    if len(name.encode()) > MOST_BYTES or any(len(part.encode()) > MOST_PART_BYTES for part in parts):
        return f"has too long a name ({MOST_PART_BYTES} bytes at most, {MOST_BYTES} with its folders)"
    return f"lies in more than {MOST_PARTS - 1} folders" if len(parts) > MOST_PARTS else ""


def first_of(problems: Iterable[Problem], most: int = 20) -> list[Problem]:
    """Return the first of many problems, and how many more there are: thousands of lines help nobody."""
    found = list(problems)
    if len(found) <= most:
        return found
    more = Problem(what=f"and {len(found) - most:,} more like these", do="mend those first")
    return [*found[:most], more]
