"""What well-known methods reach on the same split, measured by scikit-learn where the data is prepared."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.classes import auc
from trainer.evaluation.intervals import bootstrap_mean, metric, wilson
from trainer.evaluation.numbers import r_squared

MOST_ROWS = 200_000
"""Training rows above which nothing is measured: it would take minutes."""
MOST_NUMBERS = 64_000_000
"""Numbers of the training part (0.5 GB as float64) above which nothing is measured."""
MOST_ROWS_OF_NEIGHBOURS = 20_000
"""Training rows above which the neighbours of a row are not looked for."""

Features = NDArray[np.float64]


def measure_references(
    kind: str, about: Mapping[str, Any], train: Mapping[str, Any], held_out: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return each method's name, metrics on the held-out part and source; [] where scikit-learn is missing.

    `kind` is `pictures` or `table`; the arrays are those of the data set's parts. Nothing is measured where
    the data is too large for it to be a matter of seconds to a minute.
    """
    rows = len(train["labels" if kind == "pictures" else "target"])
    numbers = sum(np.asarray(array).size for array in train.values())
    if importlib.util.find_spec("sklearn") is None or rows > MOST_ROWS or numbers > MOST_NUMBERS:
        return []
    if kind == "pictures":
        pair = picture_features(train), picture_features(held_out)
        methods = _picture_methods(rows)
        targets = train["labels"], held_out["labels"]
    else:
        pair = table_features(about, train), table_features(about, held_out)
        methods = _table_methods(about, rows)
        targets = train["target"], held_out["target"]
    classes = kind == "pictures" or about["target"]["kind"] == "class"
    known, wanted = (np.asarray(part) for part in targets)
    return [_measure(name, make(), pair, known, wanted, classes=classes) for name, make in methods]


def picture_features(arrays: Mapping[str, Any]) -> Features:
    """Return each picture's pixels as one row [n, pixels], from 0 to 1."""
    pictures = np.asarray(arrays["pictures"])
    return pictures.reshape(len(pictures), -1) / max(float(pictures.max()), 1.0)


def table_features(about: Mapping[str, Any], arrays: Mapping[str, Any]) -> Features:
    """Return each row's standardised numbers, NaN where missing, then its category codes [n, columns]."""
    parts = [np.asarray(arrays[name], dtype=np.float64) for name in ("numbers", "categories")]
    return np.concatenate(parts, axis=1)


def _measure(
    name: str, method: Any, features: tuple[Features, Features], known: Any, wanted: Any, *, classes: bool
) -> dict[str, Any]:
    import sklearn
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # The figures become part of the data set, whose digest must not hang on how many threads added up.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # of a fit that did not converge: it is measured as it is
        predicted = np.asarray(method.fit(features[0], known).predict(features[1]))
        score = _last_class(method, features[1]) if classes else None
    metrics = _class_metrics(predicted, wanted, score) if classes else _number_metrics(predicted, wanted)
    return {
        "name": name,
        "metrics": {key: _rounded(entry) for key, entry in metrics.items()},
        "source": f"measured on the same split with scikit-learn {sklearn.__version__}",
    }


def _rounded(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a metric with four significant digits: machines differ in the last ones."""
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in entry.items()}


def _last_class(method: Any, features: Features) -> NDArray[np.float64] | None:
    shares = np.asarray(method.predict_proba(features)) if hasattr(method, "predict_proba") else None
    return shares[:, 1] if shares is not None and shares.shape[1] == 2 else None


def _class_metrics(
    predicted: NDArray[Any], wanted: NDArray[Any], score: NDArray[np.float64] | None
) -> dict[str, Any]:
    right, total = int((predicted == wanted).sum()), len(wanted)
    metrics = {"accuracy": metric(right / total, wilson(right, total), total)}
    if score is not None and 0 < wanted.sum() < total:
        metrics["auc"] = metric(auc(wanted.astype(np.int64), score), None, total)
    return metrics


def _number_metrics(predicted: NDArray[Any], wanted: NDArray[Any]) -> dict[str, Any]:
    errors = predicted.astype(np.float64) - wanted
    total, squares = len(wanted), np.square(errors)
    return {
        "mae": metric(np.abs(errors).mean(), bootstrap_mean(np.abs(errors)), total),
        "rmse": metric(float(np.sqrt(squares.mean())), None, total),
        "r2": metric(r_squared(wanted.astype(np.float64), errors), None, total),
    }


Method = tuple[str, Callable[[], Any]]


def _picture_methods(rows: int) -> list[Method]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    methods: list[Method] = [("logistic regression on the pixels", lambda: LogisticRegression(max_iter=1000))]
    if rows <= MOST_ROWS_OF_NEIGHBOURS:
        methods.append(("3 nearest neighbours on the pixels", lambda: KNeighborsClassifier(3)))
    return methods


def _table_methods(about: Mapping[str, Any], rows: int) -> list[Method]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    kinds = [column["kind"] for column in about["columns"]]
    numbers = kinds.count("number")
    sizes = [len(column["values"]) + 1 for column in about["columns"] if column["kind"] == "category"]
    coded = list(range(numbers, len(kinds)))
    # Boosted trees take at most 255 categories a column as such; more are split as numbers.
    as_categories = [place for place, size in zip(coded, sizes, strict=True) if size <= 255]
    classes = about["target"]["kind"] == "class"

    def linear() -> Any:
        # Standardised numbers: 0 is their mean.
        filled = SimpleImputer(strategy="constant", fill_value=0.0)
        columns = make_column_transformer(
            (filled, list(range(numbers))), (OneHotEncoder(handle_unknown="ignore"), coded)
        )
        return make_pipeline(columns, LogisticRegression(max_iter=1000) if classes else RidgeCV())

    def boosted() -> Any:
        kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
        return kind(categorical_features=as_categories or None, random_state=0)

    return [
        ("logistic regression" if classes else "ridge regression", linear),
        ("gradient-boosted trees", boosted),
    ]
