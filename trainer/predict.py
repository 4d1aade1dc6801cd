"""Puts a trained model to work: `python -m trainer.predict MODEL_DIR` reads digits, or goes on writing."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainer.data.data_file import find_data, open_data
from trainer.data.errors import DatasetError
from trainer.export import ModelFolderError, load_model
from trainer.models.gpt import GPT
from trainer.tasks.digits import BRIGHTEST_PIXEL, held_out_mask

SHADES = " .:-=+*#%@"
"""Characters from no ink to most."""
TEMPERATURE = 0.8
"""Below 1, likely characters are drawn more often than the model's own share for them."""


def main(arguments: list[str] | None = None) -> int:
    """Predict with the model of a folder; 0 done, 2 where the folder or the data is not what it should be."""
    parser = argparse.ArgumentParser(prog="python -m trainer.predict", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR", help="a run's model/ folder")
    parser.add_argument("--count", type=positive, default=5, help="held-out digits to show (default 5)")
    parser.add_argument("--prompt", default="def ", help="text to go on from")
    parser.add_argument("--length", type=positive, default=300, help="characters to write (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the characters drawn")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        model, description = load_model(options.model)
        if isinstance(model, GPT):
            result = continue_text(model, description, options.prompt, options.length, options.seed)
            text = str(result["text"])
        else:
            result = classify_digits(model, options.count)
            text = digits_text(result)
    except (ModelFolderError, DatasetError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        json.dumps({key: value for key, value in result.items() if key != "images"}) if options.json else text
    )
    return 0


def positive(text: str) -> int:
    """Return the whole number above 0 that the text says; argparse names the option where it does not."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def classify_digits(model: nn.Module, count: int) -> dict[str, Any]:
    """Return `predictions` of the first `count` held-out digits, how many of them are right, and `images`."""
    path = find_data("digits", may_prepare=True)
    assert path is not None, "find_data prepares what it does not find"
    arrays = open_data(path).arrays
    held_out = held_out_mask(len(arrays["labels"]))
    images, labels = arrays["images"][held_out][:count], arrays["labels"][held_out][:count].tolist()
    with torch.no_grad():
        shares = model(torch.tensor(images / BRIGHTEST_PIXEL, dtype=torch.float32)).softmax(dim=1)
    predictions = [
        {"predicted": predicted, "label": label, "probability": round(share, 4)}
        for predicted, label, share in zip(
            shares.argmax(dim=1).tolist(), labels, shares.max(dim=1).values.tolist(), strict=True
        )
    ]
    correct = sum(entry["predicted"] == entry["label"] for entry in predictions)
    return {"predictions": predictions, "correct": correct, "count": len(labels), "images": images.tolist()}


def digits_text(result: dict[str, Any]) -> str:
    """Return each digit as a picture of characters beside what it was taken for, then the count."""
    lines = []
    for entry, image in zip(result["predictions"], result["images"], strict=True):
        verdict = "right" if entry["predicted"] == entry["label"] else "WRONG"
        lines += ["".join(SHADES[pixel * (len(SHADES) - 1) // 16] * 2 for pixel in row) for row in image]
        lines += [f"predicted {entry['predicted']}, is {entry['label']}: {verdict}", ""]
    return "\n".join([*lines, f"{result['correct']} of {result['count']} held-out digits right"])


def continue_text(
    model: GPT, description: dict[str, Any], prompt: str, length: int, seed: int
) -> dict[str, Any]:
    """Return the prompt and `length` characters after it as `text`; the same for the same seed."""
    characters = description["about"]["characters"]
    # Token 0 stands for every character that the training text did not spell out.
    tokens = [max(characters.find(character), 0) for character in prompt] or [characters.index("\n")]
    generator = torch.Generator().manual_seed(seed)
    drawn = model.generate(torch.tensor([tokens]), length, TEMPERATURE, generator)[0, len(tokens) :].tolist()
    return {"prompt": prompt, "text": prompt + "".join(characters[token] for token in drawn)}


if __name__ == "__main__":
    sys.exit(main())
