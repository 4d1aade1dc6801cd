"""What held-out items say about predicted numbers: errors, R2, and the interval that a prediction gets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import bootstrap, bootstrap_mean, metric, wilson

COVERAGE = 0.9
"""Share of new items whose number is to lie within a prediction's interval."""


def report_numbers(
    targets: NDArray[np.float64],
    predicted: NDArray[np.float64],
    training_mean: float,
    references: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return mae, rmse, r2, held_out_samples and the `report` of predictions [n] of targets [n].

    The trivial baseline always says the training part's mean. `references` are what other methods reached on
    the same held-out part.
    """
    total = len(targets)
    errors = predicted - targets
    metrics = _metrics(targets, errors)
    reach = conformal_reach(np.abs(errors))
    return {
        **{name: metrics[name]["value"] for name in ("mae", "rmse", "r2")},
        "held_out_samples": float(total),
        "report": {
            "kind": "number",
            "metrics": metrics,
            "baseline": {
                "name": f"always the training mean, {training_mean:.6g}",
                "metrics": _metrics(targets, training_mean - targets),
            },
            "references": list(references),
            "interval": {"share": COVERAGE, "reach": reach, "checked": _checked_coverage(np.abs(errors))},
            "worst": _worst(targets, predicted),
        },
    }


def conformal_reach(errors: NDArray[np.float64]) -> float | None:
    """Return how far to both sides of a prediction the interval goes that holds 90 % of new items.

    `errors` are the sizes of the errors on items that were not trained on. Split conformal prediction takes
    the ceil((n + 1) 0.9)-th smallest of n errors, whatever their distribution (J. Lei et al.,
    Distribution-free predictive inference for regression, JASA 2018). None where there are too few items.
    """
    rank = math.ceil((len(errors) + 1) * COVERAGE)
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else None


def r_squared(targets: NDArray[np.float64], errors: NDArray[np.float64]) -> float:
    """Return 1 - (squared errors) / (squared distances from the mean); 0 where all targets are alike."""
    spread = float(np.square(targets - targets.mean()).sum())
    return 1 - float(np.square(errors).sum()) / spread if spread > 0 else 0.0


def _metrics(targets: NDArray[np.float64], errors: NDArray[np.float64]) -> dict[str, Any]:
    sizes, squares, total = np.abs(errors), np.square(errors), len(errors)

    def resampled_r2(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        spread = targets[drawn].var(axis=1)
        ratio = squares[drawn].mean(axis=1) / np.where(spread > 0, spread, 1.0)
        return np.where(spread > 0, 1 - ratio, 0.0)

    rmse = bootstrap(lambda drawn: np.sqrt(squares[drawn].mean(axis=1)), total)
    return {
        "mae": metric(sizes.mean(), bootstrap_mean(sizes), total),
        "rmse": metric(math.sqrt(squares.mean()), rmse, total),
        "r2": metric(r_squared(targets, errors), bootstrap(resampled_r2, total), total),
    }


def _checked_coverage(errors: NDArray[np.float64]) -> dict[str, Any] | None:
    """Return how many items lie within the interval that the other half of the held-out items gives."""
    first, second = errors[0::2], errors[1::2]
    of_first, of_second = conformal_reach(first), conformal_reach(second)
    if of_first is None or of_second is None:
        return None
    inside = int((first <= of_second).sum() + (second <= of_first).sum())
    return metric(inside / len(errors), wilson(inside, len(errors)), len(errors))


def _worst(targets: NDArray[np.float64], predicted: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the five predictions that are farthest off."""
    order = np.argsort(-np.abs(predicted - targets), kind="stable")[:5]
    return [
        {"item": int(each), "target": float(targets[each]), "predicted": float(predicted[each])}
        for each in order
    ]
