"""Answers one question after the other while the model stays loaded: a line of JSON each way.

First it says `{"ready": ...}` with what `Predictor.describe` returns, or `{"error": ...}` and ends. Then each
line `{"inputs": [...]}` gets a line `{"answers": [...]}`, or `{"error": ...}` and a next chance. It ends with
its input.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from trainer.data.errors import DatasetError
from trainer.engine.failures import is_out_of_memory
from trainer.predictors.contract import InputError

if TYPE_CHECKING:
    from trainer.predict import Predictor

MOST_BYTES = 64 * 2**20
"""Bytes of a question."""


def own_output() -> BinaryIO:
    """Return standard output for the answers alone: what a library prints now goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def serve(predictor: Predictor, questions: BinaryIO, answers: BinaryIO, seconds: int | None) -> None:
    """Answer until there are no more questions; whatever takes longer than `seconds` ends the process.

    That is done by SIGALRM, which needs no turn of Python's: it also ends what whoever asked has left alone.
    """
    say(answers, {"ready": predictor.describe()})
    while question := questions.readline(MOST_BYTES + 1):
        with _at_most(seconds):
            if len(question) > MOST_BYTES:
                say(answers, {"error": f"a question may have {MOST_BYTES} bytes"})
                return  # what is left of it is no question
            say(answers, _answer(predictor, question))


def say(answers: BinaryIO, told: dict[str, Any]) -> None:
    """Write one line."""
    answers.write(json.dumps(told).encode() + b"\n")
    answers.flush()


def _answer(predictor: Predictor, question: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(question)
        inputs = asked["inputs"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"error": 'a question is a line of JSON, {"inputs": [...]}'}
    if not isinstance(inputs, list) or not inputs:
        return {"error": "there is no input"}
    try:
        return {"answers": predictor.predict(inputs)}
    except (InputError, DatasetError) as error:
        return {"error": str(error)}
    except Exception as error:
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            return {"error": "that takes more memory than there is for it: give less at once"}
        raise


@contextmanager
def _at_most(seconds: int | None) -> Iterator[None]:
    signal.alarm(seconds or 0)
    try:
        yield
    finally:
        signal.alarm(0)
