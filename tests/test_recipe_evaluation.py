"""Held-out metrics, held against scikit-learn's and scipy's, and that every world size finds the same."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from torch import Tensor, distributed

from trainer.distributed import World
from trainer.evaluation.blocks import evaluate_blocks
from trainer.evaluation.classes import calibration_table, report_classes, score_columns
from trainer.evaluation.document import evaluation_document, metrics_table, plain_metrics, reference_lines
from trainer.evaluation.intervals import bootstrap, bootstrap_mean, wilson
from trainer.evaluation.numbers import conformal_reach, report_numbers
from trainer.evaluation.references import measure_references

pytestmark = pytest.mark.torch


def classified(num_items: int, num_classes: int, seed: int = 0) -> NDArray[np.float64]:
    """Return the score columns of a classifier that is somewhat better than chance."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num_items,), generator=generator)
    scores = torch.randn(num_items, num_classes, generator=generator)
    scores[torch.arange(num_items), labels] += 1
    return score_columns(scores, labels).numpy()


@pytest.mark.parametrize(("successes", "total"), [(0, 7), (8, 10), (355, 359), (30, 30)])
def test_the_interval_of_a_share_is_wilson_s(successes: int, total: int) -> None:
    known = binomtest(successes, total).proportion_ci(method="wilson")
    assert (wilson(successes, total).low, wilson(successes, total).high) == pytest.approx(tuple(known))


def test_a_bootstrap_is_the_same_each_time_and_as_wide_as_the_normal_approximation() -> None:
    values = np.random.default_rng(3).normal(5, 2, 2000)
    interval, again = bootstrap_mean(values), bootstrap_mean(values)
    assert interval == again
    reach = 1.96 * values.std() / np.sqrt(len(values))
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - reach, values.mean() + reach), abs=reach / 5
    )


def test_many_items_are_resampled_in_parts_and_less_often() -> None:
    values = np.random.default_rng(4).exponential(size=300_000)
    drawn = bootstrap(lambda items: values[items].mean(axis=1), len(values))
    assert drawn.method.startswith("bootstrap percentile, 166 resamples")
    mean = bootstrap_mean(values)
    assert mean.method.startswith("normal")
    assert (drawn.low, drawn.high) == pytest.approx((mean.low, mean.high), abs=1e-3)


def test_accuracy_confusion_recall_and_auc_are_those_of_scikit_learn() -> None:
    columns = classified(500, 2)
    labels, predicted = columns[:, 0], columns[:, 1]
    result = report_classes(columns, ["no", "yes"], [10, 20])
    report = result["report"]
    assert result["accuracy"] == pytest.approx((labels == predicted).mean())
    assert report["confusion"]["counts"] == confusion_matrix(labels, predicted).tolist()
    assert report["metrics"]["auc"]["value"] == pytest.approx(roc_auc_score(labels, columns[:, 4]))
    balanced = report["metrics"]["balanced_accuracy"]
    assert balanced["value"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert balanced["low"] < balanced["value"] < balanced["high"]
    assert report["baseline"]["metrics"]["accuracy"]["value"] == pytest.approx(labels.mean())
    assert json.loads(json.dumps(report)) == report


def test_a_class_that_is_not_held_out_has_no_recall_and_spoils_no_mean() -> None:
    columns = classified(60, 3)
    result = report_classes(columns, ["a", "b", "c", "never"], [1, 1, 1, 9])
    report = result["report"]
    assert report["per_class"][3] == {"class": "never", "n": 0, "recall": None, "precision": None}
    known = balanced_accuracy_score(columns[:, 0], columns[:, 1])
    assert report["metrics"]["balanced_accuracy"]["value"] == pytest.approx(known)
    assert report["baseline"]["metrics"]["accuracy"]["value"] == 0


def test_calibration_tells_the_sure_and_wrong_from_the_honest() -> None:
    right = np.arange(1000) % 10 < 7
    assert calibration_table(np.full(1000, 0.7), right)["error"] == pytest.approx(0, abs=1e-9)
    sure = calibration_table(np.full(1000, 1.0), right)
    assert sure["error"] == pytest.approx(0.3)
    assert sure["bins"] == [{"from": 0.9, "to": 1.0, "count": 1000, "mean_probability": 1.0, "accuracy": 0.7}]


def test_errors_of_numbers_are_those_of_scikit_learn_and_the_baseline_says_the_training_mean() -> None:
    generator = np.random.default_rng(1)
    targets = generator.normal(100, 20, 300)
    predicted = targets + generator.normal(0, 5, 300)
    result = report_numbers(targets, predicted, 90.0)
    assert result["mae"] == pytest.approx(mean_absolute_error(targets, predicted))
    assert result["r2"] == pytest.approx(r2_score(targets, predicted))
    baseline = result["report"]["baseline"]["metrics"]["mae"]["value"]
    assert baseline == pytest.approx(mean_absolute_error(targets, np.full(300, 90.0)))


def test_nine_of_ten_new_items_lie_within_the_conformal_reach() -> None:
    generator = np.random.default_rng(2)
    inside = []
    for _ in range(300):
        reach = conformal_reach(np.abs(generator.standard_t(3, 79)))
        assert reach is not None
        inside.append((np.abs(generator.standard_t(3, 200)) <= reach).mean())
    assert np.mean(inside) == pytest.approx(0.9, abs=0.01)


def test_too_few_items_give_no_interval_rather_than_a_wrong_one() -> None:
    assert conformal_reach(np.arange(8.0)) is None
    assert conformal_reach(np.arange(9.0)) == 8.0


def test_the_document_names_the_baseline_and_the_references_beside_each_metric() -> None:
    reference = {
        "name": "a rule",
        "metrics": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}},
        "source": "here",
    }
    metrics = report_classes(classified(100, 3), ["a", "b", "c"], [3, 2, 1], [reference])
    document = evaluation_document("some", {"name": "d"}, metrics)
    assert document["format"] == "fleetform-evaluation/1"
    grouped = evaluation_document("some", {"name": "d", "grouped_by": "patient"}, metrics)
    assert "items of one patient are alike" in grouped["intervals"]
    assert "are alike" not in document["intervals"]
    assert "| accuracy | " in metrics_table(document) and "always 'a'" in metrics_table(document)
    assert reference_lines(document) == "- a rule: accuracy 0.5 (0.4 to 0.6) (here)"
    assert set(plain_metrics(metrics)) == {"accuracy", "log_loss", "held_out_samples"}


def in_blocks(world: World, num_items: int = 70) -> Tensor:
    """Return what a small network says of items in blocks of 16."""
    torch.manual_seed(0)
    layer, items = torch.nn.Linear(33, 3), torch.randn(num_items, 33)
    with torch.no_grad():
        return evaluate_blocks(
            num_items, 16, world, lambda numbers: layer(items[torch.from_numpy(numbers)]), 3
        )


def take_part(rank: int, world_size: int, folder: Path) -> None:
    """Be one of several processes that evaluate together, and leave what it got."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store-{world_size}"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    result = in_blocks(World(rank, rank, world_size, torch.device("cpu")))
    torch.save(result, folder / f"{world_size}-{rank}.pt")
    distributed.barrier()


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_every_world_size_evaluates_to_the_same_bits(world_size: int, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    alone = in_blocks(World(0, 0, 1, torch.device("cpu")))
    fork: Any = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=take_part, args=(rank, world_size, tmp_path)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    for rank in range(world_size):
        assert torch.equal(torch.load(tmp_path / f"{world_size}-{rank}.pt"), alone)


@pytest.mark.parametrize("classes", [True, False])
def test_references_are_measured_on_the_held_out_rows_with_categories_and_gaps(classes: bool) -> None:
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(300, 3)).astype(np.float32)
    codes = generator.integers(0, 3, (300, 1))
    target = numbers[:, 0] + 2.0 * codes[:, 0] - 2
    numbers[generator.random((300, 3)) < 0.05] = np.nan
    about: dict[str, Any] = {
        "columns": [*({"name": name, "kind": "number"} for name in "abc"),
                    {"name": "d", "kind": "category", "values": ["x", "y"]}],
        "target": {"name": "t", "kind": "class" if classes else "number"},
    }  # fmt: skip
    arrays = {
        "numbers": numbers,
        "categories": codes,
        "target": (target > 0).astype(np.int64) if classes else target,
    }
    train, held_out = (
        {key: each[part] for key, each in arrays.items()} for part in (slice(200), slice(200, 300))
    )
    references = measure_references("table", about, train, held_out)
    assert [entry["name"] for entry in references] == [
        "logistic regression" if classes else "ridge regression", "gradient-boosted trees",
    ]  # fmt: skip
    for entry in references:
        value = entry["metrics"]["accuracy" if classes else "r2"]
        assert value["n"] == 100
        assert value["value"] > 0.8
        assert value["value"] == float(f"{value['value']:.4g}")


def test_nothing_is_measured_where_it_would_take_long_or_scikit_learn_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = {"pictures": np.zeros((20, 2, 2, 1), np.uint8), "labels": np.arange(20) % 2}
    monkeypatch.setattr("trainer.evaluation.references.MOST_ROWS", 19)
    assert measure_references("pictures", {}, arrays, arrays) == []
    monkeypatch.undo()
    assert len(measure_references("pictures", {}, arrays, arrays)) == 2
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert measure_references("pictures", {}, arrays, arrays) == []
