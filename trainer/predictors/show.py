"""Answers as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer.predictors.contract import Answer

SHADES = " .:-=+*#%@"
"""Characters from no ink to most."""
WIDEST = 40
"""Pixels of a row up to which a picture is drawn."""


def answers_text(answers: Sequence[Answer]) -> str:
    """Return a line an answer, and below it a line for each of its notes."""
    lines = []
    for answer in answers:
        lines.append(answer_line(answer))
        lines += [f"  {note}" for note in answer.get("notes", ())]
    return "\n".join(lines)


def answer_line(answer: Answer) -> str:
    """Return what was answered: the class with its probability, the number with its interval, or the text."""
    if "class" in answer:
        return f"{answer['class']} ({answer['probability']:.1%})"
    if "number" not in answer:
        return str(answer.get("text", answer))
    line = f"{answer['number']:.6g}"
    if "low" in answer:
        line += f" ({answer['low']:.6g} to {answer['high']:.6g} in {answer['interval_share']:.0%} of cases)"
    return line


def examples_text(result: dict[str, Any]) -> str:
    """Return held-out items beside what was predicted for them, pictures drawn, and the count."""
    lines = []
    pictures = result.get("pictures") or [None] * len(result["predictions"])
    for entry, picture in zip(result["predictions"], pictures, strict=True):
        if picture is not None and len(picture[0]) <= WIDEST:
            lines += picture_lines(picture, result["brightest"])
        if "label" in entry:
            verdict = "right" if entry["predicted"] == entry["label"] else "WRONG"
            lines += [f"predicted {entry['predicted']}, is {entry['label']}: {verdict}"]
        else:
            lines += [f"{answer_line(entry['answer'])}, is {entry['target']:.6g}"]
        lines += [""] if picture is not None else []
    if "correct" in result:
        return "\n".join([*lines, f"{result['correct']} of {result['count']} held-out items right"])
    return "\n".join(lines)


def picture_lines(picture: Sequence[Sequence[Sequence[int]]], brightest: float) -> list[str]:
    """Return a picture [height, width, channels] as characters, two to a pixel."""
    top = len(SHADES) - 1
    return [
        "".join(SHADES[round(sum(pixel) / len(pixel) / brightest * top)] * 2 for pixel in row)
        for row in picture
    ]
