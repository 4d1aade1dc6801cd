"""What held-out items say about a classifier: accuracy, loss, per-class recall, confusion, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import bootstrap, bootstrap_mean, metric, wilson

if TYPE_CHECKING:
    from torch import Tensor

CALIBRATION_BINS = 10
"""Equally wide ranges of probability, as in C. Guo et al., On calibration, arXiv 1706.04599."""
MOST_CLASSES_IN_TABLE = 50
"""Above that many classes the confusion table is left out of the report."""
COLUMNS = 5
"""Values of `score_columns` an item."""


def score_columns(scores: Tensor, labels: Tensor) -> Tensor:
    """Return label, predicted class, its probability, the label's loss and the last class's probability.

    From class scores [n, classes] and labels [n] to float64 [n, 5]; the loss is in nats.
    """
    import torch  # takes seconds, and data is prepared without it
    from torch.nn import functional

    log_shares = functional.log_softmax(scores.float(), dim=1)
    top, predicted = log_shares.max(dim=1)
    loss = -log_shares.gather(1, labels[:, None])[:, 0]
    columns = (labels, predicted, top.exp(), loss, log_shares[:, -1].exp())
    return torch.stack([column.double() for column in columns], dim=1)


def report_classes(
    columns: NDArray[np.float64],
    classes: Sequence[str],
    class_counts: Sequence[int],
    references: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return accuracy, log_loss, held_out_samples and the `report` of the items' `score_columns` [n, 5].

    `class_counts` are those of the training part: the trivial baseline always says its most frequent class.
    `references` are what other methods reached on the same held-out part.
    """
    total = len(columns)
    labels, predicted = columns[:, 0].astype(np.int64), columns[:, 1].astype(np.int64)
    calibration = calibration_table(columns[:, 2], predicted == labels)
    metrics = _metrics(columns, len(classes))
    metrics["calibration_error"] = metric(calibration["error"], None, total)
    report: dict[str, Any] = {
        "kind": "classes",
        "metrics": metrics,
        "baseline": majority_baseline(labels, classes, class_counts),
        "references": list(references),
        "calibration": calibration,
        "per_class": _per_class(labels, predicted, classes),
    }
    if len(classes) <= MOST_CLASSES_IN_TABLE:
        report["confusion"] = {
            "classes": list(classes),
            "counts": confusion_counts(labels, predicted, len(classes)).tolist(),
            "rows": "the true class",
            "columns": "the predicted class",
        }
    return {
        "accuracy": metrics["accuracy"]["value"],
        "log_loss": metrics["log_loss"]["value"],
        "held_out_samples": float(total),
        "report": report,
    }


def _metrics(columns: NDArray[np.float64], num_classes: int) -> dict[str, dict[str, Any]]:
    """Return accuracy, loss, the classes' mean recall and, of two classes, the area under the ROC curve."""
    total, losses = len(columns), columns[:, 3]
    labels = columns[:, 0].astype(np.int64)
    right = columns[:, 1] == columns[:, 0]
    metrics = {
        "accuracy": metric(right.mean(), wilson(int(right.sum()), total), total),
        "log_loss": metric(losses.mean(), bootstrap_mean(losses), total, "nats"),
        "balanced_accuracy": metric(*_balanced_accuracy(labels, right, num_classes), total),
    }
    if num_classes == 2 and 0 < labels.sum() < total:
        metrics["auc"] = metric(*_auc_with_interval(labels, columns[:, 4]), total)
    return metrics


def majority_baseline(
    labels: NDArray[np.int64], classes: Sequence[str], class_counts: Sequence[int]
) -> dict[str, Any]:
    """Return the accuracy on these labels of always saying the training part's most frequent class."""
    most = int(np.argmax(class_counts))
    right = int((labels == most).sum())
    accuracy = metric(right / len(labels), wilson(right, len(labels)), len(labels))
    return {"name": f"always {classes[most]!r}", "metrics": {"accuracy": accuracy}}


def confusion_counts(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.int64]:
    """Return how many items of each true class (row) were taken for each class (column)."""
    counts: NDArray[np.int64] = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def calibration_table(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the expected calibration error, and per range of probability how many were right.

    The error is the mean over the items of how far their range's accuracy is from its mean probability.
    """
    number = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(number, minlength=CALIBRATION_BINS)
    sums = np.bincount(number, weights=confidence, minlength=CALIBRATION_BINS)
    hits = np.bincount(number, weights=right, minlength=CALIBRATION_BINS)
    bins = [
        {
            "from": each / CALIBRATION_BINS,
            "to": (each + 1) / CALIBRATION_BINS,
            "count": int(counts[each]),
            "mean_probability": float(sums[each] / counts[each]),
            "accuracy": float(hits[each] / counts[each]),
        }
        for each in range(CALIBRATION_BINS)
        if counts[each]
    ]
    return {"error": float(np.abs(sums - hits).sum() / len(confidence)), "bins": bins}


def auc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: how often an item of class 1 scores above one of class 0.

    Ties count half (Mann and Whitney, 1947). Both classes are present.
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(labels.sum())
    above = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(labels) - positives)))


def _auc_with_interval(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[float, Any]:
    def resampled(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        # A resample of one class alone has no such area; it says nothing either way.
        values = [
            auc(labels[items], scores[items]) if 0 < labels[items].sum() < len(items) else 0.5
            for items in drawn
        ]
        return np.array(values)

    # Each resample sorts all items: above that many the interval is not worth its time.
    interval = bootstrap(resampled, len(labels)) if len(labels) <= 20_000 else None
    return auc(labels, scores), interval


def _balanced_accuracy(
    labels: NDArray[np.int64], right: NDArray[np.bool_], num_classes: int
) -> tuple[float, Any]:
    """Return the mean over the classes at hand of the share found, with its bootstrap interval."""
    hits = np.where(right, labels, num_classes)

    def mean_recall(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = np.arange(len(drawn))[:, None] * (num_classes + 1)
        shape, size = (len(drawn), num_classes + 1), len(drawn) * (num_classes + 1)
        counts = np.bincount((rows + labels[drawn]).ravel(), minlength=size).reshape(shape)[:, :-1]
        found = np.bincount((rows + hits[drawn]).ravel(), minlength=size).reshape(shape)[:, :-1]
        present = counts > 0
        shares = np.where(present, found / np.maximum(counts, 1), 0.0)
        means: NDArray[np.float64] = shares.sum(axis=1) / present.sum(axis=1)
        return means

    value = float(mean_recall(np.arange(len(labels))[None])[0])
    return value, bootstrap(mean_recall, len(labels))


def _per_class(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each class its held-out items, and of them and of those so called the share right."""
    counts = confusion_counts(labels, predicted, len(classes))
    actual, called, hits = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    return [
        {
            "class": name,
            "n": int(actual[each]),
            "recall": float(hits[each] / actual[each]) if actual[each] else None,
            "precision": float(hits[each] / called[each]) if called[each] else None,
        }
        for each, name in enumerate(classes)
    ]
