"""What held-out windows say about a model of text: loss, bits a byte, perplexity, and others' beside them."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import Interval, bootstrap, bootstrap_mean, metric

COMPRESSOR_TEXT = 2**20
"""Bytes of training text, the last ones, that a compressor has read before it comes to the held-out text."""


def report_windows(
    losses: NDArray[np.float64],
    sizes: NDArray[np.float64] | None,
    tokens_each: int,
    references: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return val_loss, perplexity, bits_per_byte, held_out_tokens and the `report` of held-out windows.

    `losses` are the windows' mean nats a token [n], `sizes` the bytes that their targets stand for [n], None
    where nobody knows. Bits a byte compare models of different tokenizers; `references` are what other
    methods reach on the same text.
    """
    windows, total = len(losses), len(losses) * tokens_each
    loss, interval = float(losses.mean()), bootstrap_mean(losses)
    perplexity = Interval(math.exp(interval.low), math.exp(interval.high), interval.method)
    metrics = {
        "val_loss": metric(loss, interval, windows, "nats a token"),
        "perplexity": metric(math.exp(loss), perplexity, windows),
    }
    counted = f"{windows} windows of {tokens_each} tokens"
    if sizes is not None:
        metrics["bits_per_byte"] = _ratio_metric(losses * tokens_each / math.log(2), sizes)
        counted += f", {int(sizes.sum())} bytes"
    return {
        **{name: entry["value"] for name, entry in metrics.items()},
        "held_out_tokens": float(total),
        "report": {
            "kind": "text",
            "metrics": metrics,
            "counted": counted,
            "baseline": references[0] if references else None,
            "references": references[1:],
        },
    }


def report_learned(after: NDArray[np.float64], before: NDArray[np.float64]) -> dict[str, Any]:
    """Return val_loss, perplexity, held_out_tokens and the `report` of a fine-tuned model.

    Both are sums of nats and counts of learned tokens, by held-out sample [n, 2]: of the model as it is, and
    of the one before it was fine-tuned.
    """
    metrics = _learned_metrics(after)
    old = _learned_metrics(before)
    return {
        **{name: entry["value"] for name, entry in metrics.items()},
        "val_loss_before": old["val_loss"]["value"],
        "held_out_tokens": float(after[:, 1].sum()),
        "report": {
            "kind": "text",
            "metrics": metrics,
            "baseline": {"name": "the model before it was fine-tuned", "metrics": old},
            "references": [],
        },
    }


def _learned_metrics(columns: NDArray[np.float64]) -> dict[str, dict[str, Any]]:
    loss = _ratio_metric(columns[:, 0], columns[:, 1])
    limits = {key: math.exp(loss[key]) for key in ("value", "low", "high")}
    return {"val_loss": loss | {"unit": "nats a token"}, "perplexity": loss | limits}


def _ratio_metric(above: NDArray[np.float64], below: NDArray[np.float64]) -> dict[str, Any]:
    """Return the metric of a sum over the items over another; both have one value an item [n]."""

    def resampled(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        ratio: NDArray[np.float64] = above[drawn].sum(axis=1) / below[drawn].sum(axis=1)
        return ratio

    return metric(float(above.sum() / below.sum()), bootstrap(resampled, len(above)), len(above))


def unigram_reference(
    train: NDArray[Any], targets: NDArray[Any], vocabulary_size: int, size: float | None
) -> dict[str, Any]:
    """Return what the targets [n] cost where each token has its share of the training tokens, anywhere.

    The shares are smoothed by one count a token. `size` is the bytes that the targets stand for, if known.
    """
    counts = np.bincount(train, minlength=vocabulary_size) + 1.0
    nats = -np.log(counts / counts.sum())[targets]
    metrics = {"val_loss": metric(nats.mean(), None, len(targets), "nats a token")}
    metrics["perplexity"] = metric(math.exp(nats.mean()), None, len(targets))
    if size is not None:
        metrics["bits_per_byte"] = metric(nats.sum() / math.log(2) / size, None, len(targets))
    return {"name": "each token by its share of the training text", "metrics": metrics}


def compressor_references(train: bytes, text: bytes) -> list[dict[str, Any]]:
    """Return the bits a byte of the text that zlib and xz leave, having read the end of the training text.

    The cost of the text is what it adds to the compressed length.
    """
    train = train[-COMPRESSOR_TEXT:]
    references = [_compressor("zlib, level 9", lambda data: zlib.compress(data, 9), train, text)]
    try:
        import lzma
    except ImportError:  # a Python that was built without it
        return references
    return [*references, _compressor("xz, preset 6", lambda data: lzma.compress(data), train, text)]


def _compressor(name: str, compress: Any, train: bytes, text: bytes) -> dict[str, Any]:
    bits = 8 * (len(compress(train + text)) - len(compress(train))) / len(text)
    return {
        "name": f"{name}, after {len(train)} bytes of training text",
        "metrics": {"bits_per_byte": metric(bits, None, len(text))},
        "source": "measured in this run on the same held-out text",
    }
