"""Confidence intervals of held-out metrics: Wilson's for shares, the percentile bootstrap for all others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution."""
RESAMPLES = 1000
"""Resamples of a bootstrap: enough for the 2.5 % and 97.5 % points to be steady to about a twentieth of
the interval's width."""
FEWEST_RESAMPLES = 100
MOST_DRAWN = 50_000_000
"""Item numbers that a bootstrap draws, about a second's work; with more than 50,000 items it resamples less
often, though at least 100 times."""
LARGE = 20_000
"""Items from which the mean's distribution is normal to any figure that is printed."""
_CHUNK_NUMBERS = 4_000_000
"""Drawn item numbers that a bootstrap holds at once (32 MB)."""


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval of a metric, and how it was found."""

    low: float
    high: float
    method: str

    def to_dict(self) -> dict[str, Any]:
        """Return the interval as plain values."""
        return {"low": self.low, "high": self.high, "method": self.method}


def wilson(successes: float, total: int) -> Interval:
    """Return the 95 % interval of a share of `successes` out of `total` items; total is positive.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927. Unlike
    the normal approximation it stays within 0 and 1, and has a width where all or none succeed.
    """
    assert 0 <= successes <= total and total > 0, "a share of at least one item"
    share, z2 = successes / total, Z_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    reach = Z_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    # The formula's own ends at 0 and 1 are missed by rounding alone.
    low = 0.0 if successes == 0 else max(0.0, middle - reach)
    high = 1.0 if successes == total else min(1.0, middle + reach)
    return Interval(low, high, "Wilson, 95 %")


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], num_items: int, seed: int = 0
) -> Interval:
    """Return the 95 % percentile interval of a statistic over items drawn anew with replacement.

    `statistic` takes item numbers [resamples, num_items] and returns one value a resample [resamples]. The
    same seed gives the same interval. B. Efron, Bootstrap methods: another look at the jackknife, 1979.
    """
    assert num_items > 0, "a statistic of at least one item"
    generator = np.random.Generator(np.random.Philox(seed))
    resamples = max(FEWEST_RESAMPLES, min(RESAMPLES, MOST_DRAWN // num_items))
    chunk = max(1, min(resamples, _CHUNK_NUMBERS // num_items))
    values: list[NDArray[np.float64]] = []
    for begin in range(0, resamples, chunk):
        drawn = generator.integers(0, num_items, (min(chunk, resamples - begin), num_items))
        values.append(np.asarray(statistic(drawn), dtype=np.float64))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    return Interval(float(low), float(high), f"bootstrap percentile, {resamples} resamples, 95 %")


def bootstrap_mean(values: Sequence[float] | NDArray[np.float64], seed: int = 0) -> Interval:
    """Return the 95 % interval of the mean of one value an item: bootstrap, or normal for many items."""
    array = np.asarray(values, dtype=np.float64)
    if len(array) >= LARGE:
        mean, reach = float(array.mean()), Z_95 * float(array.std(ddof=1)) / math.sqrt(len(array))
        return Interval(mean - reach, mean + reach, "normal approximation, 95 %")
    return bootstrap(lambda drawn: array[drawn].mean(axis=1), len(array), seed)


def metric(value: float, interval: Interval | None, num_items: int, unit: str = "") -> dict[str, Any]:
    """Return a metric as evaluation.json holds it: value, interval where there is one, n and unit."""
    entry: dict[str, Any] = {"value": float(value), "n": int(num_items)}
    # A bootstrap of items that are all alike has no width, which would pass for certainty.
    if interval is not None and interval.low < interval.high:
        entry |= interval.to_dict()
    return entry | ({"unit": unit} if unit else {})
