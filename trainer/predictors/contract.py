"""What every predictor can do, so that a page or a script needs to know nothing of the model's kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Answer = dict[str, Any]
"""A prediction as JSON knows it. `notes` says what of the input could not be taken as it stood."""


class InputError(Exception):
    """An input that cannot be used; says which, and what would be right."""


class KindPredictor(Protocol):
    """A loaded model of one kind."""

    def describe(self) -> dict[str, Any]:
        """Return the form of an input (`fields` with name, type, choices or range) and of an answer."""
        ...

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return an answer for each input; raises InputError where one cannot be used."""
        ...


def check_text(text: str, place: str) -> str:
    """Return the text; raises InputError where it holds half of a character, which no file could either."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{place}: character {error.start + 1} is half of one: it is no text") from None
    return text


def class_answer(shares: Sequence[float], classes: Sequence[str], notes: Sequence[str] = ()) -> Answer:
    """Return the most probable class, its probability, and every class's, the most probable first."""
    order = sorted(range(len(classes)), key=lambda each: -shares[each])
    answer: Answer = {
        "class": classes[order[0]],
        "probability": round(float(shares[order[0]]), 6),
        "probabilities": {classes[each]: round(float(shares[each]), 6) for each in order},
    }
    return answer | ({"notes": list(notes)} if notes else {})
