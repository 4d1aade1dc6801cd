"""Puts a trained model to work: `python -m trainer.predict MODEL_DIR`, or `Predictor.load(MODEL_DIR)`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.configs.settings import ConfigError
from trainer.data.errors import DatasetError
from trainer.engine.failures import is_out_of_memory
from trainer.export.model_folder import ModelFolderError, load_model
from trainer.limits import add_limits, limit_process
from trainer.predictors.contract import Answer, InputError, KindPredictor
from trainer.predictors.serve import own_output, say, serve
from trainer.predictors.show import answers_text, examples_text

EXIT_USER_MISTAKE = 2


class Predictor:
    """A trained model: what it wants to know, and what it answers. A page needs nothing else of it."""

    def __init__(self, kind: KindPredictor, description: dict[str, Any], folder: Path) -> None:
        """Take a loaded model; `load` makes one from a folder."""
        self.kind = kind
        self.description = description
        self.folder = folder

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Return the predictor of a run's model/ folder; raises ModelFolderError where it holds no model."""
        model, description = load_model(folder)
        try:
            kind = _of_kind(model, description, Path(folder))
        except (AssertionError, ConfigError, DatasetError, ModelFolderError):
            raise
        except (
            Exception
        ) as error:  # a file beside the weights that is missing or damaged, by whatever reads it
            reason = f"{type(error).__name__}: {error}"
            raise ModelFolderError(f"{folder} holds no whole model of this trainer: {reason}") from None
        return cls(kind, description, Path(folder))

    def describe(self) -> dict[str, Any]:
        """Return what an input consists of (`fields`: name, type, choices, range) and what an answer has."""
        return self.kind.describe() | {"metrics": self.description.get("metrics", {})}

    def predict(self, inputs: Sequence[Any]) -> list[Answer]:
        """Return an answer for each input, as JSON knows it; raises InputError where one cannot be used.

        Pictures: a Path, a file's bytes or base64, or rows of pixels. Tables: a dict of column to value.
        Text: a text, or a dict with `prompt`.
        """
        return self.kind.predict(inputs)


def _of_kind(model: Any, description: dict[str, Any], folder: Path) -> KindPredictor:
    kind = description["model"]["kind"]
    if kind in ("digits_cnn", "resnet", "vit"):
        from trainer.predictors.pictures import PicturePredictor

        return PicturePredictor(model, description)
    if kind == "mlp":
        from trainer.predictors.table import TablePredictor

        return TablePredictor(model, description)
    from trainer.predictors.text import TextClassPredictor, TextGenerator

    if kind == "text_classifier":
        return TextClassPredictor(model, description, folder)
    if kind == "lora":
        from trainer.predictors.finetuned import FinetunedGenerator

        return FinetunedGenerator(model, description, folder)
    return TextGenerator(model, description, folder)


def main(arguments: list[str] | None = None) -> int:
    """Predict with the model of a folder; 0 done, 2 where the folder or an input is not what it should be."""
    options = _parser().parse_args(arguments)
    limit_process(options)
    if options.serve:
        return _serve(options)
    try:
        predictor = Predictor.load(options.model)
        if options.describe:
            print(json.dumps(predictor.describe(), indent=1))
            return 0
        result, text = _run(predictor, options)
    except (ModelFolderError, DatasetError, InputError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USER_MISTAKE
    print(json.dumps(result) if options.json else text)
    return 0


def _serve(options: argparse.Namespace) -> int:
    """Answer what comes on standard input until that ends (trainer/predictors/serve.py)."""
    answers = own_output()
    try:
        predictor = Predictor.load(options.model)
    except (ModelFolderError, DatasetError, ConfigError, MemoryError) as error:
        large = isinstance(error, MemoryError) or is_out_of_memory(error)
        why = "the model needs more memory than there is for it" if large else str(error)
        say(answers, {"error": why})
        print(f"error: {why}", file=sys.stderr)
        return EXIT_USER_MISTAKE
    serve(predictor, sys.stdin.buffer, answers, options.answer_seconds)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer.predict", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL_DIR", help="a run's model/ folder")
    parser.add_argument("--describe", action="store_true", help="print what an input consists of, as JSON")
    parser.add_argument("--input", metavar="JSON", help="an input, or a list of them")
    parser.add_argument("--picture", action="append", default=[], metavar="FILE", help="a picture's file")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="rows as CSV, TSV, JSONL or Parquet")
    parser.add_argument("--count", type=positive, default=5, help="held-out items to show (default 5)")
    parser.add_argument("--prompt", default="def ", help="text to go on from")
    parser.add_argument("--length", type=positive, default=300, help="tokens to write (default 300)")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the draw (default 0.8)")
    parser.add_argument("--seed", type=int, default=1, help="seed of what is drawn")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--serve", action="store_true", help="answer lines of JSON on standard input")
    parser.add_argument("--answer-seconds", type=positive, metavar="N", help="longest time for one answer")
    add_limits(parser)
    return parser


def _run(predictor: Predictor, options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return the answers to what the command line gives, and as a text; without input, to held-out items."""
    inputs = _inputs(options)
    if inputs:
        answers = predictor.predict(inputs)
        return {"answers": answers}, answers_text(answers)
    if "prompt" in {field["name"] for field in predictor.describe()["fields"]}:
        names = ("prompt", "length", "temperature", "seed")
        answer = predictor.predict([{name: getattr(options, name) for name in names}])[0]
        return answer, str(answer["text"])
    from trainer.predictors.examples import held_out_examples

    result = held_out_examples(predictor.kind, predictor.description, options.count)
    return {key: value for key, value in result.items() if key != "pictures"}, examples_text(result)


def _inputs(options: argparse.Namespace) -> list[Any]:
    inputs: list[Any] = [Path(name) for name in options.picture]
    if options.input is not None:
        try:
            given = json.loads(options.input)
        except ValueError as error:
            raise InputError(f"--input: is no JSON: {error}") from None
        inputs += given if isinstance(given, list) else [given]
    if options.rows is not None:
        inputs += read_table(options.rows)
    return inputs


def read_table(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV, TSV, JSONL or Parquet file; raises InputError where one is malformed."""
    from trainer.data.quarantine import Quarantine
    from trainer.data.rows import SUFFIXES, read_rows

    if path.suffix not in SUFFIXES:
        raise InputError(f"--rows: {path} is none of {', '.join(SUFFIXES)}")
    quarantine = Quarantine(0)
    try:
        rows = [dict(row) for _, _, row in read_rows([(path.name, path)], quarantine)]
    except (OSError, DatasetError) as error:
        raise InputError(f"--rows: {error}") from None
    if broken := list(quarantine):
        raise InputError("\n".join(f"--rows: {each}" for each in broken[:10]))
    if not rows:
        raise InputError(f"--rows: {path} has no rows")
    return rows


def positive(text: str) -> int:
    """Return the whole number above 0 that the text says; argparse names the option where it does not."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
