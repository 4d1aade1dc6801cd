"""What a well-known method reaches on the same labelled texts, measured where the data is prepared."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

MOST_TEXTS = 50_000
"""Training texts above which nothing is measured: it would take minutes."""
WORD = r"\w+|[^\w\s]"
"""A word, or a mark between words: in source code both say something."""


def text_references(
    train: Sequence[tuple[str, str]], held_out: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return name, held-out metrics and source of logistic regression on the texts' words and word pairs.

    The texts come with their labels. [] where scikit-learn is missing or the texts are many.
    """
    if importlib.util.find_spec("sklearn") is None or not 0 < len(train) <= MOST_TEXTS or not held_out:
        return []
    import sklearn
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from trainer.evaluation.intervals import metric, wilson

    vectorizer = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    method = LogisticRegression(C=10.0, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that did not converge: it is measured as it is
        try:
            method.fit(vectorizer.fit_transform([text for text, _ in train]), [label for _, label in train])
        except ValueError:  # one class alone, or no word in any text: nothing to learn from
            return []
    predicted = method.predict(vectorizer.transform([text for text, _ in held_out]))
    total = len(held_out)
    right = sum(found == label for found, (_, label) in zip(predicted.tolist(), held_out, strict=True))
    return [
        {
            "name": "logistic regression on TF-IDF of words and word pairs",
            "metrics": {"accuracy": metric(right / total, wilson(right, total), total)},
            "source": f"measured on the same split with scikit-learn {sklearn.__version__}",
        }
    ]
