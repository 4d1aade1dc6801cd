"""What well-known methods reach on the same split, where the packages for them are installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.configs.data import Shape

MOST_WORK = 4_000_000
"""Training rows times classes above which nothing is measured: boosted trees are grown for each class."""


def references(shape: Shape, about: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what well-known methods reach on the held-out part, where the packages for it are installed."""
    if shape not in ("pictures", "table"):
        return {}
    classes = about["classes"] if shape == "pictures" else about["target"].get("classes", ())
    rows = len(parts["train"]["labels" if shape == "pictures" else "target"])
    if rows * max(len(classes), 1) > MOST_WORK:
        return {}
    from trainer.evaluation.references import measure_references

    return {"references": measure_references(shape, about, parts["train"], parts["held_out"])}
