"""What `fleet/` says, which is English, in the reader's language as far as there is a translation of it.

A sentence is found again by its pattern: `the run {run} is {state}` with anything in the blanks. What has no
pattern is shown as it is, and marked as English for who has it read aloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, lru_cache

from console.words.data_words import DATA_WORDS
from console.words.end_words import END_WORDS
from console.words.form_words import FORM_WORDS
from console.words.languages import ENGLISH
from console.words.left_words import KIND_WORDS, LEFT_WORDS
from console.words.reader import Reader
from console.words.sentences import COMPOSED, SENTENCES
from stacks.problems import Problem
from templates.console.phrase import Phrase
from templates.console.problem import Said

_BLANK = re.compile(r"\{(\w+)\}")
_WITHIN, _MAYBE = "said", "maybe"
"""In names of blanks: what begins so holds a sentence of its own, which needs a translation too; what has
that in it may be empty."""
_ENGLISH = re.compile("[a-z]{2}")
"""What a value has in it that has to be translated; an amount of money has not."""
_LONGEST = 1000
"""What is longer is a log or a list, and no sentence."""
_DEEPEST = 4


def said(reader: Reader, text: str) -> Phrase:
    """Return what the code said as this reader reads it."""
    if reader.language == ENGLISH:
        return Phrase(text=text, language="")
    found = translated(text, reader.gettext)
    return Phrase(text=text, language=ENGLISH) if found is None else Phrase(text=found, language="")


def problems(reader: Reader, found: Iterable[Problem]) -> tuple[Said, ...]:
    """Return problems as a page shows them; a file or a setting that one is about stands before it."""
    return tuple(_problem(reader, each) for each in found)


def translated(text: str, gettext: Callable[[str], str]) -> str | None:
    """Return the text by a translation of its pattern, None where there is none."""
    found = _translated(text, gettext, 0)
    return found[0] if found else None


def _problem(reader: Reader, problem: Problem) -> Said:
    what, do = said(reader, problem.what), said(reader, problem.do)
    return Said(
        what=f"{problem.file}: {what.text}" if problem.file else what.text,
        do=do.text,
        language=what.language,
        do_language=do.language,
    )


def _translated(text: str, gettext: Callable[[str], str], depth: int) -> tuple[str, int] | None:
    """Return the translation that leaves least of the text as it was, and how many letters it leaves."""
    if not text or len(text) > _LONGEST or depth > _DEEPEST:
        return None
    found = (_by_pattern(message, blanks, gettext, depth) for message, blanks in _matches(text))
    return min((each for each in found if each), key=lambda each: each[1], default=None)


def _by_pattern(
    message: str, blanks: Mapping[str, str], gettext: Callable[[str], str], depth: int
) -> tuple[str, int] | None:
    """Return a translation by one pattern, None where it has none, or a sentence within has none."""
    translation, left, filled = gettext(message), 0, dict[str, str]()
    if translation == message:
        return None
    for name, value in blanks.items():
        is_sentence = name.startswith(_WITHIN) and _ENGLISH.search(value)
        found = _translated(value, gettext, depth + 1) if is_sentence else (value, len(value))
        if found is None:
            return None
        filled[name] = found[0]
        left += found[1]
    return translation.format(**filled), left


@lru_cache(maxsize=512)
def _matches(text: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """Return the patterns that the text has, with what stands in their blanks."""
    return tuple(_search(text))


def _search(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for message, pattern in _patterns():
        if found := pattern.fullmatch(text):
            yield message, found.groupdict()


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return every pattern, those that say the most themselves first."""
    messages = sorted(
        {*SENTENCES, *COMPOSED, *FORM_WORDS, *DATA_WORDS, *END_WORDS, *LEFT_WORDS, *KIND_WORDS},
        key=lambda each: -len(_BLANK.sub("", each)),
    )
    return tuple((message, _pattern(message)) for message in messages)


def _pattern(message: str) -> re.Pattern[str]:
    """Return what a sentence looks like; a piece between two blanks is matched as early as it can be."""
    parts = _BLANK.split(message)
    texts, blanks = map(re.escape, parts[::2]), [*map(_blank, parts[1::2]), ""]
    whole = "".join(piece for pair in zip(texts, blanks, strict=True) for piece in pair)
    return re.compile(whole, re.DOTALL)


def _blank(name: str) -> str:
    return f"(?P<{name}>.{'*' if _MAYBE in name else '+'}?)"
