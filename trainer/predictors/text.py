"""Goes on with texts, and tells their class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.configs.tables import nearest_hint
from trainer.models.generation import generate
from trainer.models.gpt import GPT
from trainer.models.text_classifier import TextClassifier
from trainer.predictors.contract import Answer, InputError, check_text, class_answer
from trainer.text.tokenizer import Tokenizer

MOST_TOKENS = 10_000
"""Tokens that are written at most for one input."""
BLOCK = 64
"""Texts of one forward pass."""
DRAW_FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "prompt", "type": "text", "required": True, "example": "def "},
    {"name": "length", "type": "whole number", "min": 1, "max": MOST_TOKENS, "default": 300},
    {"name": "temperature", "type": "number", "min": 0.0, "max": 5.0, "default": 0.8},
    {"name": "top_k", "type": "whole number", "min": 1, "max": 1_000_000, "default": None},
    {"name": "seed", "type": "whole number", "min": 0, "max": 2**63 - 1, "default": 1},
)
"""What an input of a model that writes consists of; `length` counts tokens."""


class TextGenerator:
    """A GPT that goes on with a prompt, by characters or by the tokens of a tokenizer."""

    def __init__(self, model: GPT, description: dict[str, Any], folder: Path) -> None:
        about = description["about"]
        self.model = model.eval()
        self.characters: str | None = about.get("characters")
        self.tokenizer = None if self.characters else read_tokenizer(folder, about)

    def describe(self) -> dict[str, Any]:
        """Return the form of an input and of an answer."""
        return {"kind": "text", "fields": list(DRAW_FIELDS), "answer": {"kind": "text"}}

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return `prompt` and `text`, the prompt with what was drawn after it, for each input.

        An input is a text, or a dict of `prompt` and any of length (tokens), temperature, top_k and seed. The
        same input gives the same text.
        """
        return [self._go_on(read_request(each, place)) for place, each in enumerate(inputs)]

    def _go_on(self, request: Mapping[str, Any]) -> Answer:
        prompt = request["prompt"]
        tokens, notes = self._tokens(prompt)
        draw = {name: request[name] for name in ("temperature", "top_k", "seed")}
        end = None if self.tokenizer is None else self.tokenizer.end_token
        drawn = generate(self.model, tokens, request["length"], end_token=end, **draw)
        answer: Answer = {"prompt": prompt, "text": prompt + self._text(drawn), "tokens": len(drawn)}
        return answer | ({"notes": notes} if notes else {})

    def _tokens(self, prompt: str) -> tuple[list[int], list[str]]:
        """Return the prompt's tokens, for an empty one that of a line's or document's end, and notes."""
        if self.tokenizer is not None:
            return self.tokenizer.encode([prompt])[0] or [self.tokenizer.end_token], []
        assert self.characters is not None, "without a tokenizer a token is a character"
        # Token 0 stands for every character that the training text did not spell out.
        tokens = [max(self.characters.find(character), 0) for character in prompt]
        unknown = sorted({each for each in prompt if each not in self.characters[1:]})
        notes = [f"training did not have the characters {''.join(unknown)!r}"] if unknown else []
        return tokens or [self.characters.index("\n")], notes

    def _text(self, tokens: Sequence[int]) -> str:
        if self.tokenizer is not None:
            return self.tokenizer.decode(tokens)
        assert self.characters is not None, "without a tokenizer a token is a character"
        return "".join(self.characters[token] if token else "\ufffd" for token in tokens)


class TextClassPredictor:
    """A classifier of texts with its tokenizer and its classes."""

    def __init__(self, model: TextClassifier, description: dict[str, Any], folder: Path) -> None:
        self.model = model.eval()
        self.classes: list[str] = description["about"]["classes"]
        self.tokenizer = read_tokenizer(folder, description["about"])

    def describe(self) -> dict[str, Any]:
        """Return the form of an input and of an answer."""
        field = {"name": "text", "type": "text", "required": True}
        return {"kind": "text", "fields": [field], "answer": {"kind": "class", "classes": self.classes}}

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return the class for each input, a text or a dict with `text`."""
        texts = [_text_of(each, place, "text") for place, each in enumerate(inputs)]
        answers: list[Answer] = []
        for begin in range(0, len(texts), BLOCK):
            answers += self._classify(self.tokenizer.encode(texts[begin : begin + BLOCK]))
        return answers

    def _classify(self, texts: Sequence[Sequence[int]]) -> list[Answer]:
        context = self.model.config.context
        width = min(max(1, *(len(text) for text in texts)), context)
        tokens = torch.full((len(texts), width), self.model.padding)
        for row, text in zip(tokens, texts, strict=True):
            row[: min(len(text), width)] = torch.tensor(text[:width])
        with torch.no_grad():
            shares = self.model(tokens).float().softmax(dim=1).tolist()
        return [
            class_answer(
                share,
                self.classes,
                [f"{len(text)} tokens, of which the first {context} were read"]
                if len(text) > context
                else [],
            )
            for share, text in zip(shares, texts, strict=True)
        ]


def read_request(given: Any, place: int) -> dict[str, Any]:
    """Return an input's prompt, length, temperature, top_k and seed; raises InputError where one is wrong."""
    table = given if isinstance(given, Mapping) else {"prompt": given}
    names = [field["name"] for field in DRAW_FIELDS]
    if strange := [name for name in table if name not in names]:
        raise InputError(f"input {place}: there is no {strange[0]}{nearest_hint(str(strange[0]), names)}")
    request: dict[str, Any] = {"prompt": _text_of(table, place, "prompt")}
    for field in DRAW_FIELDS[1:]:
        value = table.get(field["name"], field["default"])
        kinds = (int,) if field["type"] == "whole number" else (int, float)
        right = isinstance(value, kinds) and not isinstance(value, bool)
        if value is not None and not (right and field["min"] <= value <= field["max"]):
            wanted = f"a {field['type']} from {field['min']} to {field['max']}"
            raise InputError(f"input {place}: {field['name']} is {value!r}, not {wanted}")
        request[field["name"]] = field["default"] if value is None else value
    return request


def read_tokenizer(folder: Path, about: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer that lies beside the model, once it has been seen to work."""
    tokenizer = Tokenizer((folder / about["tokenizer"]).read_text(encoding="utf-8"))
    tokenizer.encode(["a"])
    return tokenizer


def _text_of(given: Any, place: int, name: str) -> str:
    text = given.get(name) if isinstance(given, Mapping) else given
    if not isinstance(text, str):
        raise InputError(f"input {place}: is no text and has no text as {name!r}")
    return check_text(text, f"input {place}")
