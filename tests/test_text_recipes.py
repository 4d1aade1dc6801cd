"""The recipes for text: tokens, what held-out text costs beside what needs no model, classes, predictions."""

from __future__ import annotations

import json
import lzma
import math
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainer_runs import ALONE, own_surroundings
from trainer.config import ConfigError, load_config
from trainer.configs.text_models import GPTConfig, TextClassifierConfig
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.prepare_data import Request, prepare_data
from trainer.data.token_writer import write_shards
from trainer.evaluation.text import compressor_references, report_windows, unigram_reference
from trainer.export.model_folder import save_model
from trainer.predict import Predictor
from trainer.predictors.contract import InputError
from trainer.tasks.text import TextTask
from trainer.tasks.text_class import TextClassTask
from trainer.text import sets as text_sets
from trainer.text.tokenizer import END, PADDING, Tokenizer, special_token, token_bytes, train_tokenizer
from trainer.train import start, train

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]
__all__ = ["own_surroundings"]
TEXTS = ["def add(a, b):\n    return a + b\n", "for each in range(10):\n    print(each)\n"] * 5


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Return the bundled texts, prepared."""
    # Where own_surroundings lets the recipes look for them too.
    cache = tmp_path_factory.getbasetemp() / "cache" / "fleetform" / "datasets"
    names = ("python_source", "python_source_bpe", "python_packages")
    version = f"python-{platform.python_version()}"
    return {name: open_dataset(prepare_data(Request(name), cache / version / name)) for name in names}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, 300)


@pytest.mark.parametrize("text", ["def add(a, b):", "", "naïve 日本 \x00\t\r\n", "🎈 " * 3])
def test_any_text_comes_back_from_its_tokens_byte_for_byte(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.encode([text])[0]
    assert tokenizer.decode(tokens) == text
    pieces = token_bytes(tokenizer.json)
    assert b"".join(pieces[token] for token in tokens) == text.encode()


def test_the_bytes_of_tokens_are_read_without_the_library(tokenizer: Tokenizer) -> None:
    pieces = token_bytes(tokenizer.json)
    assert len(pieces) == tokenizer.vocabulary_size
    assert pieces[special_token(tokenizer.json, END)] == b"" == pieces[special_token(tokenizer.json, PADDING)]
    assert b"return" in {piece.strip() for piece in pieces}


def test_a_document_ends_with_the_end_token(tokenizer: Tokenizer) -> None:
    encoded = list(tokenizer.encode_documents(TEXTS))
    assert len(encoded) == len(TEXTS)
    assert all(
        tokens[-1] == tokenizer.end_token and tokenizer.end_token not in tokens[:-1] for tokens in encoded
    )


def test_a_broken_tokenizer_file_is_the_user_s_mistake() -> None:
    with pytest.raises(ConfigError, match=r"tokenizer\.json: cannot be read"):
        Tokenizer("{}").encode(["a"])


def test_a_missing_tokenizers_package_is_one_line_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(ConfigError, match="pip install tokenizers"):
        train_tokenizer(TEXTS, 300)


def test_no_file_is_in_both_parts_of_the_labelled_text_and_no_snippet_names_its_package() -> None:
    whole = "\n".join(["import asyncio", *(f"    x{n} = asyncio.sleep({n})" for n in range(30))])
    pieces = list(text_sets.snippets(whole))
    assert len(pieces) == 2
    assert "asyncio" not in "".join(pieces)
    assert "import" not in pieces[0]


def test_the_labelled_text_has_all_its_classes_in_both_parts(datasets: dict[str, Dataset]) -> None:
    data = datasets["python_packages"]
    assert data.about["classes"] == sorted(text_sets.FAMILIES)
    for part in ("train", "held_out"):
        assert set(data.arrays(part)["labels"].tolist()) == set(range(len(text_sets.FAMILIES)))
    counts = np.bincount(data.arrays("train")["labels"])
    assert counts.tolist() == data.about["class_counts"]


def test_a_class_that_no_training_text_has_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="no training text has: b"):
        text_sets.encode_labelled([("x", "a")], [("y", "b")], tokenizer)


def test_evaluation_counts_what_the_formulas_say(datasets: dict[str, Dataset]) -> None:
    """A model that knows nothing costs log2(vocabulary) bits a token, whatever the tokenizer."""
    task = TextTask(GPTConfig(num_layers=1, width=16, num_heads=2), datasets["python_source_bpe"])
    model = task.build_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        found = task.evaluate(model.eval(), ALONE)
    rows = model.embedding.num_embeddings  # type: ignore[union-attr]
    assert found["val_loss"] == pytest.approx(math.log(rows), rel=1e-6)
    assert found["perplexity"] == pytest.approx(rows, rel=1e-5)
    metrics = found["report"]["metrics"]
    assert metrics["bits_per_byte"]["low"] < found["bits_per_byte"] < metrics["bits_per_byte"]["high"]
    assert found["held_out_tokens"] == 512 * 128


def test_bits_a_byte_do_not_depend_on_how_text_is_cut() -> None:
    losses, sizes = np.full(20, 1.2), np.full(20, 300.0)
    whole = report_windows(losses, sizes, 100, [])
    halves = report_windows(np.repeat(losses, 2), np.repeat(sizes / 2, 2), 50, [])
    assert whole["bits_per_byte"] == pytest.approx(100 * 1.2 / math.log(2) / 300)
    assert halves["bits_per_byte"] == pytest.approx(whole["bits_per_byte"])


def test_the_references_are_measured_on_the_text_itself() -> None:
    train, text = b"spam and eggs, " * 400, b"spam and eggs, " * 40
    zlib, xz = compressor_references(train, text)
    added = len(lzma.compress(train + text)) - len(lzma.compress(train))
    assert xz["metrics"]["bits_per_byte"]["value"] == pytest.approx(8 * added / len(text))
    assert zlib["metrics"]["bits_per_byte"]["value"] < 0.5
    tokens = np.array([0, 0, 0, 1] * 250)
    known = unigram_reference(tokens, tokens, 2, size=None)["metrics"]
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert known["val_loss"]["value"] == pytest.approx(entropy, abs=1e-3)
    assert "bits_per_byte" not in known


def test_tokens_of_an_unknown_tokenizer_are_trained_on_without_bits_a_byte(tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).integers(0, 500, (40, 300)).astype(np.uint16)
    folder = write_shards(tmp_path / "data", tokens.tolist(), vocabulary=500, held_out=0.2)
    task = TextTask(GPTConfig(num_layers=1, width=16, num_heads=2, context=32), open_dataset(folder))
    with torch.no_grad():
        found = task.evaluate(task.build_model().eval(), ALONE)
    assert "bits_per_byte" not in found
    assert found["report"]["baseline"]["metrics"]["val_loss"]["value"] == pytest.approx(
        math.log(500), rel=0.05
    )


def test_a_context_longer_than_the_text_is_refused(datasets: dict[str, Dataset]) -> None:
    with pytest.raises(ConfigError, match=r"model\.context: 9000000 is too long for this text"):
        TextTask(GPTConfig(context=9_000_000), datasets["python_source"])


def test_the_flops_of_a_token_are_those_of_the_palm_paper(datasets: dict[str, Dataset]) -> None:
    task = TextTask(GPTConfig(num_layers=3, width=64, num_heads=2, context=96), datasets["python_source_bpe"])
    flops = task.flops_per_sample()
    matrices, rows = 12 * 3 * 64**2, 1024
    assert flops.forward_backward_per_sample == 96 * (6 * matrices + 12 * 3 * 64 * 96 + 6 * rows * 64)
    assert "masked half" in flops.formula


def trained(recipe: str, run_dir: Path, *overrides: str) -> dict[str, Any]:
    """Train a recipe in this process; return its summary."""
    config = load_config(recipe, ["device=cpu", "log_every=1000", *overrides])
    run_dir.mkdir(exist_ok=True)
    return train(config, start(config, run_dir)).summary


def test_text_to_class_beats_its_baseline_by_far_and_predicts_from_its_folder(tmp_path: Path) -> None:
    summary = trained("text-class", tmp_path, "samples=3200", "model.pair_buckets=4096", "model.width=32")
    report = json.loads((tmp_path / "evaluation.json").read_text())
    baseline = report["baseline"]["metrics"]["accuracy"]["value"]
    assert summary["metrics"]["accuracy"] > 0.7 > 2 * baseline
    assert "TF-IDF" in report["references"][0]["name"]
    predictor = Predictor.load(tmp_path / "model")
    assert predictor.describe()["answer"]["classes"] == sorted(text_sets.FAMILIES)
    asked = "class Case(TestCase):\n    def test_it(self):\n        self.assertEqual(self.mock.call_count, 1)"
    texts = [asked, {"text": asked}, ""]
    first, second, empty = predictor.predict(texts)
    assert first == second
    assert first["class"] == "testing"
    assert empty["class"] in text_sets.FAMILIES
    long = predictor.predict([asked * 40])[0]
    assert "of which the first 256 were read" in long["notes"][0]
    with pytest.raises(InputError, match="input 1: is no text"):
        predictor.predict(["a", {"words": "b"}])


@pytest.mark.parametrize(
    ("recipe", "small"),
    [("text-class", "model.pair_buckets=64"), ("gpt-bpe", "model.num_layers=1")],
)
def test_a_node_that_has_the_data_trains_without_the_libraries_that_made_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    datasets: dict[str, Dataset],
    recipe: str,
    small: str,
) -> None:
    for name in ("tokenizers", "sklearn", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    metrics = trained(recipe, tmp_path, "samples=64", "model.width=16", "model.num_heads=2", small)["metrics"]
    assert metrics
    assert (tmp_path / "model" / "tokenizer.json").is_file()


def test_the_program_of_a_text_classifier_answers_as_the_predictor_does(tmp_path: Path) -> None:
    trained("text-class", tmp_path, "samples=640", "model.num_layers=1", "model.width=16", "model.context=64")
    program = torch.export.load(tmp_path / "model" / "model.pt2").module()
    predictor = Predictor.load(tmp_path / "model")
    text = "yield from self._loop.run_in_executor(None, task)"
    tokens = Tokenizer((tmp_path / "model" / "tokenizer.json").read_text()).encode([text])[0]
    padded = torch.tensor([tokens + [predictor.description["about"]["padding"]] * (64 - len(tokens))] * 3)
    shares = dict(zip(predictor.description["about"]["classes"], program(padded)[0].tolist(), strict=True))
    answer = predictor.predict([text])[0]["probabilities"]
    assert answer == pytest.approx(shares, abs=1e-5)


def test_byte_pairs_learn_more_than_counting_and_write_from_their_folder(tmp_path: Path) -> None:
    small = ("model.num_layers=2", "model.width=64", "model.num_heads=2", "model.context=64")
    summary = trained("gpt-bpe", tmp_path, "samples=1000", "global_batch=8", *small)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert summary["metrics"]["val_loss"] < report["baseline"]["metrics"]["val_loss"]["value"] - 0.3
    predictor = Predictor.load(tmp_path / "model")
    request = {"prompt": "def main(", "length": 20, "seed": 3, "top_k": 40}
    answer = predictor.predict([request])[0]
    assert answer["text"].startswith("def main(")
    assert predictor.predict([request])[0] == answer
    assert predictor.predict([request | {"seed": 4}])[0] != answer
    assert predictor.predict([""])[0]["prompt"] == ""


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"prompt": "a", "lenght": 3}, "there is no lenght; did you mean length"),
        ({"prompt": "a", "length": 0}, "length is 0, not a whole number from 1"),
        ({"prompt": "a", "temperature": "hot"}, "temperature is 'hot', not a number"),
        ({"prompt": "a", "top_k": True}, "top_k is True"),
        ({"length": 3}, "has no text as 'prompt'"),
        (3, "is no text"),
    ],
)
def test_a_request_that_is_wrong_is_told_by_its_field(request_: Any, said: str) -> None:
    from trainer.predictors.text import read_request

    with pytest.raises(InputError, match=said):
        read_request(request_, 0)


def test_batches_of_text_are_padded_to_few_lengths_and_cut_at_the_context(
    datasets: dict[str, Dataset],
) -> None:
    task = TextClassTask(TextClassifierConfig(context=48), datasets["python_packages"])
    batch = task.source.batch(np.arange(10), np.zeros((10, 0), np.float32))
    assert batch["tokens"].shape == (10, 48)
    assert batch["labels"].dtype == torch.int64
    arrays = datasets["python_packages"].arrays("train")
    first = arrays["tokens"][: arrays["offsets"][1]][:48]
    assert batch["tokens"][0, : len(first)].tolist() == first.tolist()


def test_a_model_of_characters_says_which_it_never_saw(tmp_path: Path, datasets: dict[str, Dataset]) -> None:
    config = load_config(
        "gpt", ["model.num_layers=1", "model.width=16", "model.num_heads=2", "program=false"]
    )
    assert isinstance(config.model, GPTConfig)
    task = TextTask(config.model, datasets["python_source"])
    save_model(tmp_path, task.build_model().state_dict(), config, task, {"val_loss": 1.0})
    answer = Predictor.load(tmp_path / "model").predict([{"prompt": "é = 1", "length": 5}])[0]
    assert answer["notes"] == ["training did not have the characters 'é'"]
    assert answer["tokens"] == 5
